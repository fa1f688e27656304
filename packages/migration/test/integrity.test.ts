// A connection that changes bytes: the machine never moves on the strength of a stream that is not the one that was sent.
import type { Channel } from "@godwit/transport";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Rig } from "./support/rig.ts";

/** Flips one bit of the byte at this place of what is sent. */
function flipping(channel: Channel, place: number, bit: number): Channel {
  let at = 0;
  return {
    ...channel,
    send(bytes) {
      const from = at;
      at += bytes.length;
      if (place < from || place >= at) return channel.send(bytes);
      const changed = bytes.slice();
      changed[place - from] = (changed[place - from] as number) ^ (1 << bit);
      return channel.send(changed);
    },
  };
}

/** Counts what is sent, to know where to flip. */
function counting(channel: Channel, count: (bytes: number) => void): Channel {
  return {
    ...channel,
    send(bytes) {
      count(bytes.length);
      return channel.send(bytes);
    },
  };
}

async function bytesSent(): Promise<{ there: number; back: number }> {
  let there = 0;
  let back = 0;
  const rig = new Rig({
    source: { pages: 8 },
    wrapSource: (channel) =>
      counting(channel, (bytes) => {
        there += bytes;
      }),
    wrapDestination: (channel) =>
      counting(channel, (bytes) => {
        back += bytes;
      }),
  });
  await rig.run();
  return { there, back };
}

/** A changed byte may make the machine move (in a heartbeat's number, say), stay, or be in doubt; never twice, never torn. */
function expectWhole(rig: Rig, status: string): void {
  rig.expectNeverTwo();
  if (rig.destination.isRunning) {
    expect(["completed", "in-doubt"]).toContain(status);
    expect(rig.source.isRunning).toBe(false);
    expect(Buffer.compare(rig.destination.memory, rig.source.memory)).toBe(0);
    expect(rig.destination.ticks).toBe(rig.source.ticks);
  } else if (rig.source.isRunning) expect(status).toBe("failed");
  else expect(status).toBe("in-doubt");
}

describe("a flipped bit", () => {
  it("in a page is found by the destination, and the machine goes on at the source", async () => {
    const rig = new Rig({ source: { pages: 8 }, wrapSource: (channel) => flipping(channel, 20_000, 3) });
    const { source, destination } = await rig.run(10);
    expect(destination.state).toMatchObject({
      status: "failed",
      ownership: "none",
      error: { code: "DIGEST_MISMATCH" },
    });
    expect(source.state).toMatchObject({ status: "failed", error: { code: "DIGEST_MISMATCH" } });
    expect(source.state.status === "failed" && source.state.error.location.side).toBe("destination");
    rig.expectStayed();
  });

  it("anywhere on the way to the destination leaves one whole machine, or a truthful doubt", async () => {
    const { there } = await bytesSent();
    const outcomes = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: there - 1 }), fc.nat({ max: 7 }), async (place, bit) => {
        const rig = new Rig({ source: { pages: 8 }, wrapSource: (channel) => flipping(channel, place, bit) });
        const { source } = await rig.run(1000);
        expectWhole(rig, source.state.status);
        const code = source.state.status === "failed" ? source.state.error.code : source.state.status;
        outcomes.set(code, (outcomes.get(code) ?? 0) + 1);
      }),
      { seed: 20_261_121, numRuns: 60 },
    );
    // How many of the places are page content depends a little on what else is sent, and when.
    expect(outcomes.get("DIGEST_MISMATCH")).toBeGreaterThan(15);
  });

  it("anywhere on the way back does so as well", async () => {
    const { back } = await bytesSent();
    const statuses = new Set<string>();
    for (let place = 0; place < back; place++) {
      const rig = new Rig({ source: { pages: 8 }, wrapDestination: (channel) => flipping(channel, place, place & 7) });
      const { source } = await rig.run(1000);
      expectWhole(rig, source.state.status);
      statuses.add(source.state.status);
    }
    expect([...statuses].sort()).toEqual(["completed", "failed", "in-doubt"]);
  });
});
