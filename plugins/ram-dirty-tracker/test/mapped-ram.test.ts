// mapped-ram: QEMU's file read with its content checked, and written again to the same file; faults of its headers.
import { Cursor, isMigrationError, type MigrationError, Writer } from "@godwit/core";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import {
  listFormat,
  mappedBitmapBytes,
  mappedHeaderAt,
  mappedRamWriter,
  mappedSectionData,
  type RamSection,
  ramWalker,
} from "../src/index.ts";
import { MappedRegion } from "../src/mapped-region.ts";
import type { ListedBlock, RamSink } from "../src/ram-sink.ts";
import { feed, wholeBytes } from "./support/feed.ts";
import { bytesOf, eos, name, page, pattern, rig, sameBytes, type TestBlock, testBlock, word } from "./support/rig.ts";
import { walkRam } from "./support/stream.ts";
import { blocksOf, described, passesOf } from "./support/tiny.ts";

const mebibyte = 1 << 20;
const list = listFormat(["mapped-ram"]);

/** A file in memory that grows; what is never written is zero. */
function file(bytes: number) {
  const content = new Uint8Array(bytes);
  let highest = 0;
  return {
    content,
    write(offset: number, written: Uint8Array): void {
      content.set(written, offset);
      highest = Math.max(highest, offset + written.length);
    },
    written: () => content.subarray(0, highest),
  };
}

