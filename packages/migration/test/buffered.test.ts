// The engine's own count of what it holds: true, bounded, and back to nothing, whatever the peer does.
import { incomingMigration } from "@godwit/migration";
import type { Channel } from "@godwit/transport";
import { describe, expect, it } from "vitest";
import { BufferedBytes, mostChannelBytes, mostMainBytes } from "../src/buffered.ts";
import { type ControlMessage, encodeControl } from "../src/godwit/control.ts";
import { FrameWriter, frameType } from "../src/godwit/framing.ts";
import { encodeMagic } from "../src/godwit/magic.ts";
import { drive, ManualClock, turn } from "./support/clock.ts";
import { concat, TestMachine } from "./support/machine.ts";
import { digests } from "./support/peer.ts";
import { Rig } from "./support/rig.ts";

describe("the account", () => {
  it("sums its connections, keeps the most, and takes nothing beyond a bound", () => {
    const account = new BufferedBytes();
    const main = account.channel(100);
    const pages = account.channel(10);
    main.add(90);
    pages.add(10);
    expect([account.bytes, account.mostBytes, pages.bytes]).toEqual([100, 100, 10]);
    expect(() => pages.add(1)).toThrow(expect.objectContaining({ code: "LENGTH_BOUND" }));
    main.remove(50);
    expect(() => main.add(61)).toThrow(expect.objectContaining({ code: "LENGTH_BOUND" }));
    main.add(60);
    expect([account.bytes, account.mostBytes, main.bytes]).toEqual([110, 110, 100]);
  });

  it("is bounded at 16 MiB of the main connection and 4 MiB of each other one", () => {
    expect([mostMainBytes, mostChannelBytes]).toEqual([16 << 20, 4 << 20]);
  });
});

describe("a source", () => {
  it("counts what its transport has not taken, and nothing is left of it", async () => {
    let heldBytes = 0;
    const differences = new Set<number>();
    const rig: Rig = new Rig({
      source: { pages: 256, dirtyPagesPerTick: 4 },
      wrapSource: (channel) => ({
        ...channel,
        receive: () => channel.receive(),
        close: () => channel.close(),
        abort: (error) => channel.abort(error),
        async send(bytes) {
          heldBytes += bytes.length;
          // What it has gathered for its next frame it holds beside that.
          differences.add(Math.min(0, rig.outgoing.statistics().bufferedBytes - heldBytes));
          await channel.send(bytes);
          heldBytes -= bytes.length;
        },
      }),
    });
    const { source, destination } = await rig.run();
    expect([...differences]).toEqual([0]);
    expect(source.statistics.bufferedBytes).toBe(0);
    expect(source.statistics.mostBufferedBytes).toBeGreaterThan(10_000);
    expect(source.statistics.mostBufferedBytes).toBeLessThan(1 << 20);
    expect(destination.statistics.bufferedBytes).toBe(0);
    expect(destination.statistics.mostBufferedBytes).toBeGreaterThan(10_000);
    expect(destination.statistics.mostBufferedBytes).toBeLessThan(1 << 20);
    rig.expectMoved();
  });

  it("of a peer that never reads holds what it held after the first moment, until it gives up", async () => {
    const held: number[] = [];
    const rig: Rig = new Rig({
      source: { pages: 2048, dirtyPagesPerTick: 50 },
      bufferBytes: 16 * 1024,
      outgoing: { peerTimeoutMs: 5000 },
      wrapDestination: (channel) => ({
        ...channel,
        send: (bytes) => channel.send(bytes),
        close: () => channel.close(),
        abort: (error) => channel.abort(error),
        async *receive() {
          for await (const chunk of channel.receive()) {
            yield chunk;
            while (rig.outgoing.state.status === "active") await turn();
          }
        },
      }),
    });
    rig.outgoing.events.on("progress", ({ bufferedBytes }) => held.push(bufferedBytes));
    const { source } = await rig.run(50);
    expect(source.state).toMatchObject({ status: "failed", error: { code: "PEER_SILENT" } });
    expect(held.length).toBeGreaterThan(15);
    expect(new Set(held.slice(2, -1)).size).toBe(1);
    expect(source.statistics.mostBufferedBytes).toBeLessThan(1 << 20);
    expect(rig.source.isRunning).toBe(true);
  });
});

