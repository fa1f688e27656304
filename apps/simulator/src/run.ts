// Many seeds, one after the other, and what became of them.
import type { Canary } from "./canary.ts";
import { type Outcome, outcomes } from "./outcomes.ts";
import { warmUp } from "./warm-up.ts";
import { runSeed, type SeedResult } from "./world.ts";

export interface RunOptions {
  readonly from: number;
  readonly seeds: number;
  readonly canary?: Canary | undefined;
  /** Called after each seed. False: no further one. */
  readonly each?: (result: SeedResult) => boolean;
}

export interface RunSummary {
  readonly seeds: number;
  readonly counts: Readonly<Record<Outcome, number>>;
  /** Seeds that broke the guarantee, and the first of them. */
  readonly failed: number;
  readonly failures: readonly SeedResult[];
}

/** So many are kept: memory does not grow with the seeds, whatever becomes of them. */
const mostKept = 5;

export async function runSeeds({ from, seeds, canary, each }: RunOptions): Promise<RunSummary> {
  await warmUp();
  const counts = Object.fromEntries(outcomes.map((outcome) => [outcome, 0])) as Record<Outcome, number>;
  const failures: SeedResult[] = [];
  let done = 0;
  let failed = 0;
  for (let seed = from; seed < from + seeds; seed++) {
    const result = await runSeed(seed, { canary });
    done++;
    for (const outcome of result.outcomes) counts[outcome]++;
    if (result.violations.length > 0 && failed++ < mostKept) failures.push(result);
    if (each?.(result) === false) break;
  }
  return { seeds: done, counts, failed, failures };
}

/** How a failure is told, and how it is repeated. */
export function failureText({ seed, violations, tail, plan }: SeedResult, canary?: Canary): string {
  const repeat = `bun run simulate --seed ${seed}${canary === undefined ? "" : ` --canary ${canary}`}`;
  return [
    `seed ${seed}: ${[...plan.kinds].join(" ") || "no disturbance"}`,
    ...violations.map((violation) => `  ${violation}`),
    "  its trace, up to the first of that:",
    ...tail.map((line) => `    ${line}`),
    `  repeat it with: ${repeat}`,
  ].join("\n");
}

export function countsText(counts: RunSummary["counts"]): string {
  return outcomes.map((outcome) => `${outcome} ${counts[outcome]}`).join(", ");
}
