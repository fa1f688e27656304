// A project beside the installed packages, in which bundlers find their entries and Node runs what they made.
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { entriesOf, type Installation } from "../pack.ts";
import type { Workspace } from "../workspaces.ts";
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
