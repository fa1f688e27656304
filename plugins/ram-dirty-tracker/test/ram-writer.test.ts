// What the sending side puts on the wire, byte by byte, and its life-cycle.
import { Writer } from "@godwit/core";
import { barrierTracker, compareTracker } from "@godwit/ram-dirty-tracker";
import { describe, expect, it } from "vitest";
import { writeWord } from "../src/records.ts";
import { bytesOf, eos, listOf, name, page, pattern, rig, sameBytes, testBlock, word } from "./support/rig.ts";

const plenty = 1 << 30;

/** Two blocks of four and two pages; of `a` the page 1 is not zero, of `b` the page 0. */
function twoBlocks() {
  const a = testBlock("a", 4 * page);
  const b = testBlock("b.ram", 2 * page);
  a.memory().set(pattern(1), page);
  b.memory().set(pattern(2), 0);
  return { a, b, ...rig([a.block, b.block]) };
}

describe("the sections' data", () => {
  it("START is the total, each block's name and length, and EOS", () => {
    const { handler } = twoBlocks();
    const found = [...bytesOf((out) => handler.setup(out))];
    expect(found).toEqual(
      listOf([
        ["a", 4 * page],
        ["b.ram", 2 * page],
      ]),
    );
    expect(found.slice(0, 16)).toEqual([0, 0, 0, 0, 0, 0, 0x60, 0x04, 1, 0x61, 0, 0, 0, 0, 0, 0]);
  });

  it("PART is a record a page, the block named when it changes, and EOS", () => {
    const { handler } = twoBlocks();
    bytesOf((out) => handler.setup(out));
    const part = [...bytesOf((out) => expect(handler.iterate(out, plenty)).toBe(true))];
    expect(part).toEqual([
      ...[...word(0, 0x02), ...name("a"), 0],
      ...[...word(page, 0x28), ...pattern(1)],
      ...[...word(2 * page, 0x22), 0],
      ...[...word(3 * page, 0x22), 0],
      ...[...word(0, 0x08), ...name("b.ram"), ...pattern(2)],
      ...[...word(page, 0x22), 0],
      ...eos,
    ]);
  });

  it("CONTINUE goes on over the end of a section", () => {
    const { handler, b } = twoBlocks();
    bytesOf((out) => handler.setup(out));
    bytesOf((out) => handler.iterate(out, plenty));
    b.write(0, [7]);
    b.memory().fill(0, 0, page);
    const end = [...bytesOf((out) => expect(handler.complete(out, plenty)).toBe(true))];
    expect(end).toEqual([...word(0, 0x22), 0, ...eos]);
  });

  it("END is one section however often it is asked for: EOS stands at its very end alone", () => {
    const { handler } = twoBlocks();
    const whole = twoBlocks().handler;
    bytesOf((out) => whole.setup(out));
    const expected = bytesOf((out) => whole.complete(out, plenty));

    bytesOf((out) => handler.setup(out));
    const out = new Writer();
    const pieces: number[] = [];
    let calls = 0;
    for (let done = false; !done; calls++) {
      done = handler.complete(out, 100);
      pieces.push(...out.flush());
    }
    expect(calls).toBe(6);
    expect(pieces).toEqual([...expected]);
    expect(handler.pending(false).mustPrecopyBytes).toBe(0);
  });

  it("an address beyond 4 GiB keeps all its bits", () => {
    for (const address of [0, 0x7fff_f000, 0x8000_0000, 0xffff_f000, 5 * 2 ** 32 + 3 * page, 2 ** 53 - page]) {
      expect([...bytesOf((out) => writeWord(out, address, 0x28))]).toEqual(word(address, 0x28));
    }
  });

  it("pages of another size than 4096 are records of that size", () => {
    const bytes = new Uint8Array(4 * 1024).fill(5);
    bytes.fill(0, 1024, 2048);
    const block = testBlock("s", bytes, { tracker: (length) => barrierTracker(length, 1024) });
    const { handler } = rig([block.block], { pageBytes: 1024 });
    bytesOf((out) => handler.setup(out));
    const five = Array<number>(1024).fill(5);
    expect([...bytesOf((out) => handler.iterate(out, plenty))]).toEqual([
      ...[...word(0, 0x08), ...name("s"), ...five],
      ...[...word(1024, 0x22), 0],
      ...[...word(2048, 0x28), ...five],
      ...[...word(3072, 0x28), ...five],
      ...eos,
    ]);
  });
});

