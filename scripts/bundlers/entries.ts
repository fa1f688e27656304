// Which entries of the published packages are made for browsers, in one place. All others are for Node, Bun and Deno.
import type { Workspace } from "../workspaces.ts";

export type Target = "browser" | "node";

/** Packages all of whose entries a page may import. */
const browserPackages = ["@godwit/core", "@godwit/migration", "@godwit/transport"];
const isPlugin = ({ folder }: Workspace) => folder.startsWith("plugins/");

/** Entries of these packages that touch files, sockets or processes. */
const nodeEntries = new Set([
  "@godwit/migration/ownership-file",
  ...["exec", "fd", "file", "tcp", "tls", "unix", "uri"].map((scheme) => `@godwit/transport/${scheme}`),
]);

/** What the entry of this package is bundled for. */
export function targetOf(entry: string, workspace: Workspace): Target {
  const forBrowsers = isPlugin(workspace) || browserPackages.includes(workspace.manifest.name);
  return forBrowsers && !nodeEntries.has(entry) ? "browser" : "node";
}

/** Names of the table that no package has: it must not outlive an entry. */
export function unknownNames(entries: readonly string[], workspaces: readonly Workspace[]): string[] {
  const packages = new Set(workspaces.map(({ manifest }) => manifest.name));
  return [
    ...browserPackages.filter((name) => !packages.has(name)),
    ...[...nodeEntries].filter((name) => !entries.includes(name)),
  ];
}
