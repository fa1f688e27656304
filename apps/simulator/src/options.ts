// What `bun run simulate` is asked for.
import { parseArgs } from "node:util";
import { type Canary, canaries } from "./canary.ts";

export type Options =
  | { readonly what: "help" }
  /** One seed, with its whole trace. */
  | { readonly what: "seed"; readonly seed: number; readonly canary: Canary | undefined }
  | { readonly what: "seeds"; readonly from: number; readonly seeds: number; readonly canary: Canary | undefined };

/** What is wrong with the command line, in a sentence. */
export class UsageError extends Error {}

const defaultSeeds = 1000;

export const helpText = `bun run simulate [--seeds N] [--from N]   N seeds (${defaultSeeds}), from the first one (1) on: counts of what became of them
bun run simulate --seed N                 one seed, with its whole trace
  --canary NAME                           with a rule of the engine broken from outside: must be caught
                                          ${canaries.slice(0, 3).join(", ")},
                                          ${canaries.slice(3).join(", ")}

Exit: 0 the guarantee held; 1 it did not; 2 wrong use.`;

/** Throws `UsageError`. */
export function parseOptions(args: readonly string[]): Options {
  const { help, seed, seeds, from, canary: name } = valuesIn(args);
  if (help === true) return { what: "help" };
  const canary = canaries.find((one) => one === name);
  if (canary !== name) throw new UsageError(`--canary takes one of ${canaries.join(", ")}, not "${name}"`);
  if (seed === undefined) {
    return {
      what: "seeds",
      from: numberOf("from", from ?? "1", 0),
      seeds: numberOf("seeds", seeds ?? String(defaultSeeds), 1),
      canary,
    };
  }
  if (seeds !== undefined || from !== undefined) throw new UsageError("--seed is one seed: without --seeds and --from");
  return { what: "seed", seed: numberOf("seed", seed, 0), canary };
}

function valuesIn(args: readonly string[]) {
  const text = { type: "string" } as const;
  const options = { seed: text, seeds: text, from: text, canary: text, help: { type: "boolean" } } as const;
  try {
    return parseArgs({ args: [...args], options, allowPositionals: false, strict: true }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function numberOf(name: string, given: string, least: number): number {
  const value = Number(given);
  if (/^\d+$/.test(given) && Number.isSafeInteger(value) && value >= least) return value;
  throw new UsageError(`--${name} takes a whole number from ${least} on, not "${given}"`);
}
