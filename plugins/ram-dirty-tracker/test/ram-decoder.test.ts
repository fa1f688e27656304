// The receiving side against bad, cut and chunked data: each fault has its code, its path and its offset.
import { type BodyDecoder, Cursor, isMigrationError, type MigrationError } from "@godwit/core";
import { type RamPhase, type RamSection, type RamWalkerInit, ramWalker } from "@godwit/ram-dirty-tracker";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { feed, wholeBytes } from "./support/feed.ts";
import { bytesOf, eos, listOf, name, page, pattern, rig, sameBytes, testBlock, word } from "./support/rig.ts";

const blocks: readonly [string, number][] = [
  ["pc.ram", 4 * page],
  ["vga.vram", 2 * page],
];
const start = listOf(blocks);
/** Where the fixtures stand in their streams. */
const at = 1000;

const walked = (data: readonly number[]): RamSection => {
  const fed = feed(ramWalker().decoder("start"), Uint8Array.from(data), 0, wholeBytes);
  if (fed === undefined) throw new Error("the list is cut");
  return fed.value;
};

function failure(run: () => unknown): MigrationError {
  try {
    run();
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

/** Loads START, then `data`; gives the error at `at` + its offset in `data`. */
function loading(phase: RamPhase, data: readonly number[]): MigrationError {
  const staged = rig(blocks.map(([idstr, length]) => testBlock(idstr, length).block)).stage();
  const listed =
    phase === "start" ? undefined : feed(staged.decoder("start", 4, undefined), Uint8Array.from(start), 0, 7);
  const bytes = new Uint8Array(at + data.length);
  bytes.set(data, at);
  return failure(() => feed(staged.decoder(phase, 4, listed?.value), bytes, at, 5));
}

function walking(phase: RamPhase, data: readonly number[], init: RamWalkerInit = {}): MigrationError {
  const bytes = new Uint8Array(at + data.length);
  bytes.set(data, at);
  return failure(() => feed(ramWalker(init).decoder(phase, walked(start)), bytes, at, 3));
}

const first = [...word(page, 0x02), ...name("pc.ram"), 0];

describe("page records that are refused", () => {
  const cases: [what: string, data: number[], code: string, path: string, offset: number][] = [
    ["no kind", word(page, 0), "RAM_FLAGS", "records[0].flags", 0],
    ["CONTINUE alone", word(page, 0x20), "RAM_FLAGS", "records[0].flags", 0],
    ["two kinds", word(page, 0x0a), "RAM_FLAGS", "records[0].flags", 0],
    ["FULL", word(page, 0x01), "RAM_FLAGS", "records[0].flags", 0],
    ["a flag that no version has", word(page, 0x408), "RAM_FLAGS", "records[0].flags", 0],
    ["EOS with an address", [...first, ...word(page, 0x10)], "RAM_FLAGS", "records[1].flags", first.length],
    ["EOS with CONTINUE", [...first, ...word(0, 0x30)], "RAM_FLAGS", "records[1].flags", first.length],
    ["CONTINUE with nothing before", word(page, 0x28), "RAM_ORDER", "records[0].flags", 0],
    ["a second total", [...first, ...word(page, 0x04)], "RAM_ORDER", "records[1].flags", first.length],
    ["a block that was not listed", [...word(0, 0x08), ...name("pc.bios")], "RAM_BLOCK_UNKNOWN", "records[0].idstr", 8],
    [
      "a page behind its block",
      [...word(4 * page, 0x08), ...name("pc.ram")],
      "RAM_OFFSET",
      "pages[pc.ram+0x4000].offset",
      0,
    ],
    [
      "a page far behind its block",
      [...first, ...word(2 ** 52, 0x22)],
      "RAM_OFFSET",
      "pages[pc.ram+0x10000000000000].offset",
      first.length,
    ],
    [
      "a delta for a page that has not come",
      [...word(0, 0x40), ...name("pc.ram"), 1, 0, 2, 0, 0],
      "RAM_ORDER",
      "pages[pc.ram+0x0].data",
      18,
    ],
    [
      "a delta that is none",
      [...word(0, 0x02), ...name("pc.ram"), 0, ...word(0, 0x60), 1, 0, 3, 0, 0, 1],
      "XBZRLE_INVALID",
      "pages[pc.ram+0x0].data.runs[0].nzrun",
      27,
    ],
    ["COMPRESS_PAGE", [...word(0, 0x100), ...name("pc.ram"), 0, 0, 0, 0], "RAM_ENCODING", "records[0].flags", 0],
    ["HOOK", word(0, 0x80), "RAM_ENCODING", "records[0].flags", 0],
    ["MULTIFD_FLUSH", word(0, 0x200), "RAM_ENCODING", "records[0].flags", 0],
  ];

  it.each(cases)("%s", (_, data, code, path, offset) => {
    for (const phase of ["part", "end"] as const) {
      const error = loading(phase, data);
      expect(error).toMatchObject({ code, location: { path, offset: at + offset } });
      expect(error.expected).toBeDefined();
      expect(error.found).toBeDefined();
    }
  });

  it("names the flags", () => {
    expect(loading("part", word(page, 0x4a)).found).toBe("ZERO|PAGE|XBZRLE (0x4a)");
  });

  it("a section before the list", () => {
    const staged = rig([testBlock("pc.ram", page).block]).stage();
    expect(failure(() => staged.decoder("part", 4, undefined)).code).toBe("RAM_ORDER");
    expect(failure(() => ramWalker().decoder("end")).code).toBe("RAM_ORDER");
  });

  it("a section of another version", () => {
    const staged = rig([testBlock("pc.ram", page).block]).stage();
    for (const version of [3, 5]) {
      expect(failure(() => staged.decoder("start", version, undefined))).toMatchObject({
        code: "SECTION_VERSION",
        expected: "4",
      });
    }
  });
});

describe("block lists that are refused", () => {
  const total = 6 * page;
  const head = word(total, 0x04);
  const ramEntry = [...name("pc.ram"), ...word(4 * page, 0)];
  const cases: [what: string, data: number[], code: string, path: string, offset: number][] = [
    ["no total", word(0, 0x10), "RAM_ORDER", "total", 0],
    ["a page first", word(0, 0x02), "RAM_ORDER", "total", 0],
    ["an unknown block", [...head, ...name("pc.rom")], "RAM_BLOCK_UNKNOWN", "blocks[0].idstr", 8],
    ["a name that is no UTF-8", [...head, 1, 0xff], "RAM_BLOCK_UNKNOWN", "blocks[0].idstr", 8],
    [
      "a block of another length",
      [...head, ...ramEntry, ...name("vga.vram"), ...word(page, 0)],
      "RAM_BLOCK_MISMATCH",
      "blocks[1].used_length",
      8 + ramEntry.length + 9,
    ],
    [
      "a block twice",
      [...head, ...ramEntry, ...name("pc.ram")],
      "RAM_BLOCK_MISMATCH",
      "blocks[1].idstr",
      8 + ramEntry.length,
    ],
    ["more than the total", [...word(page, 0x04), ...ramEntry], "RAM_BLOCK_MISMATCH", "blocks[0].used_length", 8 + 7],
    ["a block missing", [...word(4 * page, 0x04), ...ramEntry], "RAM_BLOCK_MISMATCH", "blocks", 8 + 7],
    [
      "a total that the blocks do not reach",
      [...listOf(blocks, total + page)],
      "RAM_BLOCK_UNKNOWN",
      "blocks[2].idstr",
      start.length - 8,
    ],
    ["a total beyond all memory", word(2 ** 60, 0x04), "LENGTH_BOUND", "total", 0],
    [
      "a length beyond all memory",
      [...head, ...name("pc.ram"), ...word(2 ** 60, 0)],
      "LENGTH_BOUND",
      "blocks[0].used_length",
      15,
    ],
    ["a page in START", [...start.slice(0, -8), ...word(0, 0x08)], "RAM_ORDER", "records[1].flags", start.length - 8],
    ["a total in START again", [...start.slice(0, -8), ...head], "RAM_ORDER", "records[1].flags", start.length - 8],
    [
      "more than lengths behind the last block",
      [...start.slice(0, -8), ...word(2 << 20, 0)],
      "RAM_FLAGS",
      "records[1].flags",
      start.length - 8,
    ],
  ];

  it.each(cases)("%s", (_, data, code, path, offset) => {
    expect(loading("start", data)).toMatchObject({ code, location: { path, offset: at + offset } });
  });

  it("by a walker, which knows no blocks: no name, no whole pages", () => {
    const mapped = [...word(total, 0x04), ...ramEntry, ...[0, 0, 0, 1], ...word(page, 0)];
    const error = failure(() => walked(mapped));
    expect(error).toMatchObject({
      code: "RAM_ENCODING",
      location: { path: "blocks[1].idstr", offset: 8 + ramEntry.length },
    });
    expect(error.detail).toContain("mapped-ram");
    const odd = [...word(total, 0x04), ...name("x"), ...word(100, 0)];
    expect(failure(() => walked(odd))).toMatchObject({
      code: "RAM_BLOCK_MISMATCH",
      location: { path: "blocks[0].used_length" },
    });
    expect(failure(() => walked([...word(total, 0x04), ...name("x"), ...word(0, 0)])).code).toBe("RAM_BLOCK_MISMATCH");
  });
});

describe("a walker", () => {
  const named = (flag: number): number[] => [...word(0, flag), ...name("pc.ram")];

  it("walks every kind that has a length", () => {
    const records: unknown[] = [];
    const pages: [string, number, number][] = [];
    const data = [
      ...[...named(0x40), 1, 0, 3, 9, 9, 9],
      ...[...word(page, 0x60), 1, 0, 0],
      ...[...word(0, 0x120), 0, 0, 0, 2, 8, 8],
      ...[...word(page, 0x120), 0, 0, 0, 0],
      ...[...word(2 * page, 0x22), 0x55],
      ...[...word(3 * page, 0x28), ...pattern(3)],
      ...word(0, 0x200),
      ...eos,
    ];
    for (const chunkBytes of [1, 7, wholeBytes]) {
      records.length = 0;
      pages.length = 0;
      const walker = ramWalker({
        onRecord: ({ kind, ...more }) =>
          records.push([
            kind,
            "block" in more ? [more.block.idstr, more.offset, more.fill, more.payloadBytes] : more.value,
          ]),
        page: (block, offset, bytes) => {
          expect([...bytes]).toEqual([...pattern(3)]);
          pages.push([block.idstr, offset, bytes.length]);
        },
      });
      const fed = feed(walker.decoder("part", walked(start)), Uint8Array.from(data), 0, chunkBytes);
      expect(fed?.end).toBe(data.length);
      expect(fed?.value.records).toEqual({ xbzrle: 2, compress: 2, zero: 1, page: 1, mfflush: 1, eos: 1 });
      expect(fed?.value.named?.idstr).toBe("pc.ram");
      expect(records).toEqual([
        ["xbzrle", ["pc.ram", 0, 0, 3]],
        ["xbzrle", ["pc.ram", page, 0, 0]],
        ["compress", ["pc.ram", 0, 0, 2]],
        ["compress", ["pc.ram", page, 0, 0]],
        ["zero", ["pc.ram", 2 * page, 0x55, 0]],
        ["page", ["pc.ram", 3 * page, 0, page]],
        ["mfflush", 0],
        ["eos", 0],
      ]);
      expect(pages).toEqual([["pc.ram", 3 * page, page]]);
    }
  });

  it.each([
    ["an unknown delta encoding", [...named(0x40), 2, 0, 3], "RAM_ENCODING", "pages[pc.ram+0x0].encoding", 15],
    ["a delta longer than the page", [...named(0x40), 1, 0x10, 1], "LENGTH_BOUND", "pages[pc.ram+0x0].length", 16],
    [
      "zlib data longer than zlib makes",
      [...named(0x100), 0, 0, 0x10, 15],
      "LENGTH_BOUND",
      "pages[pc.ram+0x0].length",
      15,
    ],
    ["a transport's hook", word(0, 0x80), "RAM_ENCODING", "records[0].flags", 0],
  ] as const)("refuses %s", (_, data, code, path, offset) => {
    expect(walking("part", data)).toMatchObject({ code, location: { path, offset: at + offset } });
  });

  it("knows places beyond 4 GiB", () => {
    const offsets: number[] = [];
    const huge = 2 ** 52;
    const list = feed(ramWalker().decoder("start"), Uint8Array.from(listOf([["x", huge]])), 0, wholeBytes)?.value;
    const walker = ramWalker({ onRecord: (record) => "offset" in record && offsets.push(record.offset) });
    const places = [0, 0x8000_0000, 0xffff_f000, 7 * 2 ** 32 + page, huge - page];
    const data = places.flatMap((place) => [...word(place, 0x02), ...name("x"), 0]);
    expect(feed(walker.decoder("part", list), Uint8Array.from([...data, ...eos]), 0, 11)).toBeDefined();
    expect(offsets).toEqual(places);
    const behind = [...word(huge, 0x02), ...name("x"), 0];
    expect(failure(() => feed(walker.decoder("part", list), Uint8Array.from(behind), 0, 11)).code).toBe("RAM_OFFSET");
  });

  it("takes the longest that zlib can make", () => {
    const data = [...named(0x100), 0, 0, 0x10, 14, ...Array<number>(4110).fill(1), ...eos];
    expect(feed(ramWalker().decoder("part", walked(start)), Uint8Array.from(data), 0, 100)?.value.records).toEqual({
      compress: 1,
      eos: 1,
    });
  });

  it("refuses a page size that cannot be", () => {
    for (const pageBytes of [512, 4095, 1 << 17]) {
      expect(failure(() => ramWalker({ pageBytes })).code).toBe("DEFINITION_INVALID");
    }
  });
});

/** A whole migration's data of two blocks: START, PART and END. */
function fixture() {
  const ram = testBlock("pc.ram", 4 * page);
  const vram = testBlock("vga.vram", 2 * page);
  ram.memory().set(pattern(1), page);
  vram.memory().set(pattern(2), page);
  const { handler } = rig([ram.block, vram.block]);
  const sections: [RamPhase, Uint8Array][] = [["start", bytesOf((out) => handler.setup(out))]];
  sections.push(["part", bytesOf((out) => handler.iterate(out, 1 << 30))]);
  ram.write(3 * page + 5, [1, 2, 3]);
  ram.write(page, new Uint8Array(page));
  sections.push(["end", bytesOf((out) => handler.complete(out, 1 << 30))]);
  return { sections, memories: [ram.memory(), vram.memory()] };
}

const expectedPath: Record<RamPhase, RegExp> = {
  start: /^(total|blocks\[[01]\]\.(idstr|used_length)|records\[1\]\.flags)$/,
  part: /^(records\[\d+\]\.(flags|idstr)|pages\[(pc\.ram|vga\.vram)\+0x(0|[1-3]000)\]\.(fill|data))$/,
  end: /^(records\[\d+\]\.(flags|idstr)|pages\[(pc\.ram)\+0x[13]000\]\.(fill|data))$/,
};

describe("data that arrives in pieces", () => {
  it("means the same in every chunking, with work and memory in proportion", () => {
    const { sections, memories } = fixture();
    const work = [1, 7, 4096, wholeBytes].map((chunkBytes) => {
      const target = [testBlock("pc.ram", 4 * page), testBlock("vga.vram", 2 * page)];
      const staged = rig(target.map(({ block }) => block)).stage();
      let previous: unknown;
      let fields = 0;
      for (const [phase, data] of sections) {
        const fed = feed(staged.decoder(phase, 4, previous), data, 0, chunkBytes);
        expect(fed?.end).toBe(data.length);
        previous = fed?.value;
        fields += fed?.fields ?? 0;
        // All that was ever held, summed up; chunks that hold whole records are read in place.
        expect(fed?.allocatedBytes).toBeLessThanOrEqual(chunkBytes < 4096 ? 4 * data.length : 1024);
      }
      staged.commit();
      expect(
        sameBytes(
          target.map(({ memory }) => memory()),
          memories,
        ),
      ).toBe(true);
      return fields;
    });
    expect(new Set(work).size).toBe(1);
  });

  it("is never waited for longer than needed, and says what it waits for", () => {
    const { sections } = fixture();
    const staged = rig([testBlock("pc.ram", 4 * page).block, testBlock("vga.vram", 2 * page).block]).stage();
    let previous: unknown;
    for (const [phase, data] of sections) {
      const decoder = staged.decoder(phase, 4, previous);
      const cursor = new Cursor();
      const paths = new Set<string>();
      for (let next = 0; next < data.length; next++) {
        expect(cursor.available).toBeLessThanOrEqual(9 + 255);
        const path = decoder.path();
        expect(path).toMatch(expectedPath[phase]);
        paths.add(path as string);
        cursor.append(data.subarray(next, next + 1));
        expect(decoder.resume(cursor)).toBe(next === data.length - 1);
        cursor.release();
      }
      expect(decoder.path()).toBeUndefined();
      if (phase === "start") {
        expect([...paths]).toEqual([
          "total",
          "blocks[0].idstr",
          "blocks[0].used_length",
          "blocks[1].idstr",
          "blocks[1].used_length",
          "records[1].flags",
        ]);
      }
      if (phase === "part") {
        expect([...paths].slice(0, 5)).toEqual([
          "records[0].flags",
          "records[0].idstr",
          "pages[pc.ram+0x0].fill",
          "records[1].flags",
          "pages[pc.ram+0x1000].data",
        ]);
      }
      previous = decoder.value();
    }
  });

  it("can be forked at any byte: the fork and the first go on apart", () => {
    const { sections } = fixture();
    let pages: string[] = [];
    const walker = ramWalker({
      page: (block, offset, bytes) =>
        pages.push(`${block.idstr}+${offset}: ${bytes.reduce((sum, byte) => sum + byte, 0)}`),
    });
    /** The pages that a decoder gives out when it is fed, each in several pieces. */
    const pagesOf = (decoder: BodyDecoder, cursor: Cursor, data: Uint8Array): string[] => {
      pages = [];
      for (let at = 0; at < data.length; at += 1000) {
        cursor.append(data.subarray(at, at + 1000));
        if (decoder.resume(cursor)) break;
        cursor.release();
      }
      return pages;
    };
    let previous: RamSection | undefined;
    for (const [phase, data] of sections) {
      const whole = walker.decoder(phase, previous);
      const expectedPages = pagesOf(whole, new Cursor(), data);
      const decoder = walker.decoder(phase, previous);
      const cursor = new Cursor();
      const found: string[] = [];
      for (let next = 0; next < data.length; next += 13) {
        const [right, wrong] = [decoder.fork(), decoder.fork()];
        expect(right.path()).toBe(decoder.path());
        const rest = data.subarray(next);
        // One fork goes a way of its own, which must be nobody else's.
        try {
          pagesOf(
            wrong,
            cursor.fork(),
            rest.map((byte, at) => (at < 300 ? byte ^ 0x20 : byte)),
          );
        } catch (error) {
          expect(isMigrationError(error)).toBe(true);
        }
        expect([...found, ...pagesOf(right, cursor.fork(), rest)]).toEqual(expectedPages);
        expect(right.value()).toEqual(whole.value());
        found.push(...pagesOf(decoder, cursor, data.subarray(next, next + 13)));
        cursor.release();
      }
      expect(decoder.path()).toBeUndefined();
      expect(found).toEqual(expectedPages);
      expect(decoder.value()).toEqual(whole.value());
      previous = decoder.value();
    }
  });

  it("a bit flipped anywhere is refused, or read as something else, but never breaks the reader", () => {
    const { sections } = fixture();
    const codes = new Map<string, number>();
    fc.assert(
      fc.property(
        fc.nat(2),
        fc.nat(),
        fc.nat(7),
        fc.constantFrom(1, 64, wholeBytes),
        (which, byte, bit, chunkBytes) => {
          const target = [testBlock("pc.ram", 4 * page), testBlock("vga.vram", 2 * page)];
          const staged = rig(target.map(({ block }) => block)).stage();
          let previous: unknown;
          try {
            for (const [index, [phase, clean]] of sections.entries()) {
              const data = clean.slice();
              // Page content is most of the data; the framing is what this is about.
              const place = byte % 2 === 0 ? byte % data.length : byte % Math.min(data.length, 40);
              if (index === which) data[place] = (data[place] as number) ^ (1 << bit);
              const fed = feed(staged.decoder(phase, 4, previous), data, 0, chunkBytes);
              if (fed === undefined) throw new RangeError("cut");
              expect(fed.allocatedBytes).toBeLessThanOrEqual(4 * data.length);
              previous = fed.value;
            }
            codes.set("read", (codes.get("read") ?? 0) + 1);
          } catch (error) {
            const code = isMigrationError(error) ? error.code : error instanceof RangeError ? "cut" : undefined;
            if (code === undefined) throw error;
            if (isMigrationError(error)) {
              expect(error.location.path).toBeDefined();
              expect(error.location.offset).toBeDefined();
            }
            codes.set(code, (codes.get(code) ?? 0) + 1);
          } finally {
            staged.discard();
          }
          expect(target.every(({ memory }) => memory().every((stored) => stored === 0))).toBe(true);
        },
      ),
      { seed: 11, numRuns: 600 },
    );
    expect([...codes.keys()]).toEqual(
      expect.arrayContaining(["read", "RAM_FLAGS", "RAM_BLOCK_UNKNOWN", "RAM_BLOCK_MISMATCH", "RAM_OFFSET"]),
    );
  });
});
