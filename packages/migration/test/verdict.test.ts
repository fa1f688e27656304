// The early verdict, over guests that are rules: never wrong on one that would have converged, early on one that never does.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ConvergenceJudge, type RoundRates } from "../src/converge/verdict.ts";
import {
  bursts,
  constantRate,
  type Guest,
  type Hopeless,
  type Outcome,
  preCopy,
  type Run,
  workingSet,
} from "./support/guest-model.ts";

const horizonRounds = 10;

/** A guest that was given up must not converge in the rounds that the verdict is about. */
function expectNeverWrong({ verdicts, convergedAfter }: Outcome): void {
  for (const { round, judged } of verdicts) {
    if (judged.verdict !== "will-not-converge" || convergedAfter === undefined) continue;
    expect(convergedAfter).toBeGreaterThan(round + horizonRounds);
  }
}

function hopeless(outcome: Outcome): { readonly round: number; readonly atMs: number; readonly judged: Hopeless } {
  const [first] = outcome.verdicts;
  if (first?.judged.verdict !== "will-not-converge") throw new Error("there is no such verdict");
  return { ...first, judged: first.judged };
}

const machine = {
  pages: fc.integer({ min: 200, max: 4000 }),
  seed: fc.integer({ min: 0, max: 1_000_000 }),
};

describe("a verdict of hopelessness is never wrong about", () => {
  it("a guest that writes at random at a constant rate", () => {
    let given = 0;
    let converged = 0;
    fc.assert(
      fc.property(
        fc.record({
          ...machine,
          pagesPerMs: fc.double({ min: 0.2, max: 5, noNaN: true }),
          share: fc.double({ min: 0.02, max: 1, noNaN: true }),
          // Of the bandwidth: below, at and beyond it.
          rate: fc.double({ min: 0.05, max: 3, noNaN: true }),
          limit: fc.double({ min: 0.002, max: 0.3, noNaN: true }),
        }),
        ({ pages, pagesPerMs, share, rate, limit, seed }) => {
          const guest = constantRate(Math.ceil(pages * share), rate * pagesPerMs);
          const downtimeLimitMs = (limit * pages) / pagesPerMs;
          const outcome = preCopy({ pages, pagesPerMs, downtimeLimitMs, guest, seed, mostRounds: 60 });
          if (outcome.verdicts.length > 0) given++;
          if (outcome.convergedAfter !== undefined) converged++;
          expectNeverWrong(outcome);
        },
      ),
      { seed: 6, numRuns: 1000 },
    );
    // Neither of the two is what the test lives on alone.
    expect(given).toBeGreaterThan(100);
    expect(converged).toBeGreaterThan(100);
  });

  it("a guest of few pages, of which chance leaves more or less behind in each round", () => {
    let close = 0;
    fc.assert(
      fc.property(
        fc.record({
          pages: fc.integer({ min: 20, max: 80 }),
          seed: machine.seed,
          rate: fc.double({ min: 0.8, max: 3, noNaN: true }),
          limit: fc.double({ min: 0.2, max: 0.9, noNaN: true }),
        }),
        ({ pages, rate, limit, seed }) => {
          const pagesPerMs = pages / 400;
          const guest = constantRate(pages, rate * pagesPerMs);
          const run = { pages, pagesPerMs, downtimeLimitMs: (limit * pages) / pagesPerMs, guest, seed };
          const outcome = preCopy({ ...run, mostRounds: 40 });
          if ((outcome.convergedAfter ?? 0) > 5) close++;
          expectNeverWrong(outcome);
        },
      ),
      { seed: 9, numRuns: 3000 },
    );
    expect(close).toBeGreaterThan(30);
  });

  it("a guest that writes to the same pages all the time", () => {
    let given = 0;
    let converged = 0;
    fc.assert(
      fc.property(
        fc.record({
          ...machine,
          pagesPerMs: fc.double({ min: 0.2, max: 5, noNaN: true }),
          share: fc.double({ min: 0.005, max: 1, noNaN: true }),
          limit: fc.double({ min: 0.005, max: 0.5, noNaN: true }),
        }),
        ({ pages, pagesPerMs, share, limit, seed }) => {
          const hot = Math.ceil(pages * share);
          const downtimeLimitMs = (limit * pages) / pagesPerMs;
          const run = { pages, pagesPerMs, downtimeLimitMs, guest: workingSet(hot), seed, mostRounds: 1000 };
          const outcome = preCopy(run);
          expectNeverWrong(outcome);
          const threshold = pagesPerMs * downtimeLimitMs;
          if (hot <= threshold) {
            expect(outcome.verdicts).toEqual([]);
            expect(outcome.convergedAfter).toBe(1);
            converged++;
          } else if (hot - 4 * Math.sqrt(hot) > 1.3 * threshold) {
            // As soon as there are three rounds behind the first one, and a second of them.
            const { round, judged } = hopeless(outcome);
            expect(round).toBeLessThanOrEqual(latest(outcome));
            expect(judged.because).toBe("rates");
            expect(judged.confidence).toBeGreaterThan(0.7);
            expect(judged.evidence.rounds).toBeGreaterThanOrEqual(3);
            expect(judged.evidence.intervalMs).toBeGreaterThanOrEqual(1000);
            given++;
          }
        },
      ),
      { seed: 7, numRuns: 250 },
    );
    expect(given).toBeGreaterThan(100);
    expect(converged).toBeGreaterThan(50);
  });

  it("a guest that works in bursts which are short beside what was measured, with pauses of two rounds", () => {
    let slowed = 0;
    fc.assert(
      fc.property(
        fc.record({
          ...machine,
          pagesPerMs: fc.double({ min: 0.5, max: 20, noNaN: true }),
          share: fc.double({ min: 0.05, max: 1, noNaN: true }),
          rate: fc.option(fc.double({ min: 0.5, max: 20, noNaN: true }), { nil: undefined }),
          onMs: fc.double({ min: 1, max: 333, noNaN: true }),
          more: fc.double({ min: 1, max: 3, noNaN: true }),
          phase: fc.double({ min: 0, max: 1, noNaN: true }),
          limit: fc.double({ min: 0.002, max: 0.1, noNaN: true }),
        }),
        ({ pages, pagesPerMs, share, rate, onMs, more, phase, limit, seed }) => {
          const hot = Math.ceil(pages * share);
          const busy = rate === undefined ? workingSet(hot) : constantRate(hot, rate * pagesPerMs);
          const offMs = (2 * pages * more) / pagesPerMs;
          const guest = bursts(busy, onMs, offMs, phase * (onMs + offMs));
          const downtimeLimitMs = (limit * pages) / pagesPerMs;
          const outcome = preCopy({ pages, pagesPerMs, downtimeLimitMs, guest, seed, mostRounds: 5000 });
          expect(outcome.verdicts).toEqual([]);
          expect(outcome.convergedAfter).toBeDefined();
          if (outcome.rounds.length > 3) slowed++;
        },
      ),
      { seed: 8, numRuns: 500 },
    );
    expect(slowed).toBeGreaterThan(10);
  });
});

