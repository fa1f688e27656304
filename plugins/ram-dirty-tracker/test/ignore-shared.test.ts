// x-ignore-shared: shared blocks are listed with their address and counted, and neither sent nor replaced.
import { isMigrationError } from "@godwit/core";
import { type ListFormat, ramWalker } from "@godwit/ram-dirty-tracker";
import { describe, expect, it } from "vitest";
import { feed, wholeBytes } from "./support/feed.ts";
import { bytesOf, eos, name, page, pattern, rig, type TestBlock, testBlock, word } from "./support/rig.ts";

const list: ListFormat = { ignoreShared: true };
const gpa = 0x1_0000_0000;

const machine = (shared = true, at = gpa): TestBlock[] => [
  testBlock("pc.ram", 4 * page, { map: [{ gpa: at, offset: 0, length: 4 * page }], shared }),
  testBlock("vga.vram", 2 * page),
];
const blocksOf = (blocks: readonly TestBlock[]) => blocks.map(({ block }) => block);

function sent(from: readonly TestBlock[]) {
  const { handler, offer } = rig(blocksOf(from), { list });
  const start = bytesOf((out) => handler.setup(out));
  expect(handler.pending(true)).toEqual({ mustPrecopyBytes: 2 * page, canPostcopyBytes: 0 });
  const end = bytesOf((out) => void handler.complete(out, 1 << 30));
  handler.cleanup(true);
  return { start, end, offer };
}

function loading(to: readonly TestBlock[], start: Uint8Array, end?: Uint8Array) {
  const { stage, offer } = rig(blocksOf(to), { list });
  const staged = stage();
  const listed = feed(staged.decoder("start", 4, undefined), start, 0, 3);
  if (end !== undefined) feed(staged.decoder("end", 4, listed?.value), end, 0, 3);
  return { staged, offer };
}

const failure = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  throw new Error("nothing was refused");
};

describe("a shared block", () => {
  it("is in the list with its address, in the total, and in no record", () => {
    const from = machine();
    from[0]?.memory().set(pattern(1));
    from[1]?.memory().set(pattern(2), page);
    const { start, end, offer } = sent(from);
    expect([...start]).toEqual([
      ...word(6 * page, 0x04),
      ...[...name("pc.ram"), ...word(4 * page, 0), ...word(gpa, 0)],
      ...[...name("vga.vram"), ...word(2 * page, 0), ...word(0, 0)],
      ...eos,
    ]);
    expect([...end]).toEqual([
      ...[...word(0, 0x02), ...name("vga.vram"), 0],
      ...[...word(page, 0x28), ...pattern(2)],
      ...eos,
    ]);
    expect(offer.statistics().sent).toMatchObject({ zeroPages: 1, normalPages: 1, remainingPages: 0 });
  });

  it("keeps the memory that the destination has, by reference, and what was sent arrives", () => {
    const from = machine();
    from[1]?.memory().set(pattern(2), page);
    const { start, end } = sent(from);
    const to = machine();
    to[0]?.memory().fill(0x77);
    const own = to[0]?.memory();
    const { staged, offer } = loading(to, start, end);
    expect(staged.offer().read(gpa + 5, 1)[0]).toBe(0x77);
    staged.commit();
    expect(to[0]?.memory()).toBe(own);
    expect(own?.every((byte) => byte === 0x77)).toBe(true);
    expect(to[1]?.memory().subarray(page)).toEqual(pattern(2));
    expect(offer.statistics().received).toMatchObject({ missingPages: 0, allocatedBytes: 2 * page });
    staged.revert();
    expect(to[0]?.memory()).toBe(own);
    expect(to[1]?.memory().every((byte) => byte === 0)).toBe(true);
  });

  it("must stand at the same address", () => {
    const { start } = sent(machine());
    expect(failure(() => loading(machine(true, gpa + page), start))).toMatchObject({
      code: "RAM_BLOCK_MISMATCH",
      location: { path: "blocks[0].address", offset: 8 + 7 + 8 },
      expected: `0x${(gpa + page).toString(16)}`,
      found: `0x${gpa.toString(16)}`,
    });
    // Of a block that travels the address is not looked at, as QEMU does not.
    loading(machine(false, gpa + page), start);
  });

  it("takes no page", () => {
    const { start } = sent(machine());
    for (const flag of [0x02, 0x08, 0x40]) {
      const record = Uint8Array.from([...word(page, flag), ...name("pc.ram"), 0, 0, 0, 0]);
      expect(failure(() => loading(machine(), start, record))).toMatchObject({
        code: "RAM_BLOCK_MISMATCH",
        location: { path: "pages[pc.ram+0x1000].offset", offset: 0 },
      });
    }
  });

  it("is a block like any other where the capability is not set", () => {
    const from = machine();
    from[0]?.memory().set(pattern(1));
    const { handler } = rig(blocksOf(from));
    expect([...bytesOf((out) => handler.setup(out)).subarray(8, 23)]).toEqual([
      ...name("pc.ram"),
      ...word(4 * page, 0),
    ]);
    expect(bytesOf((out) => void handler.complete(out, 1 << 30)).length).toBeGreaterThan(page);
  });
});

it("a page size stands before the address, both ways, and must be the block's", () => {
  const both: ListFormat = { ignoreShared: true, pageSizes: new Map([["pc.ram", 2 << 20]]) };
  const block = testBlock("pc.ram", 4 << 20, { map: [{ gpa: 0x4000, offset: 0, length: 4 << 20 }], shared: true });
  const { handler, stage } = rig([block.block], { list: both });
  const start = bytesOf((out) => handler.setup(out));
  expect([...start]).toEqual([
    ...[...word(4 << 20, 0x04), ...name("pc.ram"), ...word(4 << 20, 0)],
    ...[...word(2 << 20, 0), ...word(0x4000, 0), ...eos],
  ]);
  expect(feed(stage().decoder("start", 4, undefined), start, 0, wholeBytes)?.end).toBe(start.length);
  const found: unknown[] = [];
  const walker = ramWalker({ list: both, onBlock: ({ pageBytes, address }) => found.push([pageBytes, address]) });
  feed(walker.decoder("start"), start, 0, 1);
  expect(found).toEqual([[2 << 20, 0x4000n]]);
  const bad = start.slice();
  bad[8 + 7 + 8 + 5] = 0x10;
  expect(failure(() => feed(stage().decoder("start", 4, undefined), bad, 0, 1))).toMatchObject({
    code: "RAM_BLOCK_MISMATCH",
    location: { path: "blocks[0].page_size", offset: 23 },
  });
});
