// Checks the package boundaries of the whole repository; prints each breach and exits 1 if there is any.
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { checkBoundaries } from "./boundaries.ts";
import { readManifest, readWorkspaces, repositoryRoot } from "./workspaces.ts";

const paths = globSync("{packages,plugins,apps}/*/{src,test,bench,examples,guest}/**/*.{ts,tsx,js,mjs}", {
  cwd: repositoryRoot,
});
const files = new Map(paths.sort().map((path) => [path, readFileSync(join(repositoryRoot, path), "utf8")]));
const workspaces = readWorkspaces();
const findings = checkBoundaries(workspaces, readManifest("."), files);
for (const finding of findings) console.error(finding);
console.log(`boundaries: ${files.size} files of ${workspaces.length} workspaces, ${findings.length} findings`);
if (findings.length > 0 || files.size === 0) process.exitCode = 1;
