// Writes the `jsr.json` of each package that JSR carries.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "../workspaces.ts";
import { carriedWorkspaces, jsrText } from "./manifest.ts";

/** Returns what was written, as paths from the repository's root. */
export function writeJsrManifests(root = repositoryRoot): string[] {
  return carriedWorkspaces(root).map((workspace) => {
    const path = join(workspace.folder, "jsr.json");
    writeFileSync(join(root, path), jsrText(workspace));
    return path;
  });
}

if (import.meta.main) for (const path of writeJsrManifests()) console.log(`written: ${path}`);
