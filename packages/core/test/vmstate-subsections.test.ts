// Subsections: when they travel, how a reader tells them from data, and what an error says (wire reference 2.6).
import { describe, expect, it } from "vitest";
import { Cursor } from "../src/cursor.ts";
import { isMigrationError } from "../src/errors.ts";
import {
  array,
  bool,
  type Description,
  decodeRecord,
  decodeState,
  encodeRecord,
  encodeState,
  recordDecoder,
  struct,
  subsection,
  u8,
  u16,
  vmstate,
} from "../src/index.ts";

function refusal(run: () => unknown): unknown[] {
  try {
    run();
  } catch (error) {
    if (isMigrationError(error)) return [error.code, error.location.path, error.location.offset];
    throw error;
  }
  throw new Error("nothing was thrown");
}

/** The bytes of numbers, and of strings letter by letter. */
function bytes(...parts: (number | string)[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((p) => (typeof p === "string" ? [...p].map((c) => c.charCodeAt(0)) : [p])));
}
const header = (name: string, version = 1): (number | string)[] => [5, name.length, name, 0, 0, 0, version];

const inner = subsection({
  name: "dev/a/deep",
  version: 1,
  fields: { z: u8 },
  needed: (own) => own.z !== 0,
  absent: { z: 0 },
});
const a = subsection({
  name: "dev/a",
  version: 2,
  minimumVersion: 1,
  fields: { x: u8 },
  subsections: { deep: inner },
  needed: (own) => own.x !== 0,
  absent: { x: 0, deep: { z: 0 } },
});
const b = subsection({
  name: "dev_b",
  version: 1,
  fields: { y: u16 },
  needed: (own, { record }) => own.y !== record["id"],
  absent: ({ record }) => ({ y: record["id"] }),
});
const dev = vmstate({ name: "dev", version: 1, fields: { id: u8 }, subsections: { a, b } });
const quiet = { id: 7, a: { x: 0, deep: { z: 0 } }, b: { y: 7 } };

describe("subsections", () => {
  it("travel when they are needed, in the order of their declaration, nested ones within", () => {
    expect(encodeState(dev, quiet)).toEqual(bytes(7));
    expect(decodeState(dev, bytes(7))).toEqual(quiet);
    const all = { id: 7, a: { x: 1, deep: { z: 2 } }, b: { y: 3 } };
    const wire = bytes(7, ...header("dev/a", 2), 1, ...header("dev/a/deep"), 2, ...header("dev_b"), 0, 3);
    expect(encodeState(dev, all)).toEqual(wire);
    expect(decodeState(dev, wire)).toEqual(all);
  });

  it("may come in any order, and a record keeps it", () => {
    const wire = bytes(7, ...header("dev_b"), 0, 3, ...header("dev/a", 1), 1);
    const record = decodeRecord(dev, wire);
    expect(record).toEqual({ $version: 1, id: 7, b: { $version: 1, y: 3 }, a: { $version: 1, x: 1 } });
    expect(Object.keys(record)).toEqual(["$version", "id", "b", "a"]);
    expect(encodeRecord(dev, record)).toEqual(wire);
    expect(decodeState(dev, wire)).toEqual({ id: 7, a: { x: 1, deep: { z: 0 } }, b: { y: 3 } });
  });

  it("are written from a record whatever `needed` says, and without a version in their own", () => {
    const wire = bytes(7, ...header("dev_b"), 0, 7);
    expect(encodeRecord(dev, decodeRecord(dev, wire))).toEqual(wire);
    expect(encodeRecord(dev, { id: 7, a: { x: 0 } })).toEqual(bytes(7, ...header("dev/a", 2), 0));
  });

  it("that are not needed may not hold what their absence does not mean", () => {
    const lost = { ...quiet, a: { x: 0, deep: { z: 2 } } };
    expect(refusal(() => encodeState(dev, lost))).toEqual(["ABSENT_MISMATCH", "a", undefined]);
    const nested = { ...quiet, a: { x: 1, deep: {} } } as never;
    expect(refusal(() => encodeState(dev, nested))).toEqual(["FIELD_MISSING", "a.deep.z", undefined]);
    // Other names are no state, here as elsewhere: what saves may be the device itself.
    const more = { ...quiet, a: { x: 1, deep: { z: 0, more: 1 } } };
    expect(encodeState(dev, more)).toEqual(encodeState(dev, { ...quiet, a: { x: 1, deep: { z: 0 } } }));
    expect(refusal(() => encodeState(dev, { id: 7, a: quiet.a } as never))).toEqual(["FIELD_MISSING", "b", undefined]);
    expect(refusal(() => encodeState(dev, { ...quiet, b: { y: 70_000 } }))).toEqual(["BITS_RANGE", "b.y", undefined]);
  });

  it("are refused with their place when unknown, repeated, or of another version", () => {
    const unknown = bytes(7, ...header("dev/other"), 1);
    expect(refusal(() => decodeRecord(dev, unknown, { offset: 100 }))).toEqual([
      "SUBSECTION_UNKNOWN",
      "(subsection)",
      101,
    ]);
    const once = [...header("dev_b"), 0, 3];
    expect(refusal(() => decodeRecord(dev, bytes(7, ...once, ...once)))).toEqual([
      "SUBSECTION_DUPLICATE",
      "(subsection)",
      1 + 13 + 11,
    ]);
    expect(refusal(() => decodeRecord(dev, bytes(7, ...header("dev/a", 3), 1)))).toEqual([
      "SUBSECTION_VERSION",
      "(subsection)",
      1 + 11,
    ]);
    expect(refusal(() => decodeRecord(dev, bytes(7, ...header("dev/a", 0), 1)))).toContain("SUBSECTION_VERSION");
    const deep = bytes(7, ...header("dev/a", 1), 1, ...header("dev/a/other"), 2);
    expect(refusal(() => decodeRecord(dev, deep))).toEqual(["SUBSECTION_UNKNOWN", "a.(subsection)", 13]);
  });

  it("may have keys that every object has", () => {
    const odd = vmstate({
      name: "odd",
      version: 1,
      fields: { toString: u8 },
      subsections: {
        constructor: subsection({
          name: "odd/c",
          version: 1,
          fields: { valueOf: u8 },
          absent: { valueOf: 0 } as never,
        }),
      },
    });
    const wire = bytes(1, ...header("odd/c"), 2);
    const state = decodeState(odd, wire) as unknown as Record<string, unknown>;
    expect([state["toString"], state["constructor"]]).toEqual([1, { valueOf: 2 }]);
    expect(encodeRecord(odd, decodeRecord(odd, wire))).toEqual(wire);
    expect(decodeRecord(odd, bytes(1))).toEqual({ $version: 1, toString: 1 });
  });
});

