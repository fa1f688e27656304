// A project beside the installed packages, in which bundlers find their entries and Node runs what they made.
import { cpSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { entriesOf, type Installation } from "../pack.ts";
import { repositoryRoot, type Workspace } from "../workspaces.ts";
import type { Batch, Job } from "./bundle.ts";
import { type Target, targetOf } from "./entries.ts";

export interface Project {
  readonly folder: string;
  /** The published packages' workspaces, and all that may be imported of them. */
  readonly workspaces: readonly Workspace[];
  readonly entries: readonly string[];
  /** All entries, by what they are for. */
  readonly batches: readonly Batch[];
  /** A module of this text. */
  job(name: string, text: string): Job;
}

export function makeProject(installation: Installation): Project {
  const folder = join(installation.root, "bundled");
  mkdirSync(folder);
  for (const name of ["program.js", "page.js", "evaluate.mjs"]) {
    cpSync(join(import.meta.dirname, name), join(folder, name));
  }
  const workspaces = installation.packages.map(({ workspace }) => workspace);
  const own = new Set(workspaces.map(({ manifest }) => manifest.name));
  const external = workspaces.flatMap(({ manifest: { dependencies, peerDependencies } }) =>
    Object.keys({ ...dependencies, ...peerDependencies }).filter((name) => !own.has(name)),
  );
  linkPeers(installation);
  const job = (name: string, text: string): Job => {
    const path = join(folder, `${name.replace(/[^a-z0-9]+/gi, "-")}.entry.js`);
    writeFileSync(path, text);
    return { name, path };
  };
  const batch = (target: Target): Batch => ({
    jobs: workspaces.flatMap((workspace) =>
      entriesOf(workspace)
        .filter((entry) => targetOf(entry, workspace) === target)
        .map((entry) => job(entry, `export * from ${JSON.stringify(entry)};`)),
    ),
    target,
    external: target === "node" ? [...new Set(external)] : [],
    minify: false,
  });
  return {
    folder,
    workspaces,
    entries: workspaces.flatMap(entriesOf),
    batches: [batch("browser"), batch("node")],
    job,
  };
}

/** Third parties' packages that the user brings, such as a test runner: they stay outside of bundles, and are only linked. */
function linkPeers({ root, packages }: Installation): void {
  for (const { workspace } of packages) {
    for (const name of Object.keys(workspace.manifest.peerDependencies ?? {})) {
      const link = join(root, "node_modules", name);
      if (existsSync(link)) continue;
      const own = join(repositoryRoot, workspace.folder, "node_modules", name);
      mkdirSync(dirname(link), { recursive: true });
      symlinkSync(existsSync(own) ? own : join(repositoryRoot, "node_modules", name), link);
    }
  }
}
