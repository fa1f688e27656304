// What channels keep themselves, counted at streams that say what was taken from them and given to them: a peer that never
// stops, and one that never reads.
import type net from "node:net";
import { Duplex, Readable } from "node:stream";
import type { Channel } from "@godwit/transport";
import { memoryPair } from "@godwit/transport";
import { describe, expect, it } from "vitest";
import { channelOver } from "../src/socket-channel.ts";
import { streamChannel } from "../src/stream-channel.ts";
import { webSocketChannel } from "../src/ws-channel.ts";
import { webSocketPair } from "./web-socket-pair.ts";

const chunkBytes = 64 * 1024;

interface Counted {
  readonly channel: Channel;
  /** What has been taken from the network, and what has been given to it. Bytes. */
  readonly takenBytes: () => number;
  readonly givenBytes: () => number;
}

/** A network that always has bytes, and never says that it could take more. */
function endless(channelOf: (stream: Duplex) => Channel): Counted {
  let taken = 0;
  let given = 0;
  const stream = new Duplex({
    highWaterMark: chunkBytes,
    read() {
      taken += chunkBytes;
      setImmediate(() => this.push(Buffer.alloc(chunkBytes)));
    },
    write(bytes: Uint8Array) {
      given += bytes.length;
    },
  });
  return { channel: channelOf(stream), takenBytes: () => taken, givenBytes: () => given };
}

const never = new Promise<object>(() => {});
const channels: readonly (readonly [string, () => Counted])[] = [
  [
    "socket",
    () =>
      endless((stream) => channelOver(Object.assign(stream, { setTimeout() {}, unref() {} }) as never as net.Socket)),
  ],
  [
    "stream",
    () =>
      endless((stream) =>
        streamChannel({
          input: stream,
          output: stream,
          ended: never,
          waitForEnd: false,
          lingerMs: 0,
          break: () => stream.destroy(),
        }),
      ),
  ],
];

async function settle(): Promise<void> {
  for (let i = 0; i < 100; i++) await new Promise((resolve) => setImmediate(resolve));
}

describe("of a peer that never stops", () => {
  for (const [name, make] of channels) {
    it(`a ${name} channel keeps one chunk beyond what is read, and the stream below it as much`, async () => {
      const { channel, takenBytes } = make();
      await settle();
      // The stream's own: what it holds, and what is on the way to it.
      const below = 2 * chunkBytes;
      expect(takenBytes()).toBeLessThanOrEqual(below);
      const reader = channel.receive()[Symbol.asyncIterator]();
      for (let read = 1; read <= 20; read++) {
        expect((await reader.next()).value?.length).toBe(chunkBytes);
        await settle();
        expect(takenBytes()).toBeLessThanOrEqual((read + 1) * chunkBytes + below);
      }
      channel.abort(new Error("the test is over"));
    });
  }

  it("a memory channel keeps what it was given room for", async () => {
    const [a, b] = memoryPair({ bufferBytes: 1000 });
    let sent = 0;
    const sending = (async () => {
      for (;;) {
        await a.send(new Uint8Array(100));
        sent += 100;
      }
    })().catch(() => {});
    await settle();
    expect(sent).toBe(1000);
    b.abort(new Error("the test is over"));
    await sending;
  });

  it("a WebSocket's channel keeps a window, and gives credit only for what was read", async () => {
    const [here, there] = webSocketPair();
    const [a, b] = [webSocketChannel(here), webSocketChannel(there)];
    let sent = 0;
    const sending = (async () => {
      for (;;) {
        await a.send(new Uint8Array(chunkBytes));
        sent += chunkBytes;
      }
    })().catch(() => {});
    await settle();
    expect(sent).toBe(1024 * 1024);
    const reader = b.receive()[Symbol.asyncIterator]();
    for (let read = chunkBytes; read <= 3 * 1024 * 1024; read += chunkBytes) {
      await reader.next();
      await settle();
      expect(sent).toBeLessThanOrEqual(read + 1024 * 1024);
    }
    expect(sent).toBeGreaterThan(3 * 1024 * 1024);
    b.abort(new Error("the test is over"));
    await sending;
  });
});

describe("of a command that has ended, whose children hold its pipes", () => {
  const held = (waitForEnd: boolean): { stream: Readable; channel: Channel; broken: () => number } => {
    let breaks = 0;
    const stream = new Readable({ read() {} });
    const ended = Promise.resolve({});
    const channel = streamChannel({
      input: stream,
      output: undefined,
      ended,
      waitForEnd,
      lingerMs: 10,
      break: () => breaks++,
    });
    return { stream, channel, broken: () => breaks };
  };

  it("a stream channel that sent lets go of the pipe when it is closed", async () => {
    const { stream, channel } = held(true);
    await channel.close();
    expect(stream.destroyed).toBe(true);
  });

  it("a stream channel that read lets go of it, and of the children, a while after", async () => {
    const { stream, channel, broken } = held(false);
    await channel.close();
    await new Promise<void>((resolve) => stream.once("close", resolve));
    expect(broken()).toBe(1);
  });
});

describe("for a peer that never reads", () => {
  for (const [name, make] of channels) {
    it(`a ${name} channel takes no send as done, and copies none`, async () => {
      const { channel, givenBytes } = make();
      let done = 0;
      const reason = new Error("enough");
      const sends = Array.from({ length: 5 }, () => channel.send(new Uint8Array(chunkBytes)).then(() => done++));
      const outcomes = Promise.allSettled(sends);
      await settle();
      expect(done).toBe(0);
      // The first is with the network; the others wait in their senders' own buffers.
      expect(givenBytes()).toBe(chunkBytes);
      channel.abort(reason);
      for (const outcome of await outcomes) expect(outcome).toEqual({ status: "rejected", reason });
    });
  }
});
