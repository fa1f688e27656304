import type { Channel } from "@godwit/transport";
import { memoryPair } from "@godwit/transport";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Link } from "../src/godwit/link.ts";
import { ManualClock } from "./support/clock.ts";
import { concat } from "./support/machine.ts";
import { digests, ScriptedPeer } from "./support/peer.ts";

const ignored = { opened() {}, stream: () => undefined, control() {}, lost() {} };

function linkTo(channel: Channel) {
  const clock = new ManualClock();
  return { clock, link: new Link({ channel, clock, side: "source", peerTimeoutMs: 1000, digests, handlers: ignored }) };
}

/** Sizes on both sides of what is gathered, what is sent as it is, and what is cut. */
const size = fc.oneof(
  fc.integer({ min: 0, max: 100 }),
  fc.integer({ min: 60_000, max: 70_000 }),
  fc.integer({ min: 256 * 1024 - 3, max: 256 * 1024 + 3 }),
  fc.integer({ min: 300_000, max: 1_200_000 }),
);

describe("a link's stream", () => {
  it("arrives whole and in order, whatever the sizes of its pieces, with messages between them", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(size, { maxLength: 10 }), async (sizes) => {
        const [here, there] = memoryPair();
        const { link } = linkTo(here);
        const peer = new ScriptedPeer(there);
        peer.read();
        await link.sendMagic();
        const pieces = sizes.map((length, i) => new Uint8Array(length).fill(i + 1));
        for (const piece of pieces) {
          const sent = piece.slice();
          const sending = link.sendStream(sent);
          await link.send({ kind: "alive" });
          await sending;
          // From here on the piece is the caller's again.
          sent.fill(0xee);
        }
        await link.flushStream();
        await link.send({ kind: "round", round: 1 });
        await peer.hear("round");
        expect(Buffer.compare(concat(peer.stream), concat(pieces))).toBe(0);
        await link.close(1000);
      }),
      { seed: 20_261_121, numRuns: 40 },
    );
  });

  it("gives each chunk back once, and looks at none afterwards", async () => {
    const [here, there] = memoryPair();
    const given: Uint8Array[] = [];
    const back: Uint8Array[] = [];
    const channel: Channel = {
      send: (bytes) => there.send(bytes),
      close: () => there.close(),
      abort: (error) => there.abort(error),
      async *receive() {
        for await (const bytes of there.receive()) {
          // Of no size that frames have: most of them lie in two chunks or more.
          for (let at = 0; at < bytes.length; at += 100_003) {
            const chunk = bytes.slice(at, at + 100_003);
            given.push(chunk);
            yield chunk;
          }
        }
      },
      recycle(chunk) {
        back.push(chunk);
        chunk.fill(0xee);
      },
    };
    const { link } = linkTo(here);
    const seen: Uint8Array[] = [];
    let closed = (_code: string): void => {};
    const closing = new Promise<string>((resolve) => {
      closed = resolve;
    });
    new Link({
      channel,
      clock: new ManualClock(),
      side: "destination",
      peerTimeoutMs: 1000,
      digests,
      handlers: {
        ...ignored,
        stream: (bytes) => void seen.push(bytes.slice()),
        lost: ({ code }) => closed(code),
      },
    });
    await link.sendMagic();
    const pieces = [70_000, 300_000, 5, 1_000_000].map((length, i) => new Uint8Array(length).fill(i + 1));
    for (const piece of pieces) await link.sendStream(piece);
    await link.flushStream();
    await link.close(1000);
    expect(await closing).toBe("PEER_CLOSED");
    expect(Buffer.compare(concat(seen), concat(pieces))).toBe(0);
    expect(given.length).toBeGreaterThan(10);
    expect(back.length).toBe(given.length);
    expect(back.every((chunk, i) => chunk === given[i])).toBe(true);
  });

  it("leaves no timer and no reader behind when it is closed", async () => {
    const [here, there] = memoryPair();
    const { link, clock } = linkTo(here);
    const peer = new ScriptedPeer(there);
    peer.read();
    await link.sendMagic();
    link.keepAlive(100, () => ({ kind: "alive" }));
    await link.close(1000, { kind: "cancelled" });
    expect(await peer.hear("cancelled")).toEqual({ kind: "cancelled" });
    expect(clock.timers).toBe(0);
    await expect(here.send(Uint8Array.of(1))).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
  });

  it("is cut off after its grace when the peer does not take its last word", async () => {
    const [here, there] = memoryPair({ bufferBytes: 10 });
    const { link, clock } = linkTo(here);
    const closing = link.close(1000, { kind: "failed", error: { name: "MigrationError", code: "X", detail: "y" } });
    clock.advance(1000);
    await closing;
    const reader = there.receive()[Symbol.asyncIterator]();
    await reader.next();
    await expect(reader.next()).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
  });

  it("is not flooded with heartbeats by a peer that asks for one at every moment", async () => {
    const [here, there] = memoryPair();
    const { link, clock } = linkTo(here);
    const peer = new ScriptedPeer(there);
    peer.read();
    await link.sendMagic();
    link.keepAlive(0, () => ({ kind: "alive" }));
    for (let ms = 0; ms < 100; ms++) {
      clock.advance(1);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(peer.heard.length).toBeGreaterThanOrEqual(9);
    expect(peer.heard.length).toBeLessThanOrEqual(10);
    await link.close(1000);
  });
});
