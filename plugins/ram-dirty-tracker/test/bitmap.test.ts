import { dirtyBitmap } from "@godwit/ram-dirty-tracker";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

const wordsFor = (pages: number, set: Iterable<number>): Uint32Array => {
  const words = new Uint32Array((pages + 31) >>> 5);
  for (const page of set) words[page >>> 5] = (words[page >>> 5] as number) | (1 << (page & 31));
  return words;
};

const contentOf = (bitmap: ReturnType<typeof dirtyBitmap>): number[] => {
  const found: number[] = [];
  for (let page = bitmap.nextSet(0); page >= 0; page = bitmap.nextSet(page + 1)) found.push(page);
  return found;
};

describe("a dirty bitmap", () => {
  it("is a set of pages", () => {
    const operation = fc.record({
      kind: fc.constantFrom("set", "clear", "merge", "take", "setAll", "clearAll"),
      page: fc.nat(210),
      more: fc.array(fc.nat(210), { maxLength: 20 }),
    });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), fc.array(operation, { maxLength: 30 }), (pages, operations) => {
        const bitmap = dirtyBitmap(pages);
        const model = new Set<number>();
        for (const { kind, page, more } of operations) {
          const inside = more.filter((other) => other < pages);
          if (kind === "set") {
            expect(bitmap.set(page)).toBe(page < pages && !model.has(page));
            if (page < pages) model.add(page);
          } else if (kind === "clear") {
            expect(bitmap.clear(page)).toBe(model.delete(page));
          } else if (kind === "merge") {
            bitmap.merge(wordsFor(pages, inside));
            for (const other of inside) model.add(other);
          } else if (kind === "take") {
            const words = wordsFor(pages, inside);
            const taken = wordsFor(pages, page < pages ? [page] : []);
            bitmap.take(words, taken);
            expect(words.every((word) => word === 0)).toBe(true);
            expect(taken).toEqual(wordsFor(pages, page < pages ? [...inside, page] : inside));
            for (const other of inside) model.add(other);
          } else if (kind === "setAll") {
            bitmap.setAll();
            for (let other = 0; other < pages; other++) model.add(other);
          } else {
            bitmap.clearAll();
            model.clear();
          }
          expect(bitmap.count).toBe(model.size);
          expect(contentOf(bitmap)).toEqual([...model].sort((a, b) => a - b));
          expect(bitmap.test(page)).toBe(model.has(page));
        }
      }),
      { seed: 2, numRuns: 300 },
    );
  });

  it("finds the next set bit from any place", () => {
    const bitmap = dirtyBitmap(128);
    for (const page of [0, 31, 32, 95, 127]) bitmap.set(page);
    expect([0, 1, 31, 32, 33, 95, 96, 127, 128, 5000].map((from) => bitmap.nextSet(from))).toEqual([
      0, 31, 31, 32, 95, 95, 127, 127, -1, -1,
    ]);
  });

  it("looks at one word for 32 clean pages", () => {
    const pages = 1 << 20;
    const bitmap = dirtyBitmap(pages);
    bitmap.set(pages - 1);
    expect(bitmap.nextSet(0)).toBe(pages - 1);
    expect(bitmap.wordsScanned).toBe(pages / 32);
  });

  it("looks at no word twice for dense bits, beyond one look a bit", () => {
    const pages = 4096;
    const bitmap = dirtyBitmap(pages);
    bitmap.setAll();
    expect(contentOf(bitmap)).toHaveLength(pages);
    expect(bitmap.wordsScanned).toBe(pages);
  });

  it("keeps bits beyond the last page out", () => {
    const bitmap = dirtyBitmap(33);
    bitmap.merge(Uint32Array.of(0, 0xffff_ffff));
    expect(contentOf(bitmap)).toEqual([32]);
    expect(bitmap.count).toBe(1);
    bitmap.setAll();
    expect(bitmap.count).toBe(33);
    expect(bitmap.nextSet(32)).toBe(32);
    expect(bitmap.nextSet(33)).toBe(-1);
  });
});
