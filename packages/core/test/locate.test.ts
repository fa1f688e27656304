// Where a field stands in its section: the byte that a decoder would read it from, whatever stands before it.

import { countedList, markedList, samples } from "@godwit/test-support/plans";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Cursor } from "../src/cursor.ts";
import {
  array,
  bool,
  buffer,
  type Description,
  decodeRecord,
  encodeRecord,
  encodeState,
  isMigrationError,
  struct,
  subsection,
  u8,
  u16,
  u32,
  unused,
  vmstate,
  type WireRecord,
} from "../src/index.ts";
import { offsetOf } from "../src/kernel/locate.ts";
import { bodyOf } from "../src/vmstate/compile.ts";
import { HeadedNode } from "../src/vmstate/nodes/struct.ts";
import { Walk } from "../src/vmstate/walk.ts";

const inner = vmstate({ name: "inner", version: 1, fields: { a: u16, b: u8 } });
const whole = vmstate({
  name: "whole",
  version: 2,
  fields: {
    first: u8,
    one: struct(inner),
    behind: u8,
    list: array(struct(inner), 2),
    flag: bool,
    _pad: unused(3),
    counted: countedList(struct(inner)),
    last: u8,
    marked: markedList(u8),
    words: array(u16, 4),
    data: buffer(5),
    end: u8,
  },
  subsections: {
    more: subsection({
      name: "whole/more",
      version: 1,
      fields: { n: u8, deep: struct(inner), m: u8 },
      absent: { n: 0, deep: { a: 0, b: 0 }, m: 0 },
    }),
  },
});
const part = { a: 1, b: 2 };
const state = {
  first: 1,
  one: part,
  behind: 9,
  list: [part, part],
  flag: true,
  counted: [part],
  last: 7,
  marked: [5, 6],
  words: Uint16Array.of(1, 2, 3, 4),
  data: new Uint8Array(5),
  end: 3,
  more: { n: 1, deep: part, m: 2 },
};
const offsetIn = (path: string | undefined): number => {
  const record = decodeRecord(whole, encodeState(whole, state));
  return offsetOf(whole, record, 2, path);
};

describe("the offset of a field", () => {
  it.each<[string | undefined, number]>([
    [undefined, 0],
    ["", 0],
    ["first", 0],
    ["one", 1],
    ["one.b", 3],
    ["behind", 4],
    ["list", 5],
    ["list[0]", 5],
    ["list[1]", 8],
    ["list[1].b", 10],
    ["flag", 11],
    ["counted", 15],
    ["counted.count", 15],
    ["counted[0].a", 16],
    ["last", 19],
    // Behind a mark each, and before the mark of the end.
    ["marked[0]", 21],
    ["marked[1]", 23],
    ["words", 25],
    ["data", 33],
    ["end", 38],
    // Behind the subsection's head: 1 + 1 + 10 + 4 bytes.
    ["more", 55],
    ["more.n", 55],
    ["more.deep.b", 58],
    ["more.m", 59],
  ])("%s is %i", (path, offset) => {
    expect(offsetIn(path)).toBe(offset);
  });

  it.each<[string, string]>([
    ["words[3]", "words"],
    ["list[1].c", "list[1]"],
    ["list[7].a", "list"],
    ["one.a.x", "one.a"],
    ["data[1]", "data"],
  ])("%s, which is no element, is that of %s", (path, holder) => {
    expect(offsetIn(path)).toBe(offsetIn(holder));
    expect(offsetIn(holder)).toBeGreaterThan(0);
  });

  it.each(["behin", "behind2", "lis", "nothing", "more2.n"])("%s, which is nowhere, is that of the body", (path) => {
    expect(offsetIn(path)).toBe(0);
  });

  it("does not depend on what this machine compares", () => {
    const odd = vmstate({ name: "odd", version: 3, minimumVersion: 1, fields: { a: u32, b: u8 } });
    expect(offsetOf(odd, { a: 1, b: 2 }, 1, "b")).toBe(4);
  });

  it("is found without looking into what the field does not stand in", () => {
    const n = 20_000;
    const wide = vmstate({ name: "wide", version: 1, fields: { list: array(struct(inner), n), x: u8, y: u8 } });
    const record = { list: Array.from({ length: n }, () => part), x: 1, y: 2 };
    expect(offsetOf(wide, record, 1, "y")).toBe(3 * n + 1);
    const told: (string | undefined)[] = [];
    const walk = new Walk(new HeadedNode(bodyOf(wide), 1), (path) => {
      told.push(path);
      return false;
    });
    const cursor = new Cursor(encodeRecord(wide, record));
    cursor.final = true;
    expect(walk.resume(cursor).done).toBe(true);
    expect(told).toEqual(["list", "x", "y", "(subsection)"]);
  });

  it("is the first byte that belongs to it, in any description", () => {
    let compared = 0;
    fc.assert(
      fc.property(samples(2), ({ description, state: one }) => {
        const bytes = encodeState(description, one);
        fc.pre(bytes.length <= 200);
        const record = decodeRecord(description, bytes, { checks: false });
        const firsts = firstBytes(description, bytes, record);
        for (const [path, first] of firsts) {
          const at = offsetOf(description, record, description.version, path);
          if (at !== first && !firstOfHolders(path, firsts).includes(at)) expect([path, at]).toEqual([path, first]);
          compared++;
        }
      }),
      { seed: 20_261_122, numRuns: 150 },
    );
    expect(compared).toBeGreaterThan(1000);
  });
});

