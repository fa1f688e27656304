// Writes docs/cli.md, docs/cli-table.md and docs/errors.md.
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { acceptanceText } from "../acceptance/table.ts";
import { errorsText } from "./errors.ts";
import { referenceText } from "./reference.ts";

const docs = new URL("../../../../docs/", import.meta.url);
writeFileSync(fileURLToPath(new URL("cli.md", docs)), await referenceText());
writeFileSync(fileURLToPath(new URL("cli-table.md", docs)), acceptanceText());
writeFileSync(fileURLToPath(new URL("errors.md", docs)), errorsText());
