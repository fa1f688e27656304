// What one machine sends while it writes to its memory, another one has at the end: for any memory, any writes, any
// budgets, any chunks, either tracker, and after attempts that failed.
import { Cursor, Writer } from "@godwit/core";
import {
  barrierTracker,
  compareTracker,
  hashTracker,
  type RamInit,
  type RamPhase,
  ramBlock,
} from "@godwit/ram-dirty-tracker";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { feed, wholeBytes } from "./support/feed.ts";
import { bytesOf, page, pattern, rig, sameBytes, type TestBlock, testBlock } from "./support/rig.ts";

const trackers = { barrier: barrierTracker, compare: compareTracker, hash: hashTracker };
/** What the source sends beside whole pages: deltas, from a cache that holds all, or one where pages are in each other's way. */
const modes: Record<string, Omit<RamInit, "blocks">> = {
  whole: {},
  deltas: { xbzrle: {} },
  fewDeltas: { xbzrle: { cacheBytes: 4 * page } },
};

const write = fc.record({
  block: fc.nat(2),
  offset: fc.nat(20 * page),
  bytes: fc.uint8Array({ minLength: 1, maxLength: 300 }),
  /** Clears the page instead. */
  clear: fc.boolean(),
});
const writes = fc.array(write, { maxLength: 6 });
const machine = fc.record({
  pages: fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 3 }),
  tracker: fc.constantFrom("barrier" as const, "compare" as const, "hash" as const),
  mode: fc.constantFrom(...Object.keys(modes)),
  before: writes,
});
const round = fc.record({ writes, exact: fc.boolean(), budget: fc.integer({ min: 1, max: 12 * page }) });
type Write = typeof write extends fc.Arbitrary<infer T> ? T : never;

function apply(blocks: readonly TestBlock[], stored: readonly Write[]): void {
  for (const { block, offset, bytes, clear } of stored) {
    const target = blocks[block % blocks.length] as TestBlock;
    const length = target.memory().length;
    const at = offset % length;
    if (clear) target.write(at - (at % page), new Uint8Array(page));
    else target.write(at, bytes.subarray(0, length - at));
  }
}

const blockNames = ["pc.ram", "vga.vram", "pc.bios"];

describe("a migration of RAM", () => {
  it("brings the memory over as it was when the source stopped", () => {
    fc.assert(
      fc.property(
        machine,
        fc.array(round, { maxLength: 5 }),
        fc.array(round, { maxLength: 2 }),
        writes,
        fc.constantFrom(1, 7, 4096, wholeBytes),
        fc.integer({ min: 1, max: 8 * page }),
        ({ pages, tracker, mode, before }, rounds, failing, last, chunkBytes, endBudget) => {
          const make = (count: number, index: number) =>
            testBlock(blockNames[index] as string, count * page, { tracker: trackers[tracker] });
          const source = pages.map(make);
          const { handler, offer } = rig(
            source.map(({ block }) => block),
            modes[mode],
          );
          apply(source, before);

          if (failing.length > 0) {
            bytesOf((out) => handler.setup(out));
            for (const each of failing) {
              bytesOf((out) => handler.iterate(out, each.budget));
              apply(source, each.writes);
              handler.pending(each.exact);
            }
            handler.cleanup(false);
          }

          const sections: [RamPhase, Uint8Array][] = [["start", bytesOf((out) => handler.setup(out))]];
          for (const each of rounds) {
            apply(source, each.writes);
            handler.pending(each.exact);
            sections.push(["part", bytesOf((out) => handler.iterate(out, each.budget))]);
          }
          apply(source, last);
          const end = new Writer();
          while (!handler.complete(end, endBudget));
          sections.push(["end", end.flush()]);
          handler.cleanup(true);

          const target = pages.map(make);
          const receiving = rig(target.map(({ block }) => block));
          const staged = receiving.stage();
          let previous: unknown;
          for (const [phase, data] of sections) {
            const fed = feed(staged.decoder(phase, 4, previous), data, 0, chunkBytes);
            expect(fed?.end).toBe(data.length);
            previous = fed?.value;
          }
          expect(target.every(({ memory }) => memory().every((byte) => byte === 0))).toBe(true);
          staged.commit();
          const memories = [target, source].map((side) => side.map(({ memory }) => memory()));
          expect(sameBytes(memories[0] as Uint8Array[], memories[1] as Uint8Array[])).toBe(true);
          const sent = offer.statistics().sent;
          expect(sent?.remainingPages).toBe(0);
          expect(sent?.bytes).toBe(sections.reduce((sum, [, data]) => sum + data.length, 0));
          expect(receiving.offer.statistics().received).toMatchObject({
            zeroPages: sent?.zeroPages,
            normalPages: sent?.normalPages,
            xbzrlePages: sent?.xbzrlePages,
            missingPages: 0,
          });
        },
      ),
      { seed: 5, numRuns: 150 },
    );
  });

  it("sends the same pages with either tracker where every write changes its page", () => {
    const streams = (["barrier", "compare"] as const).map((kind) => {
      const block = testBlock("pc.ram", 64 * page, { tracker: trackers[kind] });
      const { handler } = rig([block.block]);
      const sections = [bytesOf((out) => handler.setup(out))];
      for (let turn = 1; turn < 5; turn++) {
        sections.push(bytesOf((out) => handler.iterate(out, 20 * page)));
        for (let each = 0; each < 64; each += turn + 1) block.write(each * page + turn, [turn, turn]);
        handler.pending(true);
      }
      sections.push(bytesOf((out) => handler.complete(out, 1 << 30)));
      return sections;
    });
    expect(sameBytes(streams[1] as Uint8Array[], streams[0] as Uint8Array[])).toBe(true);
  });
});

