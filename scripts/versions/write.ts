// Writes `docs/versions.md`. Run with `--conditions=godwit:source`.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { publishedDumps } from "../changes/repository.ts";
import { repositoryRoot } from "../workspaces.ts";
import { versionsPage } from "./table.ts";

export function writeVersionsPage(root = repositoryRoot): void {
  writeFileSync(join(root, "docs", "versions.md"), versionsPage(publishedDumps(root)));
}

if (import.meta.main) {
  writeVersionsPage();
  console.log("written: docs/versions.md");
}
