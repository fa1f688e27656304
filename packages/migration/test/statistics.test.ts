import { checkedParameters, type EndedStatistics } from "@godwit/migration";
import { describe, expect, it } from "vitest";
import { SourceRecorder } from "../src/statistics.ts";
import { turn } from "./support/clock.ts";
import { concat } from "./support/machine.ts";
import { Rig } from "./support/rig.ts";

const inputs = {
  status: "active",
  nowMs: 0,
  parameters: checkedParameters(),
  counters: undefined,
  throttlePercentage: 0,
  bufferedBytes: 5,
  mostBufferedBytes: 7,
  error: undefined,
} as const;

describe("statistics", () => {
  it("are QEMU's query-migrate, computed", () => {
    const recorder = new SourceRecorder();
    Object.assign(recorder, {
      startMs: 1000,
      setupMs: 1010,
      activeMs: 1015,
      sentBytes: 5_000_000,
      totalBytes: 8_000_000,
      pendingBytes: 400_000,
      dirtySyncCount: 3,
      dirtyBytesPerMs: 409.6,
      dirtyBytes: 500_000,
      bandwidthBytesPerMs: 20_000,
    });
    const counters = { duplicatePages: 700, normalPages: 300, pageBytes: 4096 };
    expect(recorder.snapshot({ ...inputs, status: "active", nowMs: 2015, counters })).toEqual({
      status: "active",
      ram: {
        transferred: 5_000_000,
        remaining: 400_000,
        total: 8_000_000,
        "dirty-sync-count": 3,
        mbps: 160,
        "precopy-bytes": 5_000_000,
        "downtime-bytes": 0,
        "postcopy-bytes": 0,
        "postcopy-requests": 0,
        "multifd-bytes": 0,
        duplicate: 700,
        normal: 300,
        "normal-bytes": 300 * 4096,
        "page-size": 4096,
        "pages-per-second": 1000,
        "dirty-pages-rate": 100,
      },
      "total-time": 1015,
      "setup-time": 5,
      "expected-downtime": 25,
      bufferedBytes: 5,
      mostBufferedBytes: 7,
    });
  });

  it("reckon with the bandwidth that somebody says there is at the switch-over", () => {
    const recorder = new SourceRecorder();
    Object.assign(recorder, { dirtyBytes: 500_000, bandwidthBytesPerMs: 20_000 });
    const parameters = checkedParameters({ "avail-switchover-bandwidth": 100_000_000 });
    expect(recorder.snapshot({ ...inputs, parameters })).toMatchObject({ "expected-downtime": 5 });
    expect(recorder.snapshot({ ...inputs, parameters }).ram.mbps).toBe(160);
  });

  it("tell multifd's bytes and post-copy's apart, and sum to what was transferred", () => {
    const recorder = new SourceRecorder();
    Object.assign(recorder, { sentBytes: 1000, bytesAtPause: 600, multifdBytesAtPause: 5000, bytesAtPostcopy: 900 });
    const counters = { duplicatePages: 0, normalPages: 2, pageBytes: 4096, multifdBytes: 5500 };
    const { ram } = recorder.snapshot({ ...inputs, counters });
    expect(ram).toMatchObject({
      transferred: 6500,
      "multifd-bytes": 5500,
      "precopy-bytes": 5600,
      "downtime-bytes": 800,
      "postcopy-bytes": 100,
    });
    expect(ram["precopy-bytes"] + ram["downtime-bytes"] + ram["postcopy-bytes"]).toBe(ram.transferred);
  });

  it("expect the limit while the bandwidth is not known, and count no pages that nobody counts", () => {
    const statistics = new SourceRecorder().snapshot({ ...inputs, status: "setup" });
    expect(statistics).toMatchObject({ "expected-downtime": 300, "setup-time": 0, ram: { mbps: 0 } });
    expect(Object.keys(statistics.ram)).not.toContain("normal");
  });

  it("count downtime from the pause to the destination's resume, in its parts", async () => {
    const rig = new Rig({
      destination: {
        // What takes time there: 7 ms of checks, 11 ms until devices are ready.
        prepare: async () => rig.clock.advance(7),
        commit: async () => rig.clock.advance(11),
      },
      outgoing: { ramCounters: () => rig.source.counters },
    });
    let pausedMs = 0;
    const { pause } = rig.source;
    rig.source.pause = () => {
      pausedMs = rig.clock.nowMs();
      pause.call(rig.source);
      rig.clock.advance(2);
    };
    let resumedMs = 0;
    const { resume } = rig.destination;
    rig.destination.resume = () => {
      resume.call(rig.destination);
      resumedMs = rig.clock.nowMs();
    };
    const { source, destination } = await rig.run();
    const statistics = source.statistics as EndedStatistics;
    expect(statistics.downtime).toBe(resumedMs - pausedMs);
    expect(statistics.downtime).toBe(20);
    expect(statistics["downtime-source"]).toBe(2);
    expect(statistics["downtime-destination"]).toBe(18);
    expect([destination.prepareMs, destination.commitMs]).toEqual([7, 11]);
    expect(statistics.status).toBe("completed");
    const sent = concat(rig.source.sent).length;
    expect(statistics.ram).toMatchObject({
      transferred: sent,
      remaining: 0,
      total: rig.source.memory.length,
      normal: rig.source.counters.normalPages,
      duplicate: 0,
    });
    expect(statistics.ram["precopy-bytes"] + statistics.ram["downtime-bytes"]).toBe(sent);
    expect(statistics.ram["downtime-bytes"]).toBeGreaterThan(0);
    expect(destination.statistics).toMatchObject({ status: "completed", receivedBytes: sent });
    expect(destination.statistics.rounds).toBe(statistics.ram["dirty-sync-count"]);
  });

  it("count the guest's standstill of a failed attempt, too", async () => {
    const rig = new Rig({
      destination: {
        prepare: async () => {
          rig.clock.advance(30);
          await turn();
          throw new Error("no");
        },
      },
    });
    const { source } = await rig.run();
    expect(source.state.status).toBe("failed");
    expect((source.statistics as EndedStatistics).downtime).toBe(30);
    rig.expectStayed();
  });

  it("do not move any more after the end", async () => {
    const rig = new Rig();
    const { source } = await rig.run();
    rig.clock.advance(5000);
    expect(rig.outgoing.statistics()).toEqual(source.statistics);
  });
});
