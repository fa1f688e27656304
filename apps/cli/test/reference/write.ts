// Writes docs/cli.md and docs/cli-table.md.
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { acceptanceText } from "../acceptance/table.ts";
import { referenceText } from "./reference.ts";

const docs = new URL("../../../../docs/", import.meta.url);
writeFileSync(fileURLToPath(new URL("cli.md", docs)), await referenceText());
writeFileSync(fileURLToPath(new URL("cli-table.md", docs)), acceptanceText());
