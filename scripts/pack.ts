// Packs each publishable workspace as a release would, and installs the tarballs without a registry.
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { run } from "./run.ts";
import { readWorkspaces, repositoryRoot, type Workspace } from "./workspaces.ts";

export interface PackedPackage {
  readonly workspace: Workspace;
  readonly tarball: string;
  /** Folder of the unpacked tarball, inside the installation's `node_modules`. */
  readonly folder: string;
}

export interface Installation {
  /** Holds `node_modules`. */
  readonly root: string;
  readonly packages: readonly PackedPackage[];
  /** Removes all of it. */
  remove(): void;
}

/** All publishable packages and what they depend on, as an install would lay them out. Needs `bun run build`. */
export async function installPacked(): Promise<Installation> {
  const root = mkdtempSync(join(tmpdir(), "godwit-packed-"));
  const remove = () => rmSync(root, { recursive: true, force: true });
  const packages = readWorkspaces()
    .filter(({ manifest }) => !manifest.private)
    .map((workspace) => ({
      workspace,
      tarball: join(root, `${workspace.manifest.name.replace("/", "-")}.tgz`),
      folder: join(root, "node_modules", workspace.manifest.name),
    }));
  try {
    for (const each of packages) await pack(each);
    for (const each of packages) copyDependencies(each, join(root, "node_modules"));
    linkPeers(root, packages);
  } catch (error) {
    remove();
    throw error;
  }
  return { root, packages, remove };
}

/** The entries of a package: what may be imported of it, `package.json` left out. */
export function entriesOf({ manifest }: Workspace): string[] {
  return Object.keys(manifest.exports ?? {})
    .filter((entry) => entry !== "./package.json")
    .map((entry) => manifest.name + entry.slice(1));
}

async function pack({ workspace, tarball, folder }: PackedPackage): Promise<void> {
  mkdirSync(folder, { recursive: true });
  await runOrThrow("bun", ["pm", "pack", "--quiet", "--filename", tarball], join(repositoryRoot, workspace.folder));
  await runOrThrow("tar", ["-xzf", tarball, "--strip-components=1", "-C", folder], folder);
}

/** The third-party packages that a manifest names, and theirs, from the workspace's own `node_modules`. */
function copyDependencies({ workspace, folder }: PackedPackage, into: string): void {
  const wanted = [{ ...dependenciesOf(folder), from: join(repositoryRoot, workspace.folder, "node_modules") }];
  for (let next = wanted.pop(); next !== undefined; next = wanted.pop()) {
    for (const name of [...next.names, ...next.optional]) {
      if (existsSync(join(into, name))) continue;
      // The bindings of other platforms.
      if (next.optional.includes(name) && !existsSync(join(next.from, name))) continue;
      const source = realpathSync(join(next.from, name));
      cpSync(source, join(into, name), { recursive: true, dereference: true });
      // Bun keeps a package's own dependencies beside it.
      wanted.push({ ...dependenciesOf(source), from: dirname(source) });
    }
  }
}

/** Third parties' packages that the user brings, such as a test runner. */
function linkPeers(root: string, packages: readonly PackedPackage[]): void {
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

function dependenciesOf(folder: string): { names: string[]; optional: string[] } {
  const { dependencies = {}, optionalDependencies = {} }: Record<string, Record<string, string> | undefined> =
    JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return { names: Object.keys(dependencies), optional: Object.keys(optionalDependencies) };
}

/** Copies installed packages, all of them by default, into another project's `node_modules`. */
export function installInto(project: string, { root }: Installation, names?: readonly string[]): void {
  const from = join(root, "node_modules");
  for (const name of names ?? readdirSync(from)) {
    cpSync(join(from, name), join(project, "node_modules", name), { recursive: true });
  }
}

async function runOrThrow(command: string, args: readonly string[], cwd: string): Promise<void> {
  const { exitCode, output } = await run(command, args, cwd);
  if (exitCode !== 0) throw new Error(`${command} ${args.join(" ")} in ${cwd} exited with ${exitCode}\n${output}`);
}
