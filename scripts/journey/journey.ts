// What every step of the journey works with.
import { cpSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { LocalRegistry } from "../registry/registry.ts";
import type { Shell } from "./shell.ts";

export interface Journey {
  /** A folder outside of the repository, for this journey alone. */
  readonly root: string;
  readonly registry: LocalRegistry;
  readonly shell: Shell;
  /** Makes an empty folder for a user, whose projects share nothing but caches. */
  user(name: string): string;
}

export interface Step {
  /** What is done, as it is printed. */
  readonly name: string;
  /** Nothing behind it can be tried when it fails. */
  readonly first?: true;
  /** What it returns is printed behind the name. Throws where something is not as it must be. */
  run(journey: Journey): Promise<string | undefined>;
}

/** Steps of which each needs the one before it, and `last` ones, which need all of these and not one another. */
export function inTurn(steps: readonly Step[], last: readonly Step[] = []): Step[] {
  let failed: string | undefined;
  const guard = (step: Step, isNeeded: boolean): Step => ({
    ...step,
    async run(journey) {
      expect(failed === undefined, `not tried, since this failed: ${failed}`);
      try {
        return await step.run(journey);
      } catch (error) {
        if (isNeeded) failed = step.name;
        throw error;
      }
    },
  });
  return [...steps.map((step) => guard(step, true)), ...last.map((step) => guard(step, false))];
}

/** `what` says what should have been. */
export function expect(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

export function expectSame(found: unknown, wanted: unknown, what: string): void {
  const [is, should] = [found, wanted].map((value) => JSON.stringify(value));
  expect(is === should, `${what}: expected ${should}; found ${is}`);
}

/** Where the sources of the guide "Ten minutes" are, from this folder. */
export const guideCode = "../../docs/guides/code/ten-minutes";

/** Copies sources of this folder's into a user's. */
export function copySources(from: string, names: readonly string[], into: string): void {
  mkdirSync(into, { recursive: true });
  for (const name of names) cpSync(join(import.meta.dirname, from, name), join(into, name), { recursive: true });
}

export function writeJson(path: string, value: unknown): void {
  writeFileSync(path, `${JSON.stringify(value, undefined, 2)}\n`);
}

/** The packages of a `node_modules` folder, those inside of packages too; none where there is no such folder. */
export function installedIn(folder: string): string[] {
  const names = new Set<string>();
  const look = (modules: string): void => {
    if (!existsSync(modules)) return;
    for (const entry of readdirSync(modules).filter((name) => !name.startsWith("."))) {
      const found = entry.startsWith("@")
        ? readdirSync(join(modules, entry)).map((name) => `${entry}/${name}`)
        : [entry];
      for (const name of found) {
        names.add(name);
        look(join(modules, name, "node_modules"));
      }
    }
  };
  look(join(folder, "node_modules"));
  return [...names].sort();
}

export const linesOf = (output: string): string[] => output.trimEnd().split("\n");

export function lastLine(output: string): string {
  return output.trimEnd().split("\n").at(-1) ?? "";
}
