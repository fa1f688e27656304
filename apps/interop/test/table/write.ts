// `bun run coverage`: prints docs/coverage.md; with --write it writes it.
import { writeFileSync } from "node:fs";
import { allStreams, rowsOf, tableText } from "./table.ts";

const text = tableText(allStreams().map(rowsOf));
if (process.argv.includes("--write")) writeFileSync(new URL("../../../../docs/coverage.md", import.meta.url), text);
else console.log(text);
