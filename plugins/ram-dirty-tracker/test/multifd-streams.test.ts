// Multifd of real QEMU, 7.2 and 10.0: main stream and two channels, loaded together; packets written again to their bytes.
import { Cursor } from "@godwit/core";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import {
  decodePacket,
  encodeHello,
  encodePacket,
  type MultifdInput,
  type MultifdPacket,
  type MultifdSync,
  type RamSection,
} from "../src/index.ts";
import { wholeBytes } from "./support/feed.ts";
import { rig, sameBytes } from "./support/rig.ts";
import { walkRam } from "./support/stream.ts";
import { blocksOf, described, passesOf } from "./support/tiny.ts";

const cases: [version: string, sync: MultifdSync, packets: [number, number], syncs: number][] = [
  ["7.2", "section", [19, 8], 6],
  ["10.0", "round", [16, 43], 6],
];

/** Loads all three files, the channels in pieces of `chunkBytes` and each as far as the others let it. */
function load(version: string, sync: MultifdSync, chunkBytes: number, order: readonly number[]) {
  const raw = `tiny-multifd-${version}.main.stream`;
  const blocks = blocksOf(described(raw));
  const packets: [number, MultifdPacket][] = [];
  const { stage, offer } = rig(
    blocks.map(({ block }) => block),
    { multifd: { receive: { channels: 2, sync, onPacket: (channel, packet) => packets.push([channel, packet]) } } },
  );
  const staged = stage();
  const receiver = offer.multifd() ?? expect.unreachable("a receiver");
  const channels = order.map((channel) => {
    const bytes = readStream(`tiny-multifd-${version}.ch${channel}.stream`);
    return { input: receiver.accept(), bytes, at: 0 };
  });
  /** Feeds what can be fed until the channels wait. */
  const pump = () => {
    for (const channel of channels) {
      while (!channel.input.isHeld && channel.at < channel.bytes.length) {
        channel.input.push(channel.bytes.subarray(channel.at, channel.at + chunkBytes));
        channel.at += chunkBytes;
      }
    }
  };
  const waits: string[] = [];
  walkRam<RamSection>(readStream(raw), wholeBytes, (phase, previous) => {
    const decoder = staged.decoder(phase, 4, previous);
    return {
      ...decoder,
      value: () => decoder.value(),
      path: () => decoder.path(),
      fork: () => decoder.fork(),
      resume(cursor: Cursor): boolean {
        for (;;) {
          if (decoder.resume(cursor)) return true;
          if (!/\.sync$/.test(decoder.path() ?? "")) return false;
          waits.push(decoder.path() as string);
          pump();
        }
      },
    };
  });
  for (const { input, at, bytes } of channels) {
    expect(at).toBeGreaterThanOrEqual(bytes.length);
    input.end();
  }
  staged.commit();
  const inputs: readonly MultifdInput[] = channels.map(({ input }) => input);
  return {
    memories: blocks.map(({ memory }) => memory()),
    received: offer.statistics().received,
    packets,
    waits,
    inputs,
  };
}

describe.skipIf(!haveStreams())("multifd of real QEMU", () => {
  it.each(cases)("%s loads whole, with the guest's pages in their places", (version, sync, counts, syncs) => {
    const plain = load(version, sync, 1 << 20, [0, 1]);
    passesOf(plain.memories[0] as Uint8Array);
    expect(plain.received).toMatchObject({ zeroPages: 4103, normalPages: 2171, missingPages: 0 });
    expect([0, 1].map((each) => plain.packets.filter(([channel]) => channel === each).length)).toEqual(counts);
    expect(plain.packets.filter(([, { flags }]) => flags & 1)).toHaveLength(syncs);
    expect(plain.inputs.map(({ channel }) => channel)).toEqual([0, 1]);
    // Wherever main had a marker, it came before its channels, and waited.
    expect(plain.waits.length).toBeGreaterThanOrEqual(2);
    const swapped = load(version, sync, 777, [1, 0]);
    expect(swapped.waits).toHaveLength(3);
    expect(swapped.inputs.map(({ channel }) => channel)).toEqual([1, 0]);
    expect(sameBytes(swapped.memories, plain.memories)).toBe(true);
  });

  it("7.2 and 10.0 brought the same kind of memory, and 10.0 its zero pages in packets", () => {
    const normal = cases.map(([version, sync]) => {
      const { packets } = load(version, sync, 1 << 20, [0, 1]);
      return [
        packets.reduce((sum, [, { normalPages }]) => sum + normalPages, 0),
        packets.reduce((sum, [, { zeroPages }]) => sum + zeroPages, 0),
      ];
    });
    expect(normal).toEqual([
      [2171, 0],
      [2171, 4103],
    ]);
  });

  it.each(cases)("%s: hello, packets and pages, decoded and written again, are QEMU's bytes", (version) => {
    for (const channel of [0, 1]) {
      const bytes = readStream(`tiny-multifd-${version}.ch${channel}.stream`);
      expect(bytes.subarray(0, 64)).toEqual(encodeHello({ uuid: new Uint8Array(16), channel }));
      const pieces = [bytes.subarray(0, 64)];
      for (let at = 64; at < bytes.length; ) {
        const cursor = new Cursor(bytes.subarray(at));
        const packet = decodePacket(cursor, 4096);
        const data = packet.normalPages === 0 ? 0 : packet.nextPacketBytes;
        pieces.push(encodePacket(packet), bytes.subarray(at + cursor.pos, at + cursor.pos + data));
        at += cursor.pos + data;
      }
      expect(Buffer.compare(Buffer.concat(pieces), bytes)).toBe(0);
    }
  });

  it("does not wait for ever: a channel that ends early is told at the marker", () => {
    const raw = "tiny-multifd-10.0.main.stream";
    const blocks = blocksOf(described(raw));
    const { stage, offer } = rig(
      blocks.map(({ block }) => block),
      { multifd: { receive: { channels: 2, sync: "round" } } },
    );
    const staged = stage();
    const receiver = offer.multifd();
    const [one, two] = [receiver?.accept(), receiver?.accept()];
    one?.push(readStream("tiny-multifd-10.0.ch0.stream").subarray(0, 64 + 1344));
    two?.push(readStream("tiny-multifd-10.0.ch1.stream").subarray(0, 64));
    expect(receiver?.isSynced).toBe(false);
    two?.end();
    expect(() =>
      walkRam<RamSection>(readStream(raw), wholeBytes, (phase, previous) => staged.decoder(phase, 4, previous)),
    ).toThrow(expect.objectContaining({ code: "MULTIFD_SYNC", expected: "a SYNC on channel 1" }));
  });
});
