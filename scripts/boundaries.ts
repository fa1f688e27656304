// The rules of which workspace may import what, over manifests and source texts; it reads no file itself.
import { builtinModules } from "node:module";
import { posix } from "node:path";
import { isPeerRange } from "./peer-range.ts";
import { scanModule } from "./scan-module.ts";
import type { Manifest, Workspace } from "./workspaces.ts";

/** Paths from the root of the repository, and their texts. */
export type SourceFiles = ReadonlyMap<string, string>;

type Role = "core" | "plugin" | "package" | "testkit" | "support" | "app";

/** Who a workspace's published or running sources may import. Plugins go along their peers only, see `checkEdge`. */
const sourceMayImport: Readonly<Record<Role, readonly Role[]>> = {
  core: [],
  plugin: ["core", "plugin"],
  package: ["core"],
  testkit: ["core", "package"],
  support: ["core", "package"],
  app: ["core", "plugin", "package", "app"],
};

/** Who its tests and benchmarks may import besides. */
const testMayImport: Readonly<Record<Role, readonly Role[]>> = {
  core: ["testkit", "support"],
  plugin: ["testkit", "support"],
  package: ["testkit", "support", "package", "plugin"],
  testkit: ["support"],
  support: [],
  app: ["testkit", "support"],
};

const withoutRuntime = (workspace: Workspace) =>
  ["core", "plugin"].includes(roleOf(workspace)) || workspace.folder === "packages/migration";

const builtins = new Set(builtinModules);

export function roleOf({ folder }: Workspace): Role {
  if (folder === "packages/core") return "core";
  if (folder === "packages/testkit") return "testkit";
  if (folder === "packages/test-support") return "support";
  if (folder.startsWith("plugins/")) return "plugin";
  return folder.startsWith("apps/") ? "app" : "package";
}

/** Every breach of the rules, one line each; an empty list when there is none. */
export function checkBoundaries(workspaces: readonly Workspace[], root: Manifest, files: SourceFiles): string[] {
  const byName = new Map(workspaces.map((workspace) => [workspace.manifest.name, workspace]));
  const findings = workspaces.flatMap((workspace) => checkManifest(workspace, byName));
  for (const [path, text] of files) {
    const workspace = workspaces.find(({ folder }) => path.startsWith(`${folder}/`));
    if (workspace) findings.push(...checkFile(path, text, workspace, byName, root));
  }
  return [...findings, ...findCycles(workspaces, byName)];
}

/** An app that is published has entries for others; one that is not is nobody's business. */
function mayPointTo(role: Role, target: Workspace): boolean {
  const to = roleOf(target);
  return sourceMayImport[role].includes(to) && !(to === "app" && target.manifest.private === true);
}

function checkManifest(workspace: Workspace, byName: ReadonlyMap<string, Workspace>): string[] {
  const { folder, manifest } = workspace;
  const findings: string[] = [];
  const add = (finding: string) => findings.push(`${folder}/package.json: ${finding}`);
  for (const [name, range] of Object.entries(manifest.peerDependencies ?? {})) {
    if (!byName.has(name)) continue;
    if (!isPeerRange(range)) add(`peer ${name} "${range}" is not of the form ">=0.1.0 <1"`);
    if (manifest.devDependencies?.[name] !== "workspace:^") add(`peer ${name} is not a devDependency "workspace:^"`);
  }
  for (const name of Object.keys(manifest.dependencies ?? {})) {
    const target = byName.get(name);
    if (!target) continue;
    const role = roleOf(workspace);
    if (role !== "app") add(`${name} is a dependency, not a peer: an install could hold two copies of it`);
    if (!mayPointTo(role, target)) add(`imports point down: not to ${target.folder}`);
  }
  return findings;
}