describe("data that looks like a subsection", () => {
  const nested = vmstate({
    name: "nest",
    version: 1,
    fields: { n: u8 },
    subsections: { on: subsection({ name: "nest/on", version: 1, fields: { on: bool }, absent: { on: false } }) },
  });
  const holder = vmstate({ name: "holder", version: 1, fields: { nested: struct(nested), rest: array(u8, 8) } });
  const data = (...rest: (number | string)[]): Uint8Array => bytes(1, ...rest);
  const rest = (wire: Uint8Array): unknown => decodeState(holder, wire).rest;

  it.each([
    ["a length that is too small for the name", [5, 4, "nest", 0, 0]],
    ["another name", [5, 7, "nezt/o"]],
    ["another first letter", [5, 200, "x", 0, 0, 0, 0, 0]],
    ["a lone 0x05", [5, 5, 5, 5, 5, 5, 5, 5]],
  ] as const)("is data: %s", (_, parts) => {
    const wire = data(...parts);
    expect(wire.length).toBe(9);
    expect(rest(wire)).toEqual(wire.slice(1));
    expect(decodeState(holder, wire).nested).toEqual({ n: 1, on: { on: false } });
  });

  it("is data where it is cut off by the end of the input", () => {
    const wire = data(5, 9, "nest/o");
    expect(rest(wire)).toEqual(wire.slice(1));
  });

  it("is a subsection where the name is the body's own and longer", () => {
    expect(refusal(() => decodeRecord(holder, data(5, 5, "nestX", 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)))).toEqual([
      "SUBSECTION_UNKNOWN",
      "nested.(subsection)",
      1,
    ]);
    const wire = data(...header("nest/on"), 1, 1, 2, 3, 4, 5, 6, 7, 8);
    expect(decodeState(holder, wire)).toEqual({
      nested: { n: 1, on: { on: true } },
      rest: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
    });
  });

  it("is not waited for when it cannot be one: a complete section is complete", () => {
    // What follows the body, byte by byte, and how many bytes decide that it is not the body's own.
    const cases: readonly (readonly [after: (number | string)[], needed: number])[] = [
      [[0x7e], 1],
      [[5, 3, "nes"], 2],
      [[5, 9, "x"], 3],
      [[5, 9, "nexx"], 5],
      [[5, 200, "nesT"], 6],
    ];
    for (const [after, needed] of cases) {
      const decoder = recordDecoder(nested as Description, 1);
      const cursor = new Cursor(bytes(1));
      expect(decoder.resume(cursor)).toBe(false);
      const following = bytes(...after);
      for (let i = 0; i < needed; i++) {
        cursor.append(following.slice(i, i + 1));
        expect([after, i, decoder.resume(cursor)]).toEqual([after, i, i === needed - 1]);
      }
      expect(cursor.offset).toBe(1);
    }
  });

  it("names what is missing when a header is cut", () => {
    const wire = bytes(1, ...header("nest/on"), 1);
    for (let cut = 1; cut < wire.length; cut++) {
      const decoder = recordDecoder(nested as Description, 1);
      expect(decoder.resume(new Cursor(wire.slice(0, cut)))).toBe(false);
      expect(decoder.path()).toBe(cut < wire.length - 1 ? "(subsection)" : "on.on");
    }
    expect(refusal(() => decodeRecord(nested, wire.slice(0, 6)))).toEqual(["STREAM_TRUNCATED", "(subsection)", 1]);
    expect(refusal(() => decodeRecord(nested, bytes(1, 6)))).toEqual(["STREAM_TRAILING", "end", 1]);
  });
});