describe("what would help, does", () => {
  const base = { pages: 4000, pagesPerMs: 2, downtimeLimitMs: 50, seed: 3, mostRounds: 60 };
  const writesPerMs = 6;
  const random = (times = 1): Guest => constantRate(3000, writesPerMs * times);
  const { judged } = hopeless(preCopy({ ...base, guest: random() }));
  const again = (run: Partial<Run>): number | undefined => preCopy({ ...base, guest: random(), ...run }).convergedAfter;

  it("as a longer downtime, which is about what is pending", () => {
    const downtimeLimitMs = judged.help["downtime-limit"] ?? 0;
    expect(downtimeLimitMs).toBeGreaterThan(50);
    expect(downtimeLimitMs).toBeLessThan(2000);
    expect(again({ downtimeLimitMs })).toBeLessThan(10);
  });

  it("as slower CPUs, and not slower than needed by far", () => {
    const percentage = judged.help["cpu-throttle-percentage"] ?? 0;
    // 2 of 6 pages can be sent: 67% at the very least.
    expect(percentage).toBeGreaterThan(67);
    expect(percentage).toBeLessThan(80);
    expect(again({ guest: random(1 - percentage / 100) })).toBeLessThan(30);
    expect(again({ guest: random(0.45) })).toBeUndefined();
  });

  it("as slower CPUs in all, where they are slow already", () => {
    const slowed = hopeless(preCopy({ ...base, guest: random(0.7), throttlePercentage: 30 })).judged;
    const percentage = slowed.help["cpu-throttle-percentage"] ?? 0;
    expect(Math.abs(percentage - (judged.help["cpu-throttle-percentage"] ?? 0))).toBeLessThan(6);
  });

  it("as more bandwidth", () => {
    const pagesPerMs = (judged.help.bandwidth ?? 0) / 1000 / 4096;
    expect(pagesPerMs).toBeGreaterThan(writesPerMs);
    expect(pagesPerMs).toBeLessThan(1.5 * writesPerMs);
    expect(again({ pagesPerMs })).toBeLessThan(30);
  });

  it("and of a guest that writes to the same pages nobody knows how often, no percentage is told", () => {
    const { help } = hopeless(preCopy({ ...base, guest: workingSet(1000) })).judged;
    expect(help["cpu-throttle-percentage"]).toBeUndefined();
    // 1000 pages at 2 a millisecond, and a fifth in reserve.
    expect(help["downtime-limit"]).toBe(625);
    // 1000 pages in 50 ms, likewise.
    expect(help.bandwidth).toBe(1000 * 4096 * 20 * 1.25);
  });
});