function failure(run: () => unknown): MigrationError {
  try {
    run();
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe.skipIf(!haveStreams())("tiny-mappedram of QEMU 10.0", () => {
  const raw = "tiny-mappedram-10.0.stream";
  const load = (chunkBytes: number) => {
    const blocks = blocksOf(described(raw));
    const { stage, offer } = rig(
      blocks.map(({ block }) => block),
      { list },
    );
    const staged = stage();
    const parts = walkRam<RamSection>(readStream(raw), chunkBytes, (phase, previous) =>
      staged.decoder(phase, 4, previous),
    );
    staged.commit();
    return { blocks, parts, received: offer.statistics().received };
  };

  it("loads from its beginning to its end, holes and all, in any chunks", () => {
    const loads = [wholeBytes, 100_003].map(load);
    for (const { blocks, parts, received } of loads) {
      expect(received).toMatchObject({ zeroPages: 4103, normalPages: 2171, missingPages: 0 });
      expect(parts.reduce((sum, { begin, end }) => sum + end - begin, 0)).toBe(31461312);
      expect(parts.map(({ value }) => value.records)).toEqual([{ memsize: 1, eos: 1 }, { eos: 1 }, { eos: 1 }]);
      passesOf(blocks[0]?.memory() as Uint8Array);
    }
    const memories = loads.map(({ blocks }) => blocks.map(({ memory }) => memory()));
    expect(sameBytes(memories[1] as Uint8Array[], memories[0] as Uint8Array[])).toBe(true);
    // A bitmap is all that is held back.
    expect(loads[1]?.parts[0]?.allocatedBytes).toBeLessThan(64 * 1024);
  });

  it("tells a tool the headers that the manifest has", () => {
    const found: unknown[] = [];
    const walker = ramWalker({
      list: () => list,
      onBlock: ({ mapped }) =>
        found.push({
          version: mapped?.version,
          page: mapped?.pageBytes,
          bitmap: mapped?.bitmapOffset,
          pages: mapped?.pagesOffset,
        }),
    });
    walkRam<RamSection>(readStream(raw), wholeBytes, (phase, previous) => walker.decoder(phase, previous));
    expect(found).toEqual(described(raw).ram_blocks.map(({ mapped }) => mapped));
  });

  it("is written again to QEMU's file, byte for byte", () => {
    const { blocks, parts } = load(wholeBytes);
    const stream = readStream(raw);
    const out = file(stream.length);
    const [start, ...later] = parts;
    if (start === undefined) throw new Error("no START");
    const writer = mappedRamWriter({ blocks: blocks.map(({ block }) => block), write: out.write });
    out.write(0, stream.subarray(0, start.begin));
    expect(writer.setup(start.begin)).toBe(start.end);
    while (!writer.iterate(3 * mebibyte));
    writer.complete();
    writer.cleanup(true);
    let at = start.end;
    for (const { begin, end } of later) {
      out.write(at, stream.subarray(at, begin));
      expect(stream.subarray(begin, end)).toEqual(mappedSectionData());
      out.write(begin, mappedSectionData());
      at = end;
    }
    out.write(at, stream.subarray(at));
    expect(Buffer.compare(out.content, stream)).toBe(0);
  });
});

/** A small machine's file: where START's data is, and where it ends. */
function written(
  blocks: readonly TestBlock[],
  position: number,
  between?: (writer: ReturnType<typeof mappedRamWriter>) => void,
) {
  const out = file(8 * mebibyte);
  const writer = mappedRamWriter({ blocks: blocks.map(({ block }) => block), write: out.write });
  const end = writer.setup(position);
  between?.(writer);
  writer.complete();
  writer.cleanup(true);
  return { bytes: out.content.subarray(0, end), end };
}

describe("a mapped-ram file", () => {
  const machine = () => {
    const blocks = [testBlock("pc.ram", 70 * page), testBlock("vga.vram", 2 * page)];
    for (const at of [0, 63, 64, 69]) blocks[0]?.memory().set(pattern(at), at * page);
    blocks[1]?.memory().set(pattern(5), page);
    return blocks;
  };
  const fresh = () => [testBlock("pc.ram", 70 * page), testBlock("vga.vram", 2 * page)];

  it("has its bitmap behind each header, its pages at a whole MiB, and the next name behind them", () => {
    const position = 100;
    const { bytes, end } = written(machine(), position);
    const first = mappedHeaderAt(position + 8 + 7 + 8, 70 * page, page);
    expect(first).toEqual({ version: 1, pageBytes: page, bitmapOffset: 151, pagesOffset: mebibyte });
    expect([1, 64, 65, 70].map(mappedBitmapBytes)).toEqual([8, 8, 16, 16]);
    expect([...bytes.subarray(151, 151 + 16)]).toEqual([1, 0, 0, 0, 0, 0, 0, 0x80, 0x21, 0, 0, 0, 0, 0, 0, 0]);
    const second = mebibyte + 70 * page;
    expect([...bytes.subarray(second, second + 9)]).toEqual(name("vga.vram"));
    expect([...bytes.subarray(end - 8, end)]).toEqual(eos);
    expect(bytes.subarray(mebibyte + 63 * page, mebibyte + 64 * page)).toEqual(pattern(63));
  });

  it("is right whatever was written over in later rounds, and a page that became zero is a hole", () => {
    const blocks = machine();
    const { bytes } = written(blocks, 0, (writer) => {
      expect(writer.iterate(20 * page)).toBe(false);
      blocks[0]?.write(3, [1, 2, 3]);
      blocks[0]?.write(40 * page, [4]);
      blocks[0]?.write(63 * page, new Uint8Array(page));
      expect(writer.synchronise()).toBeGreaterThan(2 * page);
      expect(writer.iterate(1 << 30)).toBe(true);
      expect(writer.synchronise()).toBe(0);
      blocks[1]?.write(0, [9]);
    });
    for (const chunkBytes of [1 << 30, 4096, 977]) {
      const target = fresh();
      const { stage, offer } = rig(
        target.map(({ block }) => block),
        { list },
      );
      const staged = stage();
      const fed = feed(staged.decoder("start", 4, undefined), bytes, 0, chunkBytes);
      expect(fed?.end).toBe(bytes.length);
      feed(staged.decoder("end", 4, fed?.value), mappedSectionData(), 0, chunkBytes);
      staged.commit();
      expect(
        sameBytes(
          target.map(({ memory }) => memory()),
          blocks.map(({ memory }) => memory()),
        ),
      ).toBe(true);
      expect(offer.statistics().received).toMatchObject({ normalPages: 6, zeroPages: 66, missingPages: 0 });
    }
  });

  it("may be read by a fork at any place", () => {
    const { bytes } = written(machine(), 0);
    const pages: string[] = [];
    const walker = ramWalker({
      list,
      page: ({ idstr }, offset, content) =>
        pages.push(`${idstr}+${offset}: ${content.reduce((sum, byte) => sum + byte, 0)}`),
    });
    feed(walker.decoder("start"), bytes, 0, wholeBytes);
    const expected = pages.splice(0);
    expect(expected).toHaveLength(5);
    for (const cut of [60, 155, mebibyte - 5, mebibyte + 100, mebibyte + 63 * page + 9, mebibyte + 70 * page + 3]) {
      const decoder = walker.decoder("start");
      const cursor = new Cursor();
      cursor.append(bytes.subarray(0, cut));
      expect(decoder.resume(cursor)).toBe(false);
      cursor.release();
      const before = pages.splice(0);
      const [fork, forkCursor] = [decoder.fork(), cursor.fork()];
      expect(fork.path()).toBe(decoder.path());
      for (const [each, own] of [
        [fork, forkCursor],
        [decoder, cursor],
      ] as const) {
        own.append(bytes.subarray(cut));
        expect(each.resume(own)).toBe(true);
        expect([...before, ...pages.splice(0)]).toEqual(expected);
      }
    }
  });

  it("needs its offset in a file that begins before the stream", () => {
    const { bytes } = written(machine(), 4096);
    const load = (fileOffset: number) => {
      const staged = rig(
        fresh().map(({ block }) => block),
        { list: { mappedRam: true, fileOffset } },
      ).stage();
      return feed(staged.decoder("start", 4, undefined), bytes.subarray(4096), 0, wholeBytes);
    };
    expect(load(4096)?.end).toBe(bytes.length - 4096);
    expect(failure(() => load(0))).toMatchObject({
      code: "MAPPED_RAM",
      location: { path: "blocks[0].mapped.bitmap_offset", offset: 8 + 7 + 8 + 12 },
      expected: "51",
      found: String(4096 + 51),
    });
  });

  const headerAt = 8 + 7 + 8;
  it.each([
    ["version", 0, [0, 0, 0, 2], "version", 0],
    ["page size", 10, [0x20, 0], "page_size", 4],
    ["bitmap elsewhere", 19, [0x77], "bitmap_offset", 12],
    ["pages not at a whole MiB", 26, [0x10, 0], "pages_offset", 20],
    ["pages before the bitmap's end", 25, [0, 0, 0], "pages_offset", 20],
  ] as const)("is refused: %s", (_, at, bad, element, offset) => {
    const { bytes } = written(machine(), 0);
    const broken = bytes.slice(0, 4096);
    broken.set(bad, headerAt + at);
    const staged = rig(
      fresh().map(({ block }) => block),
      { list },
    ).stage();
    expect(failure(() => feed(staged.decoder("start", 4, undefined), broken, 0, 7))).toMatchObject({
      code: "MAPPED_RAM",
      location: { path: `blocks[0].mapped.${element}`, offset: headerAt + offset },
    });
  });

  it.each([
    ["PAGE", [...word(0, 0x08), ...name("pc.ram")]],
    ["ZERO", [...word(0, 0x02), ...name("pc.ram"), 0]],
    ["XBZRLE", [...word(0, 0x40), ...name("pc.ram")]],
    ["MULTIFD_FLUSH", word(0, 0x200)],
  ])("has no record %s", (_, data) => {
    const { bytes } = written(machine(), 0);
    const walker = ramWalker({ list });
    const listed = feed(walker.decoder("start"), bytes, 0, wholeBytes);
    const error = failure(() => feed(walker.decoder("part", listed?.value), Uint8Array.from(data), 0, wholeBytes));
    expect(error).toMatchObject({ code: "RAM_FLAGS", location: { path: "records[0].flags" } });
  });

  it("is one attempt at a time", () => {
    const writer = mappedRamWriter({ blocks: [testBlock("pc.ram", page).block], write: () => {} });
    expect(() => writer.complete()).toThrow("not set up");
    writer.setup(0);
    expect(failure(() => writer.setup(0)).code).toBe("ATTEMPT_ACTIVE");
  });

  it("comes out of a handler's stream as well: START has all memory in its places", () => {
    const blocks = machine();
    const { handler } = rig(
      blocks.map(({ block }) => block),
      { list },
    );
    // The buffer is one that was used before.
    const out = new Writer(new Uint8Array(8 * mebibyte).fill(0xee));
    out.pos = 5;
    handler.setup(out, 100);
    const { bytes } = written(machine(), 100);
    expect(Buffer.compare(out.written().subarray(5), bytes.subarray(100))).toBe(0);
    expect([...bytesOf((to) => void handler.iterate(to, 1))]).toEqual(eos);
    expect([...bytesOf((to) => void handler.complete(to, 1))]).toEqual(eos);
    handler.cleanup(true);
  });

  it("is written over by whoever has it open, when memory changes behind START; else that is refused", () => {
    for (const placing of [true, false]) {
      const blocks = machine();
      const out = new Writer();
      const fileOffset = 3;
      const { handler } = rig(
        blocks.map(({ block }) => block),
        {
          list: { mappedRam: true, fileOffset },
          ...(placing && { place: (offset: number, bytes: Uint8Array) => out.bytes.set(bytes, offset - fileOffset) }),
        },
      );
      handler.setup(out, 0);
      blocks[0]?.write(9 * page, [1, 2]);
      blocks[0]?.write(63 * page, new Uint8Array(page));
      expect(handler.pending(true).mustPrecopyBytes).toBe(2 * page);
      if (!placing) {
        const refused = failure(() => void handler.iterate(new Writer(), 1 << 30));
        expect(refused).toMatchObject({ code: "RAM_ENCODING", expected: "place" });
        continue;
      }
      expect(handler.iterate(new Writer(), 1 << 30)).toBe(true);
      expect(handler.pending(true).mustPrecopyBytes).toBe(0);
      handler.complete(new Writer(), 1 << 30);
      handler.cleanup(true);
      const target = fresh();
      const staged = rig(
        target.map(({ block }) => block),
        { list: { mappedRam: true, fileOffset } },
      ).stage();
      const fed = feed(staged.decoder("start", 4, undefined), out.written(), 0, wholeBytes);
      feed(staged.decoder("end", 4, fed?.value), mappedSectionData(), 0, wholeBytes);
      staged.commit();
      const memories = [target, blocks].map((side) => side.map(({ memory }) => memory()));
      expect(sameBytes(memories[0] as Uint8Array[], memories[1] as Uint8Array[])).toBe(true);
    }
  });

  it("leaves shared blocks out where they are ignored, with offsets of zero", () => {
    const blocks = [
      testBlock("pc.ram", 4 * page, { map: [{ gpa: 0x4000, offset: 0, length: 4 * page }], shared: true }),
      testBlock("vga.vram", 2 * page),
    ];
    blocks[1]?.memory().set(pattern(2), page);
    const out = file(4 * mebibyte);
    const writer = mappedRamWriter({ blocks: blocks.map(({ block }) => block), write: out.write, ignoreShared: true });
    const end = writer.setup(0);
    writer.complete();
    expect(end).toBe(mebibyte + 2 * page + 8);
    const found: unknown[] = [];
    const both = listFormat(["mapped-ram", "x-ignore-shared"]);
    const walker = ramWalker({
      list: both,
      onBlock: ({ idstr, address, mapped }) => found.push([idstr, address, mapped?.pagesOffset]),
    });
    expect(feed(walker.decoder("start"), out.content, 0, 1000)?.end).toBe(end);
    expect(found).toEqual([
      ["pc.ram", 0x4000n, 0],
      ["vga.vram", 0n, mebibyte],
    ]);
    // A machine that does not share the block would be left without its memory.
    const unshared = [testBlock("pc.ram", 4 * page), testBlock("vga.vram", 2 * page)];
    const staged = rig(
      unshared.map(({ block }) => block),
      { list: both },
    ).stage();
    expect(failure(() => feed(staged.decoder("start", 4, undefined), out.content, 0, 1000))).toMatchObject({
      code: "RAM_BLOCK_MISMATCH",
      location: { path: "blocks[0].mapped.version" },
    });
  });

  it("brings no page for a block whose memory is shared here, whatever the source thought", () => {
    const map = [{ gpa: 0x4000, offset: 0, length: 4 * page }];
    const sources = [testBlock("pc.ram", 4 * page, { map })];
    sources[0]?.memory().fill(0xbb);
    const out = file(4 * mebibyte);
    const writer = mappedRamWriter({ blocks: sources.map(({ block }) => block), write: out.write, ignoreShared: true });
    const end = writer.setup(0);
    writer.complete();
    const target = testBlock("pc.ram", 4 * page, { map, shared: true });
    const staged = rig([target.block], { list: listFormat(["mapped-ram", "x-ignore-shared"]) }).stage();
    const load = () => feed(staged.decoder("start", 4, undefined), out.content.subarray(0, end), 0, 1000);
    expect(failure(load)).toMatchObject({
      code: "RAM_BLOCK_MISMATCH",
      location: { path: "blocks[0].mapped.version" },
      expected: "a block that the source ignores",
    });
    expect(target.memory().every((byte) => byte === 0)).toBe(true);
  });

  it("is read with a look at each bit of the bitmap once, however small the chunks", () => {
    // One page, the last, in a block of 32 MiB: the hole before it comes in many pieces.
    const pages = 8192;
    const header = mappedHeaderAt(8 + 7 + 8, pages * page, page);
    const bitmap = new Uint8Array(mappedBitmapBytes(pages));
    bitmap[bitmap.length - 1] = 0x80;
    const sink = { payload() {}, record() {} } as unknown as RamSink<ListedBlock>;
    const region = new MappedRegion(sink, { idstr: "pc.ram", length: pages * page }, header, header.pagesOffset);
    const cursor = new Cursor();
    const pieces = [bitmap, ...Array.from({ length: pages }, () => new Uint8Array(page))];
    const whole = pieces.map((piece) => {
      cursor.append(piece);
      const isWhole = region.resume(cursor);
      cursor.release();
      return isWhole;
    });
    expect(whole.indexOf(true)).toBe(pieces.length - 1);
    // Bit by bit where one is set, and else a byte at a time.
    expect(region.bytesScanned).toBe(bitmap.length - 1 + 8);
  });
});
