// Rounds, thresholds and verdicts, with figures that can be computed by hand: 16 pages go out in one millisecond.
import type { RoundSummary, Verdict } from "@godwit/migration";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BandwidthEstimate, RateLimit } from "../src/bandwidth.ts";
import { Rig, type RigOptions } from "./support/rig.ts";

const pageBytes = 4096;

async function runWith(options: RigOptions) {
  const rig: Rig = new Rig({ ...options, outgoing: { ramCounters: () => rig.source.counters, ...options.outgoing } });
  const rounds: RoundSummary[] = [];
  const verdicts: Verdict[] = [];
  rig.outgoing.events.on("round", (round) => rounds.push(round));
  rig.outgoing.events.on("verdict", (verdict) => verdicts.push(verdict));
  if (options.outgoing?.whenNotConverging === undefined) {
    rig.outgoing.events.on("verdict", () => rig.outgoing.cancel());
  }
  const reports = await rig.run();
  return { rig, rounds, verdicts, ...reports };
}

describe("pre-copy", () => {
  it("goes on in rounds until what is left fits into the downtime limit", async () => {
    const { rounds, rig, source } = await runWith({
      source: { pages: 256, dirtyPagesPerTick: 8 },
      outgoing: { parameters: { "downtime-limit": 1 } },
    });
    const last = rounds.at(-1);
    expect(rounds.length).toBeGreaterThan(2);
    for (const round of rounds) {
      // Bytes over milliseconds, times the limit of one.
      const thresholdBytes = (round.bandwidthBytesPerSecond ?? 0) / 1000;
      if (round === last) expect(round.pendingBytes).toBeLessThanOrEqual(thresholdBytes);
      else expect(round.pendingBytes).toBeGreaterThan(thresholdBytes);
      expect(round.expectedDowntimeMs).toBeCloseTo(round.pendingBytes / thresholdBytes);
      expect(round.normalPages).toBe(Math.floor(round.bytes / (pageBytes + 5)));
      expect(round.duplicatePages).toBe(0);
    }
    expect(rounds[0]?.normalPages).toBe(256);
    expect(source.statistics.ram["dirty-sync-count"]).toBe(rounds.length);
    rig.expectMoved();
  });

  it("knows its bandwidth before the first round is over", async () => {
    const rig = new Rig({ source: { pages: 1024 } });
    const mbps: number[] = [];
    rig.outgoing.events.on("section", () => mbps.push(rig.outgoing.statistics().ram.mbps));
    rig.outgoing.events.once("round", () => rig.outgoing.cancel());
    await rig.run();
    // 64 KiB a millisecond.
    expect(mbps.at(0)).toBe(0);
    expect(mbps.at(-1)).toBeGreaterThan(400);
    expect(mbps.at(-1)).toBeLessThan(600);
  });

  it("with a limit that all of it fits into still sends all of it once before the pause", async () => {
    const { rounds, source } = await runWith({
      source: { pages: 1024, dirtyPagesPerTick: 1 },
      outgoing: { parameters: { "downtime-limit": 1_000_000 } },
    });
    expect(rounds).toHaveLength(1);
    expect(rounds[0]?.bytes).toBeGreaterThanOrEqual(1024 * pageBytes);
    expect(source.statistics.ram["downtime-bytes"]).toBeLessThan(100 * pageBytes);
  });

  const neverConverges: RigOptions = {
    source: { pages: 64, dirtyPagesPerTick: 120 },
    outgoing: { parameters: { "downtime-limit": 1 } },
  };

  it("says after the given rounds that it will not converge, once, with what would have been needed", async () => {
    const { verdicts, rounds, rig, source } = await runWith({
      ...neverConverges,
      outgoing: { ...neverConverges.outgoing, maxRounds: 5 },
    });
    expect(verdicts).toHaveLength(1);
    const [verdict] = verdicts;
    const round = rounds[4];
    if (verdict?.verdict !== "will-not-converge") throw new Error("no such verdict");
    // Five rounds take some milliseconds: nothing that the rates could be taken from.
    expect(verdict).toMatchObject({ because: "max-rounds", rounds: 5, "downtime-limit": 1 });
    expect(verdict.pendingBytes).toBe(round?.pendingBytes);
    const mostPending = Math.max(...rounds.slice(-3).map(({ pendingBytes }) => pendingBytes));
    const bytesPerMs = (verdict.bandwidthBytesPerSecond ?? 0) / 1000;
    expect(verdict.help["downtime-limit"]).toBe(Math.ceil(mostPending / bytesPerMs / 0.8));
    expect(verdict.help["postcopy-ram"]).toBe(false);
    expect(verdict.dirtyBytesPerSecond).toBeGreaterThan(0);
    expect(verdict.evidence.rounds).toBe(5);
    expect(source.state).toEqual({ status: "cancelled" });
    rig.expectStayed();
  });

  it("then goes on, if so asked, until it does", async () => {
    const rig = new Rig({
      ...neverConverges,
      outgoing: { ...neverConverges.outgoing, maxRounds: 3, whenNotConverging: "continue" },
    });
    const rounds: number[] = [];
    const verdicts: string[] = [];
    rig.outgoing.events.on("verdict", ({ verdict }) => verdicts.push(verdict));
    rig.outgoing.events.on("round", ({ round }) => {
      rounds.push(round);
      // The guest has done its work, and falls quiet.
      if (round === 8) rig.source.tick = () => {};
    });
    await rig.run();
    expect(rounds.length).toBeGreaterThan(7);
    expect(verdicts).toEqual(["will-not-converge", "converging"]);
    rig.expectMoved();
  });

  it("then switches over all the same, if so asked", async () => {
    const { verdicts, rounds, rig } = await runWith({
      ...neverConverges,
      outgoing: { ...neverConverges.outgoing, maxRounds: 3, whenNotConverging: "force" },
    });
    expect(rounds).toHaveLength(3);
    expect(verdicts).toHaveLength(1);
    rig.expectMoved();
  });

  it("then fails, if so asked, with the machine where it was", async () => {
    const { verdicts, source, rig } = await runWith({
      ...neverConverges,
      outgoing: { ...neverConverges.outgoing, maxRounds: 3, whenNotConverging: "fail" },
    });
    expect(verdicts).toHaveLength(1);
    expect(source.state).toMatchObject({ status: "failed", error: { code: "WILL_NOT_CONVERGE" } });
    rig.expectStayed();
  });

  it("keeps below the maximum bandwidth while the machine runs, and not any more when it stands", async () => {
    const bytesPerMs = 20_000;
    const { rounds, rig, source } = await (async () => {
      const limited = new Rig({
        source: { pages: 2048, dirtyPagesPerTick: 0 },
        outgoing: { parameters: { "max-bandwidth": bytesPerMs * 1000 } },
      });
      const seen: RoundSummary[] = [];
      limited.outgoing.events.on("round", (round) => seen.push(round));
      const reports = await limited.run(1);
      return { rig: limited, rounds: seen, ...reports };
    })();
    const [round] = rounds;
    const neededMs = (round?.bytes ?? 0) / bytesPerMs;
    expect(neededMs).toBeGreaterThan(400);
    // What a slice may hold goes at once, of the first one and of the last.
    expect(round?.durationMs).toBeGreaterThanOrEqual(neededMs - 100);
    expect(round?.durationMs).toBeLessThanOrEqual(neededMs + 100);
    expect(source.statistics.ram.mbps).toBeLessThanOrEqual(1.1 * ((bytesPerMs * 8) / 1000));
    rig.expectMoved();
  });
});