/**
 * The first byte of each leaf, told without any walk: a bit that is turned changes the leaf that the byte is of. A byte
 * whose change changes more (a flag) tells nothing, nor does a count, whose upper bytes would ask for more than there is.
 * In front of it may stand bytes that no change leaves a value.
 */
function firstBytes(description: Description, bytes: Uint8Array, record: WireRecord): Map<string, number> {
  const firsts = new Map<string, number>();
  const vague = new Set<string>();
  const refused: (string | undefined)[] = [];
  for (let at = 0; at < bytes.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const changed = bytes.slice();
      changed[at] = (changed[at] as number) ^ (1 << bit);
      let paths: string[] = [];
      try {
        paths = differences(record, decodeRecord(description, changed, { checks: false }), "");
      } catch (error) {
        if (!isMigrationError(error)) throw error;
        if (error.code === "BITS_RANGE") refused[at] = error.location.path;
      }
      const [path] = paths;
      if (paths.length > 1) for (const one of paths) vague.add(one);
      else if (path !== undefined && !firsts.has(path)) firsts.set(path, at);
    }
  }
  for (const path of firsts.keys()) if (vague.has(path) || path.endsWith("_n")) firsts.delete(path);
  for (const [path, found] of firsts) {
    let at = found;
    while (at > 0 && path.startsWith(refused[at - 1] ?? "?")) at--;
    firsts.set(path, at);
  }
  return firsts;
}

/** An integer of an array, or of a pair, is no element of its own: the first byte of what holds it stands for it. */
function firstOfHolders(path: string, firsts: ReadonlyMap<string, number>): number[] {
  const holder = /^(.*)\[\d+\]$/.exec(path)?.[1];
  if (holder === undefined) return [];
  const own = [...firsts].filter(([one]) => one === holder || one.startsWith(`${holder}[`));
  return [Math.min(...own.map(([, byte]) => byte)), ...firstOfHolders(holder, firsts)];
}

function differences(a: unknown, b: unknown, path: string): string[] {
  if (Object.is(a, b)) return [];
  // What comes or goes does so with a count that no record has: twice, since it tells nothing either.
  if (a === undefined || b === undefined) return [path, path];
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return [path];
  const isList = Array.isArray(a) || ArrayBuffer.isView(a);
  const [one, other] = [a as Record<string, unknown>, b as Record<string, unknown>];
  // A record's version is in the head before it, and no field.
  const keys = new Set([...Object.keys(one), ...Object.keys(other)].filter((key) => key !== "$version"));
  return [...keys].flatMap((key) =>
    differences(one[key], other[key], isList ? `${path}[${key}]` : path === "" ? key : `${path}.${key}`),
  );
}
