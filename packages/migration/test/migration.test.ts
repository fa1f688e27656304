// A migration from its first byte to its last, over every wire.
import type { MigrationStatistics, RoundSummary, SourceState } from "@godwit/migration";
import { describe, expect, it } from "vitest";
import { Rig, type Wire } from "./support/rig.ts";

describe.each<Wire>(["memory", "tcp"])("a migration over %s", (wire) => {
  it("moves a machine that keeps writing, byte for byte", async () => {
    const rig = new Rig({ wire, source: { pages: 256, dirtyPagesPerTick: 3 } });
    const statuses: string[] = [];
    const destinationStatuses: string[] = [];
    const rounds: RoundSummary[] = [];
    rig.outgoing.events.on("status", (state: SourceState) => statuses.push(state.status));
    rig.incoming.events.on("status", (state) => destinationStatuses.push(state.status));
    rig.outgoing.events.on("round", (round) => rounds.push(round));
    const { source, destination } = await rig.run();
    rig.expectMoved();
    expect(source.state).toEqual({ status: "completed" });
    expect(destination.state).toEqual({ status: "completed" });
    expect(statuses.filter((status, i) => status !== statuses[i - 1])).toEqual([
      "connecting",
      "preamble",
      "setup",
      "active",
      "quiescing",
      "device",
      "verifying",
      "releasing",
      "released",
      "completed",
    ]);
    expect(destinationStatuses).toEqual([
      "waiting",
      "preamble",
      "active",
      "checking",
      "prepared",
      "committing",
      "resuming",
      "completed",
    ]);
    expect(rounds.length).toBeGreaterThan(1);
    expect(rounds.map(({ round }) => round)).toEqual(rounds.map((_, i) => i + 1));
    expect(rounds[0]?.bytes).toBeGreaterThanOrEqual(256 * 4096);
    expect(rounds.at(-1)?.bytes).toBeLessThan(256 * 4096);
    expect(destination.load?.loadOrder).toEqual(["ram/0"]);
    expect(destination.sourceTold).toBe(true);
    expect(rig.source.ticks).toBeGreaterThan(0);
  });

  it("moves an idle machine in one round, and leaves no timer behind", async () => {
    const rig = new Rig({ wire, source: { dirtyPagesPerTick: 0 } });
    const { source } = await rig.run();
    rig.expectMoved();
    expect(source.statistics.ram["dirty-sync-count"]).toBe(1);
    expect(rig.clock.timers).toBe(0);
  });

  it("can be moved on: a destination is a source like any other", async () => {
    const rig = new Rig({ wire });
    await rig.run();
    const onward = new Rig({ wire });
    onward.source.memory.set(rig.destination.memory);
    await onward.run();
    onward.expectMoved();
  });

  it("tries again after a refusal, and succeeds", async () => {
    const rig = new Rig({ wire, destination: { failAt: { step: "prepare" } } });
    const { source } = await rig.run();
    expect(source.state.status).toBe("failed");
    rig.expectStayed();
    const again = new Rig({ wire });
    again.source.memory.set(rig.source.memory);
    const second = await again.run();
    expect(second.source.state.status).toBe("completed");
    again.expectMoved();
  });
});

describe("an outgoing migration", () => {
  it("calls the machine in the order that keeps its state whole", async () => {
    const rig = new Rig();
    await rig.run();
    const steps = rig.source.log.filter((step, i, all) => step !== all[i - 1]);
    expect(steps).toEqual([
      "manifest",
      "outgoing",
      "setup",
      "manifest",
      "iterate",
      "quiesce",
      "pause",
      "complete",
      "attempt-end",
    ]);
    const there = rig.destination.log.filter((step, i, all) => step !== all[i - 1]);
    expect(there).toEqual(["manifest", "incoming", "push", "end", "prepare", "commit", "resume"]);
  });

  it("tells of every section that it sent", async () => {
    const rig = new Rig();
    const phases: string[] = [];
    rig.outgoing.events.on("section", (section) => phases.push(section.phase));
    const { source } = await rig.run();
    expect(phases).toEqual(source.sections.map((section) => section.phase));
    expect(phases.at(0)).toBe("start");
    expect(phases.slice(-2)).toEqual(["end", "full"]);
  });

  it("runs only once", async () => {
    const rig = new Rig();
    await rig.run();
    await expect(rig.outgoing.run()).rejects.toMatchObject({ code: "PROTOCOL_ORDER" });
    await expect(rig.incoming.run()).rejects.toMatchObject({ code: "PROTOCOL_ORDER" });
  });

  it("is not harmed by a listener that throws; the error surfaces by itself", async () => {
    const rig = new Rig();
    rig.outgoing.events.once("round", () => {
      throw new Error("a listener's own fault");
    });
    await expect(
      (async () => {
        const { source } = await rig.run();
        expect(source.state.status).toBe("completed");
        rig.clock.advance(1);
      })(),
    ).rejects.toThrow("a listener's own fault");
    rig.expectMoved();
  });

  it("refuses options that cannot be", () => {
    for (const outgoing of [
      { sliceBytes: 0 },
      { parameters: { "downtime-limit": -1 } },
      { maxRounds: Number.NaN },
      { parameters: { "max-bandwidth": -1 } },
      { peerTimeoutMs: 0 },
      { peerTimeoutMs: Number.POSITIVE_INFINITY },
      { switchoverTimeoutMs: 2 ** 31 },
      { switchoverTimeoutMs: 0 },
    ]) {
      expect(() => new Rig({ outgoing }), JSON.stringify(outgoing)).toThrow(
        expect.objectContaining({ code: "OPTION_INVALID" }),
      );
    }
  });

  it("tells its progress at least four times a second, however slow it is", async () => {
    const rig = new Rig({
      source: { pages: 512, dirtyPagesPerTick: 0 },
      outgoing: { parameters: { "max-bandwidth": 1_000_000 } },
    });
    const atMs: number[] = [];
    const seen: MigrationStatistics[] = [];
    const startMs = rig.clock.nowMs();
    rig.outgoing.events.on("progress", (statistics) => {
      atMs.push(rig.clock.nowMs());
      seen.push(statistics);
    });
    await rig.run(10);
    const gaps = atMs.map((ms, i) => ms - (atMs[i - 1] ?? startMs));
    expect(Math.max(...gaps)).toBeLessThanOrEqual(250);
    expect(seen.length).toBeGreaterThan(8);
    expect(seen.at(0)).toHaveProperty("expected-downtime");
    expect(seen.at(-1)).toHaveProperty("downtime");
  });
});
