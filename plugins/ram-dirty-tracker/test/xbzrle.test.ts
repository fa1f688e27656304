// Page deltas: the encoding by hand and by law, every fault of a delta, and the limits of the output.
import { isMigrationError } from "@godwit/core";
import { xbzrleDecode, xbzrleEncode } from "@godwit/ram-dirty-tracker";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

const page = 4096;

/** The delta of two pages; a number where there is none. */
function delta(before: Uint8Array, after: Uint8Array, limit = page): Uint8Array | number {
  const out = new Uint8Array(limit + 8).fill(0xee);
  const length = xbzrleEncode(before, after, out.subarray(0, limit));
  expect(out.subarray(limit).every((byte) => byte === 0xee)).toBe(true);
  return length > 0 ? out.slice(0, length) : length;
}

const changed = (bytes: readonly (readonly [at: number, value: number])[], length = page): Uint8Array => {
  const after = new Uint8Array(length);
  for (const [at, value] of bytes) after[at] = value;
  return after;
};
const range = (from: number, to: number): [number, number][] =>
  Array.from({ length: to - from }, (_, i) => [from + i, 1 + (i % 255)]);

describe("encoding", () => {
  const before = new Uint8Array(page);

  it.each([
    ["equal pages", [], 0],
    ["the first byte: a run begins with what is unchanged, be it nothing", [[0, 7]], [0, 1, 7]],
    ["the last byte", [[page - 1, 7]], [0xff, 0x1f, 1, 7]],
    [
      "runs are exact: one equal byte between them is a run",
      [
        [1, 5],
        [3, 6],
      ],
      [1, 1, 5, 1, 1, 6],
    ],
    ["a run of 127 takes one byte of length", [[127, 1]], [127, 1, 1]],
    ["a run of 128 takes two", [[128, 1]], [0x80, 0x01, 1, 1]],
  ] as [string, [number, number][], number[] | 0][])("%s", (_, bytes, expected) => {
    const found = delta(before, changed(bytes));
    expect(typeof found === "number" ? found : [...found]).toEqual(expected);
  });

  it("writes the new bytes, and long changed runs with two bytes of length", () => {
    const found = delta(before, changed(range(10, 310))) as Uint8Array;
    expect([...found.subarray(0, 3)]).toEqual([10, 0xac, 0x02]);
    expect([...found.subarray(3)]).toEqual(range(10, 310).map(([, value]) => value));
  });

  it("needs two bytes of room before each run, even for a tail of which nothing is written", () => {
    // 3 bytes of delta; then the unchanged tail is looked for.
    const after = changed([[0, 7]]);
    expect([...(delta(before, after, 5) as Uint8Array)]).toEqual([0, 1, 7]);
    expect(delta(before, after, 4)).toBe(-1);
    // A change up to the page's end has no tail to look for.
    const atEnd = changed([[page - 1, 7]]);
    expect((delta(before, atEnd, 4) as Uint8Array).length).toBe(4);
    expect(delta(before, atEnd, 3)).toBe(-1);
    expect(delta(before, before, 1)).toBe(-1);
    expect(delta(before, before, 2)).toBe(0);
  });

  it("overflows where the changed bytes do not fit", () => {
    const all = new Uint8Array(page).fill(1);
    expect(delta(before, all)).toBe(-1);
    // 0, two bytes of length, and 4093 changed bytes are 4096: all of the page, but no room for the tail's length.
    expect(delta(before, changed(range(0, page - 3)))).toBe(-1);
    expect((delta(before, changed(range(0, page - 5))) as Uint8Array).length).toBe(page - 2);
  });

  it("cannot tell a run beyond 16383 bytes", () => {
    const large = 65536;
    const empty = new Uint8Array(large);
    expect(delta(empty, changed([[16383, 1]], large), large)).toEqual(Uint8Array.of(0xff, 0x7f, 1, 1));
    expect(delta(empty, changed([[16384, 1]], large), large)).toBe(-1);
    expect((delta(empty, changed(range(0, 16383), large), large) as Uint8Array).length).toBe(3 + 16383);
    expect(delta(empty, changed(range(0, 16384), large), large)).toBe(-1);
    expect(delta(empty, empty, large)).toBe(0);
  });
});