describe("the judge", () => {
  const conditions = {
    thresholdBytes: 100 * 4096,
    downtimeLimitMs: 100,
    bandwidthBytesPerMs: 4096,
    pageBytes: 4096,
    throttlePercentage: 0,
    canThrottle: false,
    canPostcopy: true,
  };
  const round = (work: number, dirty: number, durationMs = 500): RoundRates => ({
    durationMs,
    workBytes: work * 4096,
    sentBytes: work * 4096,
    dirtyBytes: dirty * 4096,
    pendingBytes: dirty * 4096,
  });
  const judged = (rounds: readonly RoundRates[], maySpeak = true) => {
    const judge = new ConvergenceJudge();
    return rounds.map((each) => judge.judge(each, conditions, maySpeak)?.verdict);
  };

  it("needs three rounds, and a second", () => {
    const bad = round(1000, 1000);
    expect(judged([bad, bad, bad, bad])).toEqual([undefined, undefined, "will-not-converge", undefined]);
    const short = round(1000, 1000, 250);
    expect(judged([short, short, short, short])).toEqual([undefined, undefined, undefined, "will-not-converge"]);
  });

  it("takes it back when two rounds say otherwise, and gives it again", () => {
    const bad = round(1000, 1000);
    const good = round(1000, 200);
    expect(judged([bad, bad, bad, good, bad, good, good, bad, bad, bad]).slice(2)).toEqual([
      "will-not-converge",
      ...[undefined, undefined, undefined, "converging"],
      ...[undefined, undefined, "will-not-converge"],
    ]);
  });

  it("takes it back at once when what is left fits", () => {
    const bad = round(1000, 1000);
    expect(judged([bad, bad, bad, round(1000, 50)])[3]).toBe("converging");
  });

  it("says nothing while it is not to speak, or the bandwidth is not known", () => {
    const bad = round(1000, 1000);
    expect(judged([bad, bad, bad, bad], false)).toEqual([undefined, undefined, undefined, undefined]);
    const judge = new ConvergenceJudge();
    const unknown = { ...conditions, bandwidthBytesPerMs: undefined, thresholdBytes: 0 };
    for (let i = 0; i < 5; i++) expect(judge.judge(bad, unknown, true)).toBeUndefined();
  });

  it("forgets what was measured under other conditions", () => {
    const judge = new ConvergenceJudge();
    const bad = round(1000, 1000);
    judge.judge(bad, conditions, true);
    judge.judge(bad, conditions, true);
    judge.conditionsChanged();
    expect([1, 2, 3].map(() => judge.judge(bad, conditions, true)?.verdict)).toEqual([
      undefined,
      undefined,
      "will-not-converge",
    ]);
  });

  it("names post-copy where both sides offer it, and the limit of rounds where that is the reason", () => {
    const judge = new ConvergenceJudge();
    judge.judge(round(1000, 900), conditions, true);
    expect(judge.outOfRounds(conditions)).toMatchObject({
      verdict: "will-not-converge",
      because: "max-rounds",
      evidence: { rounds: 1, intervalMs: 500 },
      help: { "postcopy-ram": true, "cpu-throttle-percentage": undefined },
    });
    expect(judge.outOfRounds(conditions)).toBeUndefined();
  });
});

function latest({ rounds }: Outcome): number {
  let lastedMs = 0;
  for (const [index, { durationMs }] of rounds.entries()) {
    if (index > 0) lastedMs += durationMs;
    if (index >= 3 && lastedMs >= 1000) return index + 1;
  }
  throw new Error("too few rounds for a verdict");
}