function checkFile(
  path: string,
  text: string,
  workspace: Workspace,
  byName: ReadonlyMap<string, Workspace>,
  root: Manifest,
): string[] {
  const isSource = path.startsWith(`${workspace.folder}/src/`);
  const { imports, computedImportLines, referenceLines } = scanModule(path, text);
  const findings = isSource
    ? referenceLines.map((line) => `${path}:${line}: a reference directive brings in types`)
    : [];
  // A program imports what its user names; nobody else may hide what it imports.
  if (isSource && roleOf(workspace) !== "app") {
    findings.push(...computedImportLines.map((line) => `${path}:${line}: the imported module is not a plain string`));
  }
  for (const { specifier, line } of imports) {
    const problem = checkImport(specifier, { path, isSource, workspace, byName, root });
    if (problem) findings.push(`${path}:${line}: "${specifier}" ${problem}`);
  }
  return findings;
}

interface Importer {
  readonly path: string;
  readonly isSource: boolean;
  readonly workspace: Workspace;
  readonly byName: ReadonlyMap<string, Workspace>;
  readonly root: Manifest;
}

function checkImport(specifier: string, importer: Importer): string | undefined {
  const { path, isSource, workspace, byName, root } = importer;
  if (specifier.startsWith(".")) {
    const target = posix.join(posix.dirname(path), specifier);
    if (!target.startsWith(`${workspace.folder}/`)) return "leaves its workspace";
    if (isSource && !target.startsWith(`${workspace.folder}/src/`)) return "leaves the sources";
    return undefined;
  }
  if (specifier.includes(":") || specifier.startsWith("/") || builtins.has(specifier)) {
    if (!specifier.startsWith("node:")) return "is no package and no node: module";
    return isSource && withoutRuntime(workspace) ? "is a runtime's API" : undefined;
  }

  const { name, subPath } = splitSpecifier(specifier);
  const target = byName.get(name);
  if (target && !Object.hasOwn(target.manifest.exports ?? {}, subPath)) return `is not exported by ${name}`;
  if (name === workspace.manifest.name) return isSource ? "is the package itself: import by path" : undefined;
  if (target) {
    const edge = checkEdge(workspace, target, isSource);
    if (edge) return edge;
  }
  return isDeclared(name, workspace.manifest, root, isSource) ? undefined : "is not declared in package.json";
}

function checkEdge(from: Workspace, to: Workspace, isSource: boolean): string | undefined {
  const role = roleOf(from);
  const target = roleOf(to);
  const allowed = mayPointTo(role, to) || (!isSource && testMayImport[role].includes(target));
  if (!allowed) return `points from ${from.folder} to ${to.folder}: imports point down`;
  const isPeer = Object.hasOwn(from.manifest.peerDependencies ?? {}, to.manifest.name);
  return isSource && role !== "app" && !isPeer ? "is not a peerDependency" : undefined;
}

function isDeclared(name: string, own: Manifest, root: Manifest, isSource: boolean): boolean {
  const shipped = { ...own.dependencies, ...own.peerDependencies };
  return Object.hasOwn(isSource ? shipped : { ...shipped, ...own.devDependencies, ...root.devDependencies }, name);
}

function splitSpecifier(specifier: string): { name: string; subPath: string } {
  const parts = specifier.split("/");
  const name = parts.slice(0, specifier.startsWith("@") ? 2 : 1).join("/");
  return { name, subPath: `.${specifier.slice(name.length)}` };
}

function findCycles(workspaces: readonly Workspace[], byName: ReadonlyMap<string, Workspace>): string[] {
  const done = new Set<Workspace>();
  const walk = (workspace: Workspace, trail: readonly Workspace[]): string[] => {
    const back = trail.indexOf(workspace);
    if (back >= 0) {
      const names = [...trail.slice(back), workspace].map(({ manifest }) => manifest.name);
      return [`cycle of dependencies: ${names.join(" -> ")}`];
    }
    if (done.has(workspace)) return [];
    const { dependencies, peerDependencies } = workspace.manifest;
    const cycles = Object.keys({ ...dependencies, ...peerDependencies }).flatMap((name) => {
      const target = byName.get(name);
      return target ? walk(target, [...trail, workspace]) : [];
    });
    done.add(workspace);
    return cycles;
  };
  return workspaces.flatMap((workspace) => walk(workspace, []));
}