describe("decoding", () => {
  const refused: [string, number[], string][] = [
    ["one byte for an unchanged run", [1], "runs[0].zrun"],
    ["an empty unchanged run that is not the first", [1, 1, 9, 0, 1, 9], "runs[1].zrun"],
    ["a length of three bytes", [0x80, 0x80, 1, 1, 1], "runs[0].zrun"],
    ["an unchanged run beyond the page", [0x81, 0x20, 1, 9], "runs[0].zrun"],
    ["no changed run behind an unchanged one", [1, 1], "runs[0].nzrun"],
    ["nothing at all behind an unchanged run", [0x81, 0x01], "runs[0].nzrun"],
    ["an empty changed run", [1, 0, 9], "runs[0].nzrun"],
    ["a changed run's length of three bytes", [0, 0x80, 0x80, 1], "runs[0].nzrun"],
    ["a changed run beyond the delta", [0, 3, 9, 9], "runs[0].nzrun"],
    ["a changed run beyond the page", [0xff, 0x1f, 2, 9, 9], "runs[0].nzrun"],
    ["a last byte that begins a run", [0, 1, 9, 1], "runs[1].zrun"],
  ];

  it.each(refused)("refuses %s", (_, bytes, path) => {
    const around = new Uint8Array(page + 16).fill(0xee);
    expect(() => xbzrleDecode(Uint8Array.from(bytes), around.subarray(8, 8 + page))).toThrow(
      expect.objectContaining({ code: "XBZRLE_INVALID", location: expect.objectContaining({ path }) }),
    );
    expect([...around.subarray(0, 8), ...around.subarray(8 + page)].every((byte) => byte === 0xee)).toBe(true);
  });

  it("gives how far the delta reaches; an empty one changes nothing", () => {
    const target = new Uint8Array(page);
    expect(xbzrleDecode(Uint8Array.of(3, 2, 8, 9), target)).toBe(5);
    expect([...target.subarray(0, 6)]).toEqual([0, 0, 0, 8, 9, 0]);
    expect(xbzrleDecode(new Uint8Array(0), target)).toBe(0);
    // An unchanged run up to the very end is in order as far as it goes, but something must follow it.
    expect(() => xbzrleDecode(Uint8Array.of(0x80, 0x20), new Uint8Array(page))).toThrow("2 bytes");
  });
});

describe("by law", () => {
  const edits = fc.array(
    fc.record({ at: fc.nat(page - 1), length: fc.integer({ min: 1, max: 600 }), seed: fc.nat(255) }),
    { maxLength: 12 },
  );
  const edited = (base: Uint8Array, changes: readonly { at: number; length: number; seed: number }[]): Uint8Array => {
    const after = base.slice();
    for (const { at, length, seed } of changes) {
      for (let i = at; i < Math.min(page, at + length); i++) after[i] = (seed * (i + 1)) & 0xff;
    }
    return after;
  };

  it("a delta applied gives the new page, and its length is within the limit", () => {
    let seen = { deltas: 0, overflows: 0, equal: 0 };
    fc.assert(
      fc.property(edits, edits, fc.integer({ min: 2, max: page }), (first, then, limit) => {
        const before = edited(new Uint8Array(page), first);
        const after = edited(before, then);
        const found = delta(before, after, limit);
        if (found === -1) {
          seen = { ...seen, overflows: seen.overflows + 1 };
          return;
        }
        const target = before.slice();
        if (found === 0) seen = { ...seen, equal: seen.equal + 1 };
        else {
          xbzrleDecode(found as Uint8Array, target);
          seen = { ...seen, deltas: seen.deltas + 1 };
        }
        expect(Buffer.compare(target, after)).toBe(0);
      }),
      { seed: 7, numRuns: 500 },
    );
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(5);
  });

  it("any bytes decode or are refused, and nothing beside the page is written", () => {
    let decoded = 0;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.integer({ min: 1, max: 200 }), (bytes, length) => {
        const around = new Uint8Array(length + 16).fill(0xee);
        const target = around.subarray(8, 8 + length);
        try {
          expect(xbzrleDecode(bytes, target)).toBeLessThanOrEqual(length);
          decoded++;
        } catch (error) {
          expect(isMigrationError(error) && error.code).toBe("XBZRLE_INVALID");
        }
        expect([...around.subarray(0, 8), ...around.subarray(8 + length)].every((byte) => byte === 0xee)).toBe(true);
      }),
      { seed: 8, numRuns: 2000 },
    );
    expect(decoded).toBeGreaterThan(20);
  });
});
