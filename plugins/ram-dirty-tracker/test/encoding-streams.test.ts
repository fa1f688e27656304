// Deltas and compressed pages of real QEMU: loaded with their content checked, and QEMU's encoder compared with ours.
import { haveStreams, manifest, readStream } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { type RamSection, ramWalker, xbzrleDecode, xbzrleEncode } from "../src/index.ts";
import { inflateRaw } from "./support/codecs.ts";
import { feed, wholeBytes } from "./support/feed.ts";
import { bytesOf, page, rig, sameBytes } from "./support/rig.ts";
import { walkRam } from "./support/stream.ts";
import { blocksOf, described, passesOf } from "./support/tiny.ts";

function load(raw: string, chunkBytes: number) {
  const blocks = blocksOf(described(raw));
  const { stage, offer } = rig(
    blocks.map(({ block }) => block),
    { inflateRaw },
  );
  const staged = stage();
  walkRam<RamSection>(readStream(raw), chunkBytes, (phase, previous) => staged.decoder(phase, 4, previous));
  staged.commit();
  return { memories: blocks.map(({ memory }) => memory()), received: offer.statistics().received };
}

const countAt = (name: string): number =>
  Number((manifest().find((each) => each.name === name) as unknown as Record<string, unknown>)["guest_count_end"]);

describe.skipIf(!haveStreams())("encoded pages of real streams", () => {
  it.each(["tiny-xbzrle-7.2", "tiny-compress-7.2"])("%s loads, with the guest's pages as it left them", (name) => {
    const raw = `${name}.stream`;
    const { ram_records } = described(raw);
    const loads = [4099, wholeBytes].map((chunkBytes) => load(raw, chunkBytes));
    for (const { memories, received } of loads) {
      expect(received).toMatchObject({
        zeroPages: ram_records.zero,
        normalPages: ram_records.page,
        xbzrlePages: ram_records.xbzrle ?? 0,
        compressedPages: ram_records.compress ?? 0,
        missingPages: 0,
      });
      const { first } = passesOf(memories[0] as Uint8Array);
      // The serial line tells a pass once it is complete; the memory may be one ahead.
      expect(first - countAt(name) === 0 || first - countAt(name) === 1).toBe(true);
      expect(sameBytes(memories, loads[0]?.memories ?? [])).toBe(true);
    }
  });

  it.each(["tiny-xbzrle-7.2", "q35-xbzrle-7.2"])(
    "%s: each delta is what our encoder makes of the same pages",
    (name) => {
      const pages = new Map<string, Uint8Array>();
      const out = new Uint8Array(page);
      let [deltas, bytes, different] = [0, 0, 0];
      const walker = ramWalker({
        onRecord: (record) => {
          if (record.kind === "zero") pages.set(`${record.block.idstr}+${record.offset}`, new Uint8Array(page));
        },
        payload: ({ kind, block, offset }, content) => {
          const key = `${block.idstr}+${offset}`;
          if (kind === "page") pages.set(key, content.slice());
          if (kind !== "xbzrle") return;
          const before = pages.get(key) ?? expect.unreachable("a page before its delta");
          const after = before.slice();
          xbzrleDecode(content, after);
          const length = xbzrleEncode(before, after, out);
          if (Buffer.compare(out.subarray(0, Math.max(0, length)), content) !== 0) different++;
          pages.set(key, after);
          deltas++;
          bytes += 3 + content.length;
        },
      });
      walkRam<RamSection>(readStream(`${name}.stream`), wholeBytes, (phase, previous) =>
        walker.decoder(phase, previous),
      );
      expect([different, deltas]).toEqual([0, described(`${name}.stream`).ram_records.xbzrle]);
      // QEMU's own count of bytes is of encoding, length and delta.
      const query = manifest().find((each) => each.name === name) as unknown as {
        query_migrate_source: { "xbzrle-cache": { bytes: number } };
      };
      expect(bytes).toBe(query.query_migrate_source["xbzrle-cache"].bytes);
    },
  );

  it("tiny-xbzrle, loaded and sent again by deltas while the guest's loop goes on, arrives", () => {
    const raw = "tiny-xbzrle-7.2.stream";
    const source = blocksOf(described(raw));
    const { stage, handler, offer } = rig(
      source.map(({ block }) => block),
      { xbzrle: { cacheBytes: 16 << 20 } },
    );
    const incoming = stage();
    walkRam<RamSection>(readStream(raw), wholeBytes, (phase, previous) => incoming.decoder(phase, 4, previous));
    incoming.commit();

    const [ram] = source;
    const pass = (number: number) => {
      for (let at = 0x20_0000; at < 0xa0_0000; at += page) ram?.write(at + 4, [number, 0, 0, 0]);
    };
    const sections: ["start" | "part" | "end", Uint8Array][] = [["start", bytesOf((to) => handler.setup(to))]];
    for (let number = 100; number < 104; number++) {
      sections.push(["part", bytesOf((to) => handler.iterate(to, 1 << 30))]);
      pass(number);
      handler.pending(true);
    }
    sections.push(["end", bytesOf((to) => handler.complete(to, 1 << 30))]);
    const target = blocksOf(described(raw));
    const staged = rig(target.map(({ block }) => block)).stage();
    let previous: unknown;
    for (const [phase, data] of sections)
      previous = feed(staged.decoder(phase, 4, previous), data, 0, wholeBytes)?.value;
    staged.commit();
    expect(
      sameBytes(
        target.map(({ memory }) => memory()),
        source.map(({ memory }) => memory()),
      ),
    ).toBe(true);
    expect(passesOf(target[0]?.memory() as Uint8Array)).toEqual({ first: 103, last: 103 });
    // Round 2 misses, rounds 3 and 4 are deltas of 3 bytes and their head, and so is the last.
    expect(offer.statistics().sent?.xbzrleCache).toEqual({
      "cache-size": 16 << 20,
      bytes: 3 * 2048 * 6,
      pages: 3 * 2048,
      "cache-miss": 2048,
      "cache-miss-rate": 0.25,
      "encoding-rate": 4096 / 6,
      overflow: 0,
    });
    expect(sections.at(-1)?.[1].length).toBe(8 + 2048 * (8 + 6));
  });

  it("tiny-compress: a page whose data is changed is refused, with the page and its offset", () => {
    const stream = readStream("tiny-compress-7.2.stream");
    let first: Uint8Array | undefined;
    const walker = ramWalker({
      payload: ({ kind }, content) => {
        if (kind === "compress") first ??= content.slice();
      },
    });
    walkRam<RamSection>(stream, wholeBytes, (phase, previous) => walker.decoder(phase, previous));
    const { length } = first ?? expect.unreachable("a compressed page");
    const dataAt = Buffer.from(stream.buffer, stream.byteOffset, stream.length).indexOf(first as unknown as Uint8Array);
    for (const place of [0, 1, 2, length - 1]) {
      const bad = stream.slice();
      bad[dataAt + place] = (bad[dataAt + place] as number) ^ 0x11;
      const blocks = blocksOf(described("tiny-compress-7.2.stream"));
      const staged = rig(
        blocks.map(({ block }) => block),
        { inflateRaw },
      ).stage();
      expect(
        () => walkRam<RamSection>(bad, wholeBytes, (phase, previous) => staged.decoder(phase, 4, previous)),
        String(place),
      ).toThrow(
        expect.objectContaining({
          code: "PAGE_CODEC",
          location: { path: expect.stringMatching(/^pages\[pc\.ram\+0x\d+\]\.data$/), offset: dataAt },
        }),
      );
    }
  });
});