describe("staged memory", () => {
  /** A source of two blocks with content, and its whole stream. */
  function source() {
    const blocks = [testBlock("pc.ram", 8 * page), testBlock("vga.vram", 4 * page)];
    blocks[0]?.memory().set(pattern(4), 2 * page);
    blocks[1]?.memory().set(pattern(5), page);
    const { handler } = rig(blocks.map(({ block }) => block));
    return {
      memories: blocks.map(({ memory }) => memory()),
      start: bytesOf((out) => handler.setup(out)),
      end: bytesOf((out) => handler.complete(out, 1 << 30)),
    };
  }
  const target = () => {
    const map = [{ gpa: 0x8000_0000, offset: 0, length: 8 * page }];
    const blocks = [testBlock("pc.ram", 8 * page, { map }), testBlock("vga.vram", 4 * page)];
    for (const { memory } of blocks) memory().fill(0xee);
    return { blocks, before: blocks.map(({ memory }) => memory()), ...rig(blocks.map(({ block }) => block)) };
  };
  const load = (staged: ReturnType<ReturnType<typeof rig>["stage"]>, { start, end }: ReturnType<typeof source>) => {
    const listed = feed(staged.decoder("start", 4, undefined), start, 0, wholeBytes);
    feed(staged.decoder("end", 4, listed?.value), end, 0, wholeBytes);
  };

  it("is what checks see, while the machine still has its own", () => {
    const { blocks, stage, offer } = target();
    const staged = stage();
    expect(staged.offer().read(0x8000_0000, 1)[0]).toBe(0xee);
    load(staged, source());
    expect([...staged.offer().read(0x8000_2000, 3)]).toEqual([...pattern(4).subarray(0, 3)]);
    expect(offer.memory.read(0x8000_2000, 1)[0]).toBe(0xee);
    expect(blocks.every(({ memory }) => memory().every((byte) => byte === 0xee))).toBe(true);
  });

  it("is adopted by reference, and goes back by reference", () => {
    const { blocks, before, stage } = target();
    const from = source();
    const staged = stage();
    load(staged, from);
    staged.commit();
    expect(
      sameBytes(
        blocks.map(({ memory }) => memory()),
        from.memories,
      ),
    ).toBe(true);
    staged.revert();
    for (const [index, { memory }] of blocks.entries()) {
      expect(memory()).toBe(before[index]);
      expect(memory().every((byte) => byte === 0xee)).toBe(true);
    }
  });

  it("is swapped in where memory cannot be replaced, and swapped back", () => {
    const from = source();
    const fixed = new Uint8Array(8 * page).fill(0xee);
    const vram = testBlock("vga.vram", 4 * page);
    const tracker = barrierTracker(fixed.length);
    const inPlace = ramBlock({ idstr: "pc.ram", bytes: () => fixed, tracker });
    const staged = rig([inPlace, vram.block]).stage();
    load(staged, from);
    expect(fixed.every((byte) => byte === 0xee)).toBe(true);
    staged.commit();
    expect(Buffer.compare(fixed, from.memories[0] as Uint8Array)).toBe(0);
    staged.revert();
    expect(fixed.every((byte) => byte === 0xee)).toBe(true);
  });

  it("gives every block back if one cannot be taken over", () => {
    const { blocks, before } = target();
    const [first, second] = blocks as [TestBlock, TestBlock];
    const failing = {
      ...second.block,
      exchange(): Uint8Array {
        throw new Error("no");
      },
    };
    const staged = rig([first.block, failing]).stage();
    load(staged, source());
    expect(() => staged.commit()).toThrow("no");
    expect(first.memory()).toBe(before[0]);
  });

  it("is the local blocks' size at most, and none before the list is whole", () => {
    const { stage, offer } = target();
    const { start, end } = source();
    const staged = stage();
    const received = () => offer.statistics().received;
    const cursor = new Cursor();
    const listing = staged.decoder("start", 4, undefined);
    for (const byte of start) {
      expect(received()?.allocatedBytes).toBe(0);
      cursor.append(Uint8Array.of(byte));
      listing.resume(cursor);
      cursor.release();
    }
    const content = staged.decoder("end", 4, listing.value());
    const ended = new Cursor();
    ended.append(end.subarray(0, 60));
    expect(content.resume(ended)).toBe(false);
    expect(received()).toMatchObject({ allocatedBytes: 8 * page, missingPages: 10 });
    ended.append(end.subarray(60));
    expect(content.resume(ended)).toBe(true);
    expect(received()).toMatchObject({ allocatedBytes: 12 * page, missingPages: 0 });
  });

  it("counts the pages that never came, which are zero", () => {
    const { stage, offer, blocks } = target();
    const { start } = source();
    const staged = stage();
    const listed = feed(staged.decoder("start", 4, undefined), start, 0, wholeBytes);
    feed(staged.decoder("end", 4, listed?.value), Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0x10), 0, wholeBytes);
    // All memory is there before the commit, which must not fail.
    expect(offer.statistics().received).toMatchObject({ allocatedBytes: 12 * page });
    staged.commit();
    expect(offer.statistics().received).toMatchObject({ zeroPages: 0, normalPages: 0, missingPages: 12 });
    expect(blocks.every(({ memory }) => memory().every((byte) => byte === 0))).toBe(true);
  });

  it("fills a page with the byte that an old source names, and clears one that comes again as zero", () => {
    const { stage, blocks } = target();
    const { start } = source();
    const staged = stage();
    const listed = feed(staged.decoder("start", 4, undefined), start, 0, wholeBytes);
    const out = new Writer();
    const record = (address: number, flags: number, payload: ArrayLike<number>) => {
      out.u64(BigInt(address | flags));
      out.raw(Uint8Array.from(payload));
    };
    record(0, 0x02, [...[6, ...new TextEncoder().encode("pc.ram")], 0x5a]);
    record(page, 0x28, pattern(1));
    record(page, 0x22, [0]);
    record(2 * page, 0x22, [0]);
    record(2 * page, 0x28, pattern(2));
    record(0, 0x10, []);
    feed(staged.decoder("end", 4, listed?.value), out.flush(), 0, wholeBytes);
    staged.commit();
    const memory = blocks[0]?.memory() ?? new Uint8Array(0);
    expect(memory.subarray(0, page).every((byte) => byte === 0x5a)).toBe(true);
    expect(memory.subarray(page, 2 * page).every((byte) => byte === 0)).toBe(true);
    expect(memory.subarray(2 * page, 3 * page)).toEqual(pattern(2));
    expect(memory.subarray(3 * page).every((byte) => byte === 0)).toBe(true);
  });

  it("is gone after a discard, and an attempt ends once", () => {
    const { stage, blocks } = target();
    const staged = stage();
    load(staged, source());
    staged.discard();
    expect(staged.offer().read(0x8000_0000, 1)[0]).toBe(0xee);
    const ended = expect.objectContaining({ code: "ATTEMPT_ENDED" });
    expect(() => staged.commit()).toThrow(ended);
    expect(() => staged.decoder("start", 4, undefined)).toThrow(ended);
    expect(blocks.every(({ memory }) => memory().every((byte) => byte === 0xee))).toBe(true);
  });
});
