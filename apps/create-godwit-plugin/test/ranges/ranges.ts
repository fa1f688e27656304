// The ranges that a new project's devDependencies get: of each package what this repository has, and is tested with.
import { readFileSync } from "node:fs";

interface Manifest {
  readonly version: string;
  readonly workspaces: { readonly catalog: Readonly<Record<string, string>> };
  readonly devDependencies: Readonly<Record<string, string>>;
}

const repository = new URL("../../../../", import.meta.url);
const manifestOf = (path: string): Manifest => JSON.parse(readFileSync(new URL(path, repository), "utf8"));

/** Where the release of each is known: its own manifest, the catalog, or the root's devDependencies. */
export function rangesFromManifests(): Readonly<Record<string, string>> {
  const { workspaces, devDependencies } = manifestOf("package.json");
  const own = ["core", "migration", "testkit", "transport"].map((name) => {
    return [`@godwit/${name}`, caret(manifestOf(`packages/${name}/package.json`).version)];
  });
  const others = ["@types/node", "typescript", "vitest"].map((name) => {
    return [name, caret(devDependencies[name] ?? "")];
  });
  // Releases 3 do not start on Node 20, which a plugin may be developed on; here Bun runs them.
  const changesets = ["@changesets/cli", "^2.31.1"];
  return Object.fromEntries([...own, ...others, changesets, ["fast-check", workspaces.catalog["fast-check"]]].sort());
}

function caret(version: string): string {
  return version.startsWith("^") ? version : `^${version}`;
}

/** `src/ranges.ts`. */
export function rangesText(): string {
  const entries = Object.entries(rangesFromManifests()).map(([name, range]) => {
    return `  ${/^[a-z]+$/.test(name) ? name : JSON.stringify(name)}: ${JSON.stringify(range)},\n`;
  });
  return `// The ranges of a new project's devDependencies. Written by the build, from this repository's manifests.
export const ranges: Readonly<Record<string, string>> = {
${entries.join("")}};
`;
}
