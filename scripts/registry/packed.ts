// What must not stand in a manifest that leaves this repository.
import type { Manifest } from "../workspaces.ts";

interface Packed extends Manifest {
  readonly bin?: string | Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** Set by nobody but this repository: what it names need not be there. */
const ownCondition = "godwit:source";

/** What is wrong with a packed manifest, a line each. `files`: what lies beside it, as `./dist/index.js`. */
export function manifestFindings(manifest: Packed, files: readonly string[]): string[] {
  return [...rangeFindings(manifest), ...fileFindings(manifest, new Set(files))];
}

/** Ranges that mean something inside of a workspace only. */
export function rangeFindings(manifest: Packed): string[] {
  const { dependencies, peerDependencies, optionalDependencies, devDependencies } = manifest;
  const all = { dependencies, peerDependencies, optionalDependencies, devDependencies };
  return Object.entries(all).flatMap(([kind, ranges = {}]) =>
    Object.entries(ranges)
      .filter(([, range]) => /^(workspace|catalog|file|link|portal|patch):/.test(range))
      .map(([name, range]) => `${kind}: ${name} is "${range}", which nobody else can resolve`),
  );
}

function fileFindings({ exports = {}, bin = {} }: Packed, files: ReadonlySet<string>): string[] {
  const programs = typeof bin === "string" ? [bin] : Object.values(bin);
  const named = [...targets(exports), ...programs.map((program) => program.replace(/^(\.\/)?/, "./"))];
  return [...new Set(named)].filter((file) => !files.has(file)).map((file) => `${file} is named, and not packed`);
}

function* targets(of: unknown): Iterable<string> {
  if (typeof of === "string") yield of;
  if (typeof of !== "object" || of === null) return;
  for (const [condition, target] of Object.entries(of)) {
    if (condition !== ownCondition) yield* targets(target);
  }
}