/** A source that never reads what it is told, and never stops to send. */
function neverStops(frames: (writer: FrameWriter) => Iterable<Uint8Array>) {
  const writer = new FrameWriter(digests);
  const clock = new ManualClock();
  const machine = new TestMachine({ pages: 4, running: false });
  const offer: ControlMessage = {
    kind: "offer",
    manifest: machine.manifest(),
    modes: {},
    session: "0123456789abcdef",
    digest: "xxh64-frames",
    heartbeatMs: 250,
  };
  let sends = 0;
  let waitingSends = 0;
  let mostWaitingSends = 0;
  let isAborted = false;
  const waiting: ((error: unknown) => void)[] = [];
  const channel: Channel = {
    // Its opening and its consent get through, and then nothing any more.
    send: () => {
      if (++sends <= 2) return Promise.resolve();
      mostWaitingSends = Math.max(mostWaitingSends, ++waitingSends);
      return new Promise<void>((_, reject) => waiting.push(reject));
    },
    async *receive() {
      yield encodeMagic();
      yield writer.control(encodeControl(offer));
      while (migration.state.status !== "active") await turn();
      for (const frame of frames(writer)) {
        if (isAborted) return;
        yield frame;
      }
      for (let i = 0; i < 10; i++) await turn();
      clock.advance(60_000);
    },
    close: async () => {},
    abort(error) {
      isAborted = true;
      for (const reject of waiting.splice(0)) reject(error);
    },
  };
  const migration = incomingMigration({ machine, clock, accept: async () => channel, peerTimeoutMs: 1000 });
  return { migration, clock, mostWaitingSends: () => mostWaitingSends };
}

describe("a destination of a source that never reads and never stops", () => {
  const like = new TestMachine({ pages: 4, running: false });
  const attempt = like.outgoing();
  const setup = concat([...attempt.setup()].map((chunk) => chunk.slice()));
  // Copied as they come: what was given out is changed when more is asked for.
  const pages = concat(Array.from(attempt.iterate(16 * 1024), (chunk) => chunk.slice()));

  function streamFrame(writer: FrameWriter, payload: Uint8Array): Uint8Array {
    return concat([writer.head(frameType.stream, payload).header, payload]);
  }

  const floods: Readonly<Record<string, (writer: FrameWriter) => Iterable<Uint8Array>>> = {
    *rounds(writer) {
      for (let round = 1; round <= 20_000; round++) yield writer.control(encodeControl({ kind: "round", round }));
    },
    *pages(writer) {
      yield streamFrame(writer, setup);
      for (let i = 0; i < 3000; i++) yield streamFrame(writer, pages);
    },
    *both(writer) {
      yield streamFrame(writer, setup);
      for (let round = 1; round <= 3000; round++) {
        yield streamFrame(writer, pages);
        yield writer.control(encodeControl({ kind: "round", round }));
      }
    },
  };

  it.each(Object.keys(floods))("holds one answer, of all that %s ask for", async (name) => {
    const { migration, clock, mostWaitingSends } = neverStops(floods[name] as (typeof floods)[string]);
    const held: number[] = [];
    migration.events.on("progress", ({ bufferedBytes }) => held.push(bufferedBytes));
    const { state, statistics } = await drive(migration.run(), clock, 50);
    expect(state).toMatchObject({ status: "failed", error: { code: "PEER_SILENT" } });
    // An answer, and the word about its end.
    expect(mostWaitingSends()).toBeGreaterThan(0);
    expect(mostWaitingSends()).toBeLessThanOrEqual(2);
    expect(statistics.mostBufferedBytes).toBeLessThan(128 * 1024);
    if (name !== "rounds") expect(statistics.receivedBytes).toBeGreaterThan(3000 * pages.length);
  });

  it("counts a message that is never whole as it grows, up to its bound", async () => {
    const payload = new Uint8Array(4 << 20);
    const piece = 256 * 1024;
    const seen: number[] = [];
    const { migration, clock } = neverStops(function* (writer) {
      const { header } = writer.head(frameType.control, payload);
      yield header;
      for (let at = 0; at < payload.length - piece; at += piece) {
        yield payload.subarray(at, at + piece);
        seen.push(migration.statistics().bufferedBytes);
      }
    });
    const { state, statistics } = await drive(migration.run(), clock, 50);
    expect(state).toMatchObject({ status: "failed", error: { code: "PEER_SILENT" } });
    expect(seen.slice(0, 3)).toEqual([piece, 2 * piece, 3 * piece]);
    expect(statistics.mostBufferedBytes).toBeGreaterThanOrEqual(payload.length - piece);
    expect(statistics.mostBufferedBytes).toBeLessThanOrEqual(payload.length + piece);
  });
});
