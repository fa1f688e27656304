// The guarantee under seeded disturbances, the simulator's own promise that a seed repeats, and its canaries.
import { beforeAll, describe, expect, it } from "vitest";
import { canaries } from "../src/canary.ts";
import { outcomes } from "../src/outcomes.ts";
import { countsText, failureText, type RunSummary, runSeeds } from "../src/run.ts";
import type { SeedResult } from "../src/world.ts";

// All of the seeds run where CI runs the whole suite. The code under them names no runtime, so that on the others a part
// is enough to see that it runs there as well, and that its seeds lead to the same traces is checked on each.
const isBun = process.versions["bun"] !== undefined;
const seeds = isBun ? 1000 : 100;
const longMs = 600_000;

describe(`${seeds} seeds`, () => {
  let summary: RunSummary;

  beforeAll(async () => {
    summary = await runSeeds({ from: 1, seeds });
    console.log(`${summary.seeds} seeds: ${countsText(summary.counts)}`);
  }, longMs);

  it("keep the guarantee", () => {
    expect(summary.failures.map((failure) => failureText(failure))).toEqual([]);
    expect([summary.seeds, summary.failed]).toEqual([seeds, 0]);
  });

  it.each(outcomes)("lead to the outcome %s", (outcome) => {
    expect(summary.counts[outcome]).toBeGreaterThan(0);
  });
});

describe("a seed", () => {
  it("repeats exactly", async () => {
    const hashes: string[][] = [[], []];
    for (const list of hashes) {
      await runSeeds({ from: 1, seeds: 30, each: ({ hash, lines }) => list.push(`${hash} ${lines}`) > 0 });
    }
    expect(hashes[0]).toEqual(hashes[1]);
    expect(new Set(hashes[0]).size).toBe(30);
  });

  it("does not depend on the seeds before it", async () => {
    const alone: string[] = [];
    const after: string[] = [];
    await runSeeds({ from: 25, seeds: 1, each: ({ hash }) => alone.push(hash) > 0 });
    await runSeeds({ from: 20, seeds: 6, each: ({ hash }) => after.push(hash) > 0 });
    expect(after.at(-1)).toBe(alone[0]);
  });
});

describe("a broken rule", () => {
  const signs = {
    "resume-in-doubt": "two machines run",
    "run-when-prepared": "two machines run",
    "forget-dirty-page": "memory differs",
    "skip-released": "two machines run",
    "skip-owned": "two machines run",
    "run-before-owned": "was shown after step",
  } as const;

  it.each(canaries)("is caught: %s", { timeout: longMs }, async (canary) => {
    // Each seed in turn, until one shows it.
    const shows = ({ violations }: SeedResult): boolean => violations.some((text) => text.includes(signs[canary]));
    let failure: SeedResult | undefined;
    const each = (result: SeedResult): boolean => {
      if (shows(result)) failure = result;
      return failure === undefined;
    };
    await runSeeds({ from: 1, seeds: 5000, canary, each });
    expect(failure?.tail.at(-1)).toContain("VIOLATION");
    const text = failure === undefined ? "" : failureText(failure, canary);
    expect(text).toContain(`bun run simulate --seed ${failure?.seed} --canary ${canary}`);
  });
});
