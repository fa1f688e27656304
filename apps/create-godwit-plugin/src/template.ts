// The template's files under the names that they get in a project.
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

/** Beside `dist` and `src` alike. */
const templateFolder = fileURLToPath(new URL("../template/", import.meta.url));

/** Path in the project, with slashes, and text. */
export type ProjectFiles = ReadonlyMap<string, string>;

/** Package managers leave out or rename some names when they pack: these stand in the template with an underscore. */
function projectPath(templatePath: string): string {
  if (templatePath === "_package.json") return "package.json";
  return templatePath.replace(/^_/, ".");
}

export function readTemplate(): ProjectFiles {
  const paths = readdirSync(templateFolder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(templateFolder, join(entry.parentPath, entry.name)).replaceAll("\\", "/"));
  return new Map(
    paths.sort().map((path) => [projectPath(path), readFileSync(join(templateFolder, path), "utf8")] as const),
  );
}
