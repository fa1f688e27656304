// Guest-physical memory over blocks, DMA without an IOMMU, and what cannot be assembled.
import type { View } from "@godwit/core";
import { barrierTracker, directDma, ram, ramBlock } from "@godwit/ram-dirty-tracker";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { page, rig, sameBytes, testBlock } from "./support/rig.ts";

/** `low` at 0 and, behind a hole, its upper half at 1 MiB, where `high` follows without a gap. */
function machine() {
  const low = testBlock("low", 4 * page, {
    map: [
      { gpa: 0, offset: 0, length: 2 * page },
      { gpa: 0x10_0000, offset: 2 * page, length: 2 * page },
    ],
  });
  const high = testBlock("high", 2 * page, { map: [{ gpa: 0x10_0000 + 2 * page, offset: 0, length: 2 * page }] });
  const dirty = (block: typeof low) => [...(block.tracker as ReturnType<typeof barrierTracker>).words];
  return { low, high, dirty, ...rig([low.block, high.block]) };
}

const unmapped = expect.objectContaining({ code: "MEMORY_UNMAPPED" });

describe("guest memory", () => {
  it("reads views, and copies where two ranges meet", () => {
    const { low, high, offer } = machine();
    low.memory().set([1, 2], 4 * page - 2);
    high.memory().set([3, 4], 0);
    const boundary = 0x10_0000 + 2 * page;
    expect([...offer.memory.read(boundary - 2, 4)]).toEqual([1, 2, 3, 4]);
    const view = offer.memory.read(boundary, 2);
    high.memory()[1] = 9;
    expect([...view]).toEqual([3, 9]);
    expect(offer.memory.read(boundary, 0)).toHaveLength(0);
  });

  it("writes, and marks the pages of each block dirty", () => {
    const { low, high, dirty, offer } = machine();
    offer.memory.write(0x10_0000 + 2 * page - 1, Uint8Array.of(7, 8));
    expect([low.memory()[4 * page - 1], high.memory()[0]]).toEqual([7, 8]);
    expect([dirty(low), dirty(high)]).toEqual([[8], [1]]);
  });

  it("refuses what no block backs, and then stores nothing", () => {
    const { low, dirty, offer } = machine();
    const bytes = Uint8Array.of(1, 2, 3, 4);
    expect(() => offer.memory.write(2 * page - 2, bytes)).toThrow(unmapped);
    expect(low.memory().every((byte) => byte === 0)).toBe(true);
    expect(dirty(low)).toEqual([0]);
    for (const [gpa, length] of [
      [2 * page, 1],
      [2 * page - 1, 2],
      [0, 2 ** 40],
      [0x10_0000 + 4 * page, 1],
      [-1, 1],
      [0, -1],
      [0.5, 1],
      [Number.NaN, 1],
      [Number.MAX_SAFE_INTEGER, 1],
      [2 ** 60, 1],
    ] as const) {
      expect(() => offer.memory.read(gpa, length), `${length} at ${gpa}`).toThrow(unmapped);
    }
  });

  it("is the model of a sparse array, whatever the map", () => {
    const ranges = fc.uniqueArray(
      fc.record({ slot: fc.nat(9), offset: fc.nat(3), pages: fc.integer({ min: 1, max: 1 }) }),
      {
        selector: ({ slot }) => slot,
        minLength: 1,
      },
    );
    const access = fc.record({ gpa: fc.nat(11 * page), bytes: fc.uint8Array({ minLength: 1, maxLength: 2 * page }) });
    fc.assert(
      fc.property(ranges, fc.array(access, { maxLength: 8 }), (slots, accesses) => {
        // Two slots may show the same page of the block: an alias.
        const map = slots.map(({ slot, offset }) => ({ gpa: slot * page, offset: offset * page, length: page }));
        const block = testBlock("ram", 4 * page, { map });
        const { memory } = rig([block.block]).offer;
        const model = new Uint8Array(4 * page);
        const place = (gpa: number): number => {
          const range = map.find(({ gpa: base }) => gpa >= base && gpa < base + page);
          return range === undefined ? -1 : range.offset + gpa - range.gpa;
        };
        for (const { gpa, bytes } of accesses) {
          const places = [...bytes.keys()].map((i) => place(gpa + i));
          if (places.includes(-1)) {
            expect(() => memory.write(gpa, bytes)).toThrow(unmapped);
            expect(() => memory.read(gpa, bytes.length)).toThrow(unmapped);
          } else {
            memory.write(gpa, bytes);
            for (const [i, at] of places.entries()) model[at] = bytes[i] as number;
            const expected = Uint8Array.from(places, (at) => model[at] as number);
            expect(sameBytes([memory.read(gpa, bytes.length)], [expected])).toBe(true);
          }
        }
        expect(sameBytes([block.memory()], [model])).toBe(true);
      }),
      { seed: 6, numRuns: 200 },
    );
  });
});

