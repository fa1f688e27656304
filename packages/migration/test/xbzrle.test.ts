// The capability xbzrle with real RAM: later rounds go as deltas, and the machine is the same at the other end.
import { incomingMigration, outgoingMigration } from "@godwit/migration";
import { memoryPair } from "@godwit/transport";
import { describe, expect, it } from "vitest";
import { drive, ManualClock, turn } from "./support/clock.ts";
import { fillPages, ramMachine } from "./support/ram-machine.ts";

async function migrate(xbzrle: boolean, cacheBytes = 1 << 20) {
  const clock = new ManualClock();
  // A guest that writes four bytes into pages that it has written to before.
  const source = ramMachine({ pages: 60, pagesPerTick: 24 });
  const destination = ramMachine({ pages: 60 });
  fillPages(source.memory());
  source.kernel.resume();
  const [a, b] = memoryPair({ bufferBytes: 64 * 1024 });
  const sending = outgoingMigration({
    machine: source.kernel,
    clock,
    ram: source.ram,
    capabilities: { xbzrle },
    parameters: { "downtime-limit": 1, "xbzrle-cache-size": cacheBytes },
    connect: async () => a,
    yieldToHost: async () => {
      clock.advance(1);
      if (source.ticks < 60) source.tick();
      await turn();
    },
    sliceBytes: 16 * 1024,
    maxRounds: 1000,
  });
  const receiving = incomingMigration({ machine: destination.kernel, clock, accept: async () => b });
  const [from, to] = await drive(Promise.all([sending.run(), receiving.run()]), clock, 5);
  expect([from.state.status, to.state.status]).toEqual(["completed", "completed"]);
  expect(Buffer.compare(destination.memory(), source.memory())).toBe(0);
  expect(source.ticks).toBeGreaterThan(20);
  return { query: sending.query(), statistics: from.statistics };
}

describe("xbzrle", () => {
  it("sends deltas, and less for it; its statistics are the handler's", async () => {
    const { query } = await migrate(true);
    const cache = query["xbzrle-cache"];
    expect(cache?.["cache-size"]).toBe(1 << 20);
    expect(cache?.pages).toBeGreaterThan(20);
    expect(cache?.bytes).toBeLessThan((cache?.pages ?? 0) * 100);
    expect(cache?.["encoding-rate"]).toBeGreaterThan(40);
    // Its pages are no normal ones.
    expect(query.ram?.["normal-bytes"]).toBe((query.ram?.normal ?? 0) * 4096);
    const plain = await migrate(false);
    expect(plain.query).not.toHaveProperty("xbzrle-cache");
    expect(query.ram?.normal).toBeLessThan(plain.query.ram?.normal ?? 0);
  });

  it("finds less in a cache that is too small for the guest", async () => {
    const { query } = await migrate(true, 8 * 4096);
    expect(query["xbzrle-cache"]).toMatchObject({ "cache-size": 8 * 4096 });
    expect(query["xbzrle-cache"]?.["cache-miss-rate"]).toBeGreaterThan(0.3);
  });
});