describe("the life-cycle", () => {
  it("keeps to its budget, a page at least a call, and loses none", () => {
    const block = testBlock("ram", new Uint8Array(40 * page).fill(3));
    const { handler, offer } = rig([block.block]);
    bytesOf((out) => handler.setup(out));
    const budget = 5 * (page + 8) + 20;
    const sizes: number[] = [];
    for (let done = false; !done; ) sizes.push(bytesOf((out) => (done = handler.iterate(out, budget))).length);
    expect(sizes).toHaveLength(8);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(budget);
    expect(offer.statistics().sent).toMatchObject({ normalPages: 40, zeroPages: 0, remainingPages: 0 });
    block.write(0, new Uint8Array(2 * page).fill(1));
    handler.pending(true);
    const small = bytesOf((out) => expect(handler.iterate(out, 1)).toBe(false));
    expect(small).toHaveLength(8 + page + 8);
  });

  it("goes on where it stopped, round and round: a page that is written again waits for its turn", () => {
    const block = testBlock("ram", new Uint8Array(6 * page).fill(3));
    const { handler } = rig([block.block]);
    bytesOf((out) => handler.setup(out));
    bytesOf((out) => handler.iterate(out, 3 * (page + 8) + 12));
    block.write(0, [4]);
    handler.pending(true);
    const part = bytesOf((out) => expect(handler.iterate(out, plenty)).toBe(true));
    const view = new DataView(part.buffer, part.byteOffset);
    const places = [0, 1, 2, 3].map((record) => view.getUint32(record * (page + 8) + 4) & ~0xfff);
    expect(places).toEqual([3 * page, 4 * page, 5 * page, 0]);
  });

  it("finds content that came back after the page went out as zero, by comparing alone", () => {
    const block = testBlock("ram", 4 * page, { tracker: (length) => compareTracker(length) });
    const { handler } = rig([block.block]);
    block.memory().set(pattern(1), page);
    bytesOf((out) => handler.setup(out));
    bytesOf((out) => handler.iterate(out, plenty));
    for (const content of [new Uint8Array(page), pattern(1)]) {
      block.memory().set(content, page);
      expect(handler.pending(true).mustPrecopyBytes).toBe(page);
      bytesOf((out) => handler.iterate(out, plenty));
    }
    expect(handler.pending(true).mustPrecopyBytes).toBe(0);
  });

  it("ends a call that only looks at zero pages", () => {
    const block = testBlock("ram", 96 << 20);
    const { handler } = rig([block.block]);
    bytesOf((out) => handler.setup(out));
    const part = bytesOf((out) => expect(handler.iterate(out, plenty)).toBe(false));
    expect(part.length).toBe(((64 << 20) / page) * 9 + 4 + 8);
    bytesOf((out) => expect(handler.iterate(out, plenty)).toBe(true));
  });

  it("tells what is pending, exactly only after a sync", () => {
    const { handler, a } = twoBlocks();
    expect(handler.pending(false)).toEqual({ mustPrecopyBytes: 0, canPostcopyBytes: 0 });
    bytesOf((out) => handler.setup(out));
    expect(handler.pending(false).mustPrecopyBytes).toBe(6 * page);
    bytesOf((out) => handler.iterate(out, plenty));
    a.write(3 * page - 1, [1, 2]);
    expect(handler.pending(false).mustPrecopyBytes).toBe(0);
    expect(handler.pending(true).mustPrecopyBytes).toBe(2 * page);
  });

  it("counts pages, bytes and rounds as a migration reports them", () => {
    const { handler, offer, a, b } = twoBlocks();
    expect(offer.statistics().sent).toBeUndefined();
    let bytes = bytesOf((out) => handler.setup(out)).length;
    bytes += bytesOf((out) => handler.iterate(out, plenty)).length;
    a.write(0, [1]);
    b.write(page, [1]);
    handler.pending(true);
    bytes += bytesOf((out) => handler.iterate(out, page)).length;
    b.write(0, [0]);
    bytes += bytesOf((out) => handler.complete(out, plenty)).length;
    handler.cleanup(true);
    expect(offer.statistics().sent).toEqual({
      dirtySyncCount: 3,
      zeroPages: 4,
      normalPages: 5,
      xbzrlePages: 0,
      bytes,
      multifdBytes: 0,
      remainingPages: 0,
      postcopyRequests: 0,
      postcopyPages: 0,
      rounds: [
        { dirtyPages: 6, zeroPages: 4, normalPages: 2, xbzrlePages: 0, bytes: 6 * 8 + 4 + 2 * page + 2 + 6 },
        { dirtyPages: 2, zeroPages: 0, normalPages: 1, xbzrlePages: 0, bytes: 8 + page + 2 },
        { dirtyPages: 2, zeroPages: 0, normalPages: 2, xbzrlePages: 0, bytes: 2 * (8 + page) + 6 },
      ],
    });
  });

  it("sends all pages again in the next attempt", () => {
    const { handler } = twoBlocks();
    const attempt = () => {
      const bytes = [bytesOf((out) => handler.setup(out)), bytesOf((out) => handler.complete(out, plenty))];
      handler.cleanup(true);
      return bytes;
    };
    expect(sameBytes(attempt(), attempt())).toBe(true);
  });

  it("puts back what a failed attempt took from the trackers", () => {
    const tracker = barrierTracker(64 * page);
    const { block, write } = testBlock("ram", 64 * page, { tracker: () => tracker });
    const { handler } = rig([block]);
    write(3 * page, [1]);
    bytesOf((out) => handler.setup(out));
    expect([...tracker.words]).toEqual([0, 0]);
    bytesOf((out) => handler.iterate(out, plenty));
    write(33 * page, [1]);
    handler.pending(true);
    bytesOf((out) => handler.iterate(out, plenty));
    write(34 * page, [1]);
    expect([...tracker.words]).toEqual([0, 4]);
    handler.cleanup(false);
    expect([...tracker.words]).toEqual([8, 6]);
    handler.cleanup(false);
    expect([...tracker.words]).toEqual([8, 6]);
    bytesOf((out) => handler.setup(out));
    handler.cleanup(true);
    expect([...tracker.words]).toEqual([0, 0]);
  });

  it("refuses a second attempt beside the first, whose dirty bits it would take", () => {
    const { handler } = twoBlocks();
    bytesOf((out) => handler.setup(out));
    expect(() => bytesOf((out) => handler.setup(out))).toThrow(expect.objectContaining({ code: "ATTEMPT_ACTIVE" }));
    expect(handler.pending(false).mustPrecopyBytes).toBe(6 * page);
  });

  it("asks for the memory anew each time, and notices a changed length", () => {
    let memory = new Uint8Array(4 * page).fill(1);
    const tracker = compareTracker(memory.length);
    const made = testBlock("ram", memory, { tracker: () => tracker });
    const { handler } = rig([{ ...made.block, bytes: () => memory }]);
    bytesOf((out) => handler.setup(out));
    bytesOf((out) => handler.iterate(out, plenty));
    memory = memory.slice();
    memory[page] = 9;
    expect(handler.pending(true).mustPrecopyBytes).toBe(page);
  });
});