describe("direct DMA", () => {
  it("takes a device's address for the guest's, and waits for RAM", () => {
    const { offer, low, dirty } = machine();
    const dma = directDma(offer);
    dma.write(page + 1, Uint8Array.of(5));
    expect([...dma.read(page, 2)]).toEqual([0, 5]);
    expect(dirty(low)).toEqual([2]);
    expect(() => dma.read(2 * page, 1)).toThrow(unmapped);
    expect(dma.after).toEqual([{ idstr: "ram", instance: 0 }]);
    const asked: unknown[] = [];
    const view: View = {
      offer<T>(of: unknown): T {
        asked.push(of);
        return { read: () => Uint8Array.of(42) } as T;
      },
    };
    expect([...dma.staged(view).read(0, 1)]).toEqual([42]);
    expect(asked).toEqual([{ idstr: "ram", instance: 0 }]);
  });
});

describe("blocks that cannot be", () => {
  const invalid = expect.objectContaining({ code: "DEFINITION_INVALID" });
  const bytes = () => new Uint8Array(4 * page);
  const tracker = barrierTracker(4 * page);

  it.each([
    ["no name", { idstr: "" }],
    ["a name of 256 bytes", { idstr: "x".repeat(256) }],
    ["a name of 128 letters of two bytes", { idstr: "é".repeat(128) }],
    ["a tracker of another length", { tracker: barrierTracker(8 * page) }],
    ["a range behind the block", { map: [{ gpa: 0, offset: page, length: 4 * page }] }],
    ["an empty range", { map: [{ gpa: 0, offset: 0, length: 0 }] }],
    ["a range at no address", { map: [{ gpa: -4096, offset: 0, length: page }] }],
  ])("%s", (_, wrong) => {
    expect(() => ramBlock({ idstr: "ram", bytes, tracker, ...wrong })).toThrow(invalid);
  });

  it("a length that is no whole number of pages", () => {
    expect(() => ramBlock({ idstr: "ram", bytes: () => new Uint8Array(4 * page + 1), tracker })).toThrow(invalid);
  });

  it("a name of 255 bytes is one, and travels", () => {
    expect(ramBlock({ idstr: "é".repeat(127), bytes, tracker }).length).toBe(4 * page);
  });

  it("a plugin of blocks that share a name or an address, or of other pages", () => {
    const at = (gpa: number) => ({ map: [{ gpa, offset: 0, length: 2 * page }] });
    const block = (idstr: string, gpa: number) => testBlock(idstr, 2 * page, at(gpa)).block;
    expect(() => ram({ blocks: [block("a", 0), block("a", 4 * page)] })).toThrow(invalid);
    expect(() => ram({ blocks: [block("a", 0), block("b", page)] })).toThrow(invalid);
    expect(() => ram({ blocks: [block("a", 0)], pageBytes: 2048 })).toThrow(invalid);
    expect(() => ram({ blocks: [], pageBytes: 3000 })).toThrow(invalid);
    expect(ram({ blocks: [block("a", 0), block("b", 2 * page)] }).name).toBe("@godwit/ram-dirty-tracker");
  });
});
