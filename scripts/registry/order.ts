// The order in which packages are published: what a package needs is there before it.
import type { Workspace } from "../workspaces.ts";

/** Dependencies and peers first, by name where neither needs the other. Throws where packages need one another. */
export function inOrder(workspaces: readonly Workspace[]): Workspace[] {
  const byName = new Map(workspaces.map((workspace) => [workspace.manifest.name, workspace]));
  const ordered = new Set<Workspace>();
  const visit = (workspace: Workspace, above: readonly string[]): void => {
    const { name, dependencies, peerDependencies } = workspace.manifest;
    if (above.includes(name)) throw new Error(`these packages need one another: ${[...above, name].join(" -> ")}`);
    for (const needed of Object.keys({ ...dependencies, ...peerDependencies }).sort()) {
      const other = byName.get(needed);
      if (other !== undefined && !ordered.has(other)) visit(other, [...above, name]);
    }
    ordered.add(workspace);
  };
  for (const workspace of [...byName.values()].sort((a, b) => (a.manifest.name < b.manifest.name ? -1 : 1))) {
    visit(workspace, []);
  }
  return [...ordered];
}