describe("the bandwidth estimate", () => {
  it("is unknown until something was received and time has passed", () => {
    const estimate = new BandwidthEstimate(1000);
    expect(estimate.bytesPerMs).toBeUndefined();
    estimate.received(5000, 1000);
    expect(estimate.bytesPerMs).toBeUndefined();
    estimate.received(5000, 1010);
    expect(estimate.bytesPerMs).toBe(500);
  });

  it("is of the last period of at least 100 ms and 1 MiB", () => {
    const estimate = new BandwidthEstimate(0);
    estimate.received(10 << 20, 99);
    expect(estimate.bytesPerMs).toBe((10 << 20) / 99);
    estimate.received(20 << 20, 200);
    expect(estimate.bytesPerMs).toBe((20 << 20) / 200);
    estimate.received(22 << 20, 300);
    expect(estimate.bytesPerMs).toBe((2 << 20) / 100);
    // A trickle says nothing about the connection.
    estimate.received((22 << 20) + 1000, 10_000);
    expect(estimate.bytesPerMs).toBe((2 << 20) / 100);
  });
});

describe("the rate limit", () => {
  it("lets a slice of 100 ms have its share, and then nothing until the next one", () => {
    const limit = new RateLimit(() => 1_000_000, 0);
    expect(limit.budgetBytes(1 << 20, 0)).toBe(100_000);
    expect(limit.budgetBytes(5000, 0)).toBe(5000);
    limit.sent(60_000, 10);
    expect([limit.delayMs(10), limit.budgetBytes(1 << 20, 10)]).toEqual([0, 40_000]);
    limit.sent(40_000, 20);
    expect(limit.delayMs(20)).toBe(80);
    expect([limit.delayMs(100), limit.budgetBytes(1 << 20, 100)]).toEqual([0, 100_000]);
  });

  it("keeps no time that was not used, and takes what was too much from the next slices", () => {
    const limit = new RateLimit(() => 1_000_000, 0);
    expect(limit.budgetBytes(1 << 20, 10_050)).toBe(100_000);
    limit.sent(250_000, 10_050);
    expect(limit.delayMs(10_050)).toBe(50);
    expect(limit.delayMs(10_100)).toBe(100);
    expect([limit.delayMs(10_200), limit.budgetBytes(1 << 20, 10_200)]).toEqual([0, 50_000]);
  });

  it("takes a new maximum at once, and 0 for none", () => {
    let bytesPerSecond = 1000;
    const limit = new RateLimit(() => bytesPerSecond, 0);
    limit.sent(1_000_000, 0);
    expect(limit.delayMs(0)).toBe(100);
    expect(limit.delayMs(5000)).toBe(100);
    bytesPerSecond = 0;
    expect([limit.delayMs(5000), limit.budgetBytes(1 << 20, 5000)]).toEqual([0, 1 << 20]);
  });

  it("never lets more through than the maximum, whatever the slices and steps are", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 10_000, max: 100_000_000 }),
        fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 1 << 20 }), stepMs: fc.integer({ min: 0, max: 150 }) })),
        (bytesPerSecond, sends) => {
          const limit = new RateLimit(() => bytesPerSecond, 0);
          let nowMs = 0;
          let sent = 0;
          for (const { bytes, stepMs } of sends) {
            nowMs += stepMs;
            for (let delay = limit.delayMs(nowMs); delay > 0; delay = limit.delayMs(nowMs)) nowMs += delay;
            const piece = limit.budgetBytes(bytes, nowMs);
            limit.sent(piece, nowMs);
            sent += piece;
            // The slice that has begun counts as a whole one; a fraction of a byte goes as a byte.
            expect(sent).toBeLessThanOrEqual((Math.floor(nowMs / 100) + 1) * (bytesPerSecond / 10) + 1);
          }
        },
      ),
      { seed: 6, numRuns: 200 },
    );
  });
});
