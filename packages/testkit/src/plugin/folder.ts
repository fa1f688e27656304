// The folders that a plugin's test names: paths, or URLs as `new URL("goldens/", import.meta.url)` gives them.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Folder } from "./test.ts";

export function pathOf(folder: Folder): string {
  const text = typeof folder === "string" ? folder : folder.href;
  return text.startsWith("file:") ? fileURLToPath(text) : text;
}

/** All files in a folder and below it, as paths from it, in order; none where there is no such folder. */
export function filesIn(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  const entries = readdirSync(folder, { withFileTypes: true });
  const below = (name: string) => filesIn(join(folder, name)).map((file) => `${name}/${file}`);
  return entries.flatMap((entry) => (entry.isDirectory() ? below(entry.name) : [entry.name])).sort();
}
