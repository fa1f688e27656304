// What `jsr.json` says of a package: all of it follows from `package.json`.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Manifest, readWorkspaces, repositoryRoot, type Workspace } from "../workspaces.ts";

/**
 * The packages that JSR carries: none of their public types has to be inferred, and whatever of ours they import is there, too. The
 * others come by `npm:`: a description's type is inferred from its fields, and JSR takes no such type ("slow types").
 */
export const carried: readonly string[] = [
  "@godwit/core",
  "@godwit/migration",
  "@godwit/qtailq-codec",
  "@godwit/ram-dirty-tracker",
  "@godwit/testkit",
  "@godwit/transport",
];

export interface JsrManifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly exports: Readonly<Record<string, string>>;
  readonly imports: Readonly<Record<string, string>>;
  readonly publish: { readonly include: readonly string[] };
}

/** The third-party packages that a package's users get, each with a range of one term. */
export function thirdParties({ dependencies, peerDependencies }: Manifest): Map<string, string> {
  const all = Object.entries({ ...dependencies, ...peerDependencies });
  return new Map(
    all
      .filter(([name]) => !isOwn(name))
      .map(([name, range]) => [name, npmRange(name, range === "catalog:" ? catalogRange(name) : range)]),
  );
}

export function jsrManifest(
  { manifest }: Workspace,
  isCarried = (name: string) => carried.includes(name),
): JsrManifest {
  const { name, version = "0.0.0", exports: entries = {}, dependencies, peerDependencies } = manifest;
  const sources = Object.entries(entries).flatMap(([entry, target]): [string, string][] => {
    const source = (target as Record<string, string>)["godwit:source"];
    return source === undefined ? [] : [[entry, source]];
  });
  const own = Object.entries({ ...dependencies, ...peerDependencies }).filter(([one]) => isOwn(one));
  const missing = own.map(([one]) => one).filter((one) => !isCarried(one));
  if (missing.length > 0) throw new Error(`${name} imports ${missing.join(", ")}, which JSR does not carry`);
  const imports = [
    ...own.map(([one, range]) => [one, `jsr:${one}@${jsrRange(range)}`] as const),
    ...[...thirdParties(manifest)].map(([one, range]) => [one, `npm:${one}@${range}`] as const),
  ];
  return {
    name,
    version,
    license: "MIT",
    exports: Object.fromEntries(sources),
    imports: Object.fromEntries(imports.sort(([a], [b]) => (a < b ? -1 : 1))),
    publish: { include: ["src", "CHANGELOG.md", "README.md", "UPGRADING.md"] },
  };
}

/**
 * `>=0.1.0 <1` is no range in a specifier, which takes a single term. Below 1.0 a caret would end at the next minor: `0` is
 * all of the major, of which Deno takes the newest.
 */
export function jsrRange(peerRange: string): string {
  const [, low = "", major] = /^>=((\d+)\.\d+\.\d+) <\d+$/.exec(peerRange) ?? [];
  if (major === undefined) throw new Error(`"${peerRange}" is not of the form ">=0.1.0 <1"`);
  return major === "0" ? "0" : `^${low}`;
}

/** A range of several majors is no single term: of such a peer it is the major that this repository is tested with. */
function npmRange(name: string, range: string): string {
  const [, low, end] = /^>=(\d+) <(\d+)$/.exec(range) ?? [];
  if (low === undefined) return range;
  const major = Number(/^\d+/.exec(root().devDependencies[name] ?? "")?.[0]);
  if (!(major >= Number(low) && major < Number(end))) throw new Error(`${name} is not tested with any of "${range}"`);
  return `^${major}.0.0`;
}

export function jsrText(workspace: Workspace): string {
  const text = JSON.stringify(jsrManifest(workspace), undefined, 2);
  // As the formatter has it: a list stands in one line.
  return `${text.replaceAll(/\[\s*([^\]]*?)\s*\]/g, (_, list: string) => `[${list.replaceAll(/\s+/g, " ")}]`)}\n`;
}

export function carriedWorkspaces(root = repositoryRoot): Workspace[] {
  return readWorkspaces(root).filter(({ manifest }) => carried.includes(manifest.name));
}

const isOwn = (name: string) => name.startsWith("@godwit/");

interface RootManifest {
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly workspaces: { readonly catalog: Readonly<Record<string, string>> };
}

function root(): RootManifest {
  return JSON.parse(readFileSync(join(repositoryRoot, "package.json"), "utf8"));
}

function catalogRange(name: string): string {
  const range = root().workspaces.catalog[name];
  if (range === undefined) throw new Error(`the catalog has no ${name}`);
  return range;
}
