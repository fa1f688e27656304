// Target pages of other sizes than 4 KiB, in every way that pages are sent; blocks that are no multiple of 64 pages.
import { Cursor } from "@godwit/core";
import {
  barrierTracker,
  compareTracker,
  type DirtyTracker,
  hashTracker,
  listFormat,
  type MultifdReceiver,
  multifdSender,
  type RamInit,
  zlibCompression,
} from "@godwit/ram-dirty-tracker";
import { describe, expect, it } from "vitest";
import { concat, deflateRaw, inflateRaw } from "./support/codecs.ts";
import { bytesOf, rig, sameBytes, testBlock } from "./support/rig.ts";

const zlib = zlibCompression({ inflateRaw, deflateRaw });
const ways = ["records", "deltas", "channels", "zlib channels", "places"] as const;
type Way = (typeof ways)[number];

const trackers: readonly ((length: number, pageBytes: number) => DirtyTracker)[] = [
  barrierTracker,
  compareTracker,
  (length, pageBytes) => hashTracker(length, { pageBytes }),
];

/** Both sides' settings, and what went to the channels. */
function settings(
  way: Way,
  pageBytes: number,
): { source: Omit<RamInit, "blocks">; target: Omit<RamInit, "blocks">; sent: Uint8Array[][] } {
  const sent: Uint8Array[][] = [[], []];
  const both = { pageBytes };
  if (way === "deltas") return { source: { ...both, xbzrle: { cacheBytes: 128 * pageBytes } }, target: both, sent: [] };
  if (way === "places") {
    const list = listFormat(["mapped-ram"]);
    return { source: { ...both, list }, target: { ...both, list }, sent: [] };
  }
  if (way === "records") return { source: both, target: both, sent: [] };
  const compression = way === "zlib channels" ? { compression: zlib } : {};
  const channels = sent.map((pieces) => (bytes: Uint8Array) => void pieces.push(bytes));
  return {
    source: {
      ...both,
      multifd: { send: multifdSender({ channels, sync: "round", zeroPages: "packets", pageBytes, ...compression }) },
    },
    target: { ...both, multifd: { receive: { channels: 2, sync: "round", ...compression } } },
    sent,
  };
}

describe.each([1024, 16_384, 65_536])("pages of %i bytes", (pageBytes) => {
  const machine = (tracker: (length: number, pageBytes: number) => DirtyTracker) =>
    [70, 3].map((pages, index) =>
      testBlock(`block${index}`, pages * pageBytes, { tracker: (length) => tracker(length, pageBytes) }),
    );

  it.each(ways)("by %s: memory arrives as the source left it, in any chunks", (way) => {
    for (const [index, tracker] of trackers.entries()) {
      const { source, target, sent } = settings(way, pageBytes);
      const blocks = machine(tracker);
      const { handler, offer } = rig(
        blocks.map(({ block }) => block),
        source,
      );
      const write = (seed: number): void => {
        // Not behind START: mapped-ram's places are written over by whoever has the file.
        for (let page = seed % 2; page < 70; page += 3) {
          blocks[0]?.write(
            page * pageBytes + seed,
            Uint8Array.from({ length: 40 + seed }, (_, i) => seed * page + i),
          );
        }
        blocks[0]?.write(69 * pageBytes, new Uint8Array(pageBytes).fill(seed));
        blocks[1]?.write(2 * pageBytes - 2, [seed, seed, seed]);
      };
      write(1);
      const sections: ["start" | "part" | "end", Uint8Array][] = [["start", bytesOf((out) => handler.setup(out))]];
      for (const seed of [2, 3, 4]) {
        if (way !== "places") write(seed);
        handler.pending(true);
        sections.push(["part", bytesOf((out) => void handler.iterate(out, 1 << 30))]);
      }
      if (way !== "places") write(5);
      sections.push(["end", bytesOf((out) => void handler.complete(out, 1 << 30))]);
      handler.cleanup(true);

      const chunkBytes = pageBytes === 1024 && index === 0 && way !== "places" ? 1 : 40_009;
      const copy = machine(barrierTracker);
      const { stage, offer: received } = rig(
        copy.map(({ block }) => block),
        target,
      );
      const staged = stage();
      const channels = received.multifd();
      const inputs = sent.map((pieces) => ({
        bytes: concat(pieces),
        at: 0,
        input: (channels as MultifdReceiver).accept(),
      }));
      const pump = (): void => {
        for (const each of inputs) {
          while (!each.input.isHeld && each.at < each.bytes.length) {
            each.input.push(each.bytes.subarray(each.at, each.at + chunkBytes));
            each.at += chunkBytes;
          }
        }
      };
      let previous: unknown;
      for (const [phase, data] of sections) {
        const decoder = staged.decoder(phase, 4, previous);
        const cursor = new Cursor();
        let isWhole = false;
        for (let at = 0; at < data.length; at += chunkBytes) {
          cursor.append(data.subarray(at, at + chunkBytes));
          for (isWhole = decoder.resume(cursor); !isWhole && decoder.path()?.endsWith(".sync"); ) {
            pump();
            isWhole = decoder.resume(cursor);
          }
          cursor.release();
        }
        expect(isWhole).toBe(true);
        previous = decoder.value();
      }
      staged.commit();
      const memories = [copy, blocks].map((side) => side.map(({ memory }) => memory()));
      expect(sameBytes(memories[0] as Uint8Array[], memories[1] as Uint8Array[])).toBe(true);
      expect(memories[0]?.[1]?.some((byte) => byte !== 0)).toBe(true);
      expect(received.statistics().received).toMatchObject({ missingPages: 0 });
      if (way === "deltas") expect(offer.statistics().sent?.xbzrlePages).toBeGreaterThan(20);
    }
  });
});
