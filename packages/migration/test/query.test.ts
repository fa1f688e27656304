// The answer to query-migrate: which of its keys there are when. That they are QEMU's is tested against QEMU itself.
import { MigrationError } from "@godwit/core";
import type { MigrationInfo, MigrationStatistics } from "@godwit/migration";
import { describe, expect, it } from "vitest";
import { Rig } from "./support/rig.ts";

const figures = ["status", "ram", "total-time", "setup-time"];

describe("query", () => {
  it("answers with nothing before, figures while it goes on, and the downtime when it is over", async () => {
    const rig: Rig = new Rig({ outgoing: { ramCounters: () => rig.source.counters } });
    expect([rig.outgoing.query(), rig.incoming.query()]).toEqual([{}, {}]);
    const answers = new Map<string | undefined, MigrationInfo>();
    const there = new Set<string | undefined>();
    for (const name of ["status", "round"] as const) {
      rig.outgoing.events.on(name, () => {
        const answer = rig.outgoing.query();
        answers.set(answer.status, answer);
        there.add(rig.incoming.query().status);
      });
    }
    const { source } = await rig.run();
    expect(Object.keys(answers.get("setup") ?? {})).toEqual(["status"]);
    expect(Object.keys(answers.get("active") ?? {})).toEqual([...figures, "expected-downtime"]);
    const completed = rig.outgoing.query();
    expect(Object.keys(completed)).toEqual([...figures, "downtime"]);
    expect(completed["total-time"]).toBe(Math.round(source.statistics["total-time"]));
    expect(completed.ram).toMatchObject({
      normal: rig.source.counters.normalPages,
      "page-size": 4096,
      remaining: 0,
      transferred: source.statistics.ram.transferred,
      "dirty-sync-count": source.statistics.ram["dirty-sync-count"],
    });
    const whole = [completed.downtime, completed["total-time"], completed.ram?.["dirty-pages-rate"]];
    for (const value of whole) expect(Number.isInteger(value)).toBe(true);
    expect(rig.incoming.query()).toEqual({ status: "completed" });
    expect(there).toContain("active");
  });

  it("of a failed one says why; of a cancelled one that it was", async () => {
    const failed = new Rig({ source: { failAt: { step: "iterate", error: new Error("the disk is on fire") } } });
    await failed.run();
    expect(failed.outgoing.query()).toEqual({
      status: "failed",
      "error-desc": expect.stringContaining("the disk is on fire"),
    });
    const cancelled = new Rig();
    cancelled.outgoing.events.on("round", () => cancelled.outgoing.cancel());
    await cancelled.run();
    expect(cancelled.outgoing.query()).toEqual({ status: "cancelled" });
  });

  it("names what keeps the machine from migrating", async () => {
    const blocked = new MigrationError("DEVICE_UNMIGRATABLE", "a device cannot migrate: it is bolted down");
    const rig = new Rig({ source: { failAt: { step: "outgoing", error: blocked } } });
    await rig.run();
    expect(rig.outgoing.query()["blocked-reasons"]).toEqual([expect.stringContaining("it is bolted down")]);
  });

  it("tells XBZRLE's cache as the ram handler counts it", async () => {
    const xbzrleCache = {
      "cache-size": 1 << 20,
      bytes: 500,
      pages: 7,
      "cache-miss": 3,
      "cache-miss-rate": 0.3,
      "encoding-rate": 57.3,
      overflow: 1,
    };
    const rig: Rig = new Rig({ outgoing: { ramCounters: () => ({ ...rig.source.counters, xbzrleCache }) } });
    await rig.run();
    expect(rig.outgoing.query()["xbzrle-cache"]).toEqual(xbzrleCache);
    expect(rig.outgoing.statistics()["xbzrle-cache"]).toEqual(xbzrleCache);
  });
});

describe("progress", () => {
  it("comes four times in every second, also while the transport takes nothing", async () => {
    const seconds: number[] = [];
    let isStuck = false;
    const rig: Rig = new Rig({
      source: { pages: 512, dirtyPagesPerTick: 0 },
      // Each piece takes 700 ms, which is a long send for a timer that is set anew after each.
      wrapSource: (channel) => ({
        ...channel,
        async send(bytes) {
          if (bytes.length > 10_000) {
            isStuck = true;
            await new Promise<void>((resolve) => rig.clock.after(700, resolve));
            isStuck = false;
          }
          await channel.send(bytes);
        },
      }),
    });
    const startMs = rig.clock.nowMs();
    const statistics: MigrationStatistics[] = [];
    let stuck = 0;
    rig.outgoing.events.on("progress", (now) => {
      const second = Math.floor((rig.clock.nowMs() - startMs - 1) / 1000);
      seconds[second] = (seconds[second] ?? 0) + 1;
      statistics.push(now);
      if (isStuck) stuck++;
    });
    await rig.run(1);
    const whole = seconds.slice(0, -1);
    expect(whole.length).toBeGreaterThan(5);
    expect(Math.min(...whole)).toBeGreaterThanOrEqual(4);
    expect(stuck).toBeGreaterThan(whole.length);
    expect(statistics.map(({ ram }) => ram.transferred)).toEqual(
      statistics.map(({ ram }) => ram.transferred).sort((a, b) => a - b),
    );
  });
});
