// A connection that changes bytes: the machine never moves on the strength of a stream that is not the one that was sent.
import type { Channel } from "@godwit/transport";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SourceState } from "../src/source-state.ts";
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

/** The opening tells who speaks: a change there makes a stranger of the peer. Bytes. */
const openingBytes = 8;

/** A changed byte leaves the machine where it is, or in doubt; never twice, never torn. */
function expectWhole(rig: Rig, state: SourceState): void {
  rig.expectNeverTwo();
  if (rig.destination.isRunning) {
    expect(state.status).toBe("in-doubt");
    expect(rig.source.isRunning).toBe(false);
    expect(Buffer.compare(rig.destination.memory, rig.source.memory)).toBe(0);
    expect(rig.destination.ticks).toBe(rig.source.ticks);
  } else if (rig.source.isRunning) expect(state.status).toBe("failed");
  else expect(state.status).toBe("in-doubt");
}

function codeOf(state: SourceState): string {
  return state.status === "failed" || state.status === "in-doubt" ? state.error.code : state.status;
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

  it("anywhere on the way to the destination is a digest's to find, and leaves one whole machine, or a truthful doubt", async () => {
    const { there } = await bytesSent();
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: there - 1 }), fc.nat({ max: 7 }), async (place, bit) => {
        const rig = new Rig({ source: { pages: 8 }, wrapSource: (channel) => flipping(channel, place, bit) });
        const { source } = await rig.run(1000);
        expectWhole(rig, source.state);
        if (place >= openingBytes) expect(codeOf(source.state)).toBe("DIGEST_MISMATCH");
      }),
      { seed: 20_261_121, numRuns: 60 },
    );
  });

  it("anywhere on the way back is found as well", async () => {
    const { back } = await bytesSent();
    const statuses = new Set<string>();
    for (let place = 0; place < back; place += 3) {
      const rig = new Rig({ source: { pages: 8 }, wrapDestination: (channel) => flipping(channel, place, place & 7) });
      const { source, destination } = await rig.run(1000);
      expectWhole(rig, source.state);
      if (place >= openingBytes)
        expect(codeOf(source.state), `${place}/${back} ${JSON.stringify([source.state, destination.state])}`).toBe(
          "DIGEST_MISMATCH",
        );
      statuses.add(source.state.status);
    }
    expect([...statuses].sort()).toEqual(["failed", "in-doubt"]);
  });
});
