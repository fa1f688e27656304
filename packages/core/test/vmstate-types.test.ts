// The types that a description infers, and what does not compile; checked by tsc over the tests.
import { describe, expect, expectTypeOf, it } from "vitest";
import {
  array,
  atMost,
  bitmap,
  bool,
  buffer,
  checked,
  cpudouble,
  type Description,
  decodeState,
  encodeState,
  equal,
  i8,
  i16,
  i32,
  i64,
  i64n,
  mustExist,
  named,
  pointer,
  pointers,
  range,
  type StateOf,
  since,
  struct,
  subsection,
  timer,
  tmp,
  u8,
  u16,
  u32,
  u64,
  u64n,
  u64pair,
  until,
  unused,
  validate,
  varray,
  vbuffer,
  vmstate,
  vstruct,
  when,
} from "../src/index.ts";

const point = vmstate({ name: "point", version: 2, minimumVersion: 1, fields: { x: u8, y: i8 } });
const everything = vmstate({
  name: "everything",
  version: 2,
  fields: {
    u8,
    i8,
    u16,
    i16,
    u32,
    i32,
    u64,
    i64,
    u64n,
    i64n,
    u64pair,
    bool,
    timer,
    cpudouble,
    raw: buffer(2),
    counted: vbuffer("u8"),
    bits: bitmap(9),
    _pad: unused(1),
    _check: validate(() => true),
    bytes: array(u8, 2),
    signed: array(i8, 2),
    words: varray("u8", u16),
    longs: array(u64, 2),
    safe: array(u64n, 2),
    pairs: array(u64pair, 2),
    flags: array(bool, 2),
    grid: array(array(i32, 2), 2),
    one: struct(point),
    fixed: vstruct(point, 1),
    rows: varray("u8", struct(point)),
    some: pointers(struct(point), 2, () => false),
    ptr: pointer(u16),
    ptrs: array(pointer(u16), 2),
    text: tmp(point, { save: (s: string) => ({ x: s.length, y: 0 }), load: ({ x }) => "x".repeat(x) }),
    id: equal(u32, 7),
    level: atMost(i32, 7),
    ranged: range(u64, 1n, 9n),
    tested: checked(struct(point), ({ x }) => x > 0, "positive"),
    later: since(2, array(u16, 2), { absent: new Uint16Array(2) }),
    older: until(2, u64, { absent: () => 0n }),
    maybe: when((r) => r["bool"], struct(point), { absent: { x: 0, y: 0 } }),
    must: mustExist(() => true, timer),
    other: named("parent_obj.other", u8),
  },
  subsections: {
    sub: subsection({
      name: "everything/sub",
      version: 1,
      fields: { value: u32 },
      subsections: {
        deep: subsection({ name: "everything/sub/deep", version: 1, fields: { on: bool }, absent: { on: false } }),
      },
      needed: (own) => {
        expectTypeOf(own).toEqualTypeOf<{ value: number; deep: { on: boolean } }>();
        return own.value > 0;
      },
      absent: { value: 0, deep: { on: false } },
    }),
  },
});
type Point = { x: number; y: number };

describe("the inferred state", () => {
  it("has the documented types, without padding", () => {
    expectTypeOf<StateOf<typeof everything>>().toEqualTypeOf<{
      u8: number;
      i8: number;
      u16: number;
      i16: number;
      u32: number;
      i32: number;
      u64: bigint;
      i64: bigint;
      u64n: number;
      i64n: number;
      u64pair: readonly [number, number];
      bool: boolean;
      timer: bigint | null;
      cpudouble: bigint;
      raw: Uint8Array;
      counted: Uint8Array;
      bits: Uint8Array;
      bytes: Uint8Array;
      signed: Int8Array;
      words: Uint16Array;
      longs: BigUint64Array;
      safe: number[];
      pairs: (readonly [number, number])[];
      flags: boolean[];
      grid: Int32Array[];
      one: Point;
      fixed: Point;
      rows: Point[];
      some: (Point | null)[];
      ptr: number;
      ptrs: Uint16Array;
      text: string;
      id: number;
      level: number;
      ranged: bigint;
      tested: Point;
      later: Uint16Array;
      older: bigint;
      maybe: Point;
      must: bigint | null;
      other: number;
      sub: { value: number; deep: { on: boolean } };
    }>();
    expectTypeOf(point).toExtend<Description<Point>>();
    expectTypeOf<StateOf<Description<Point>>>().toEqualTypeOf<Point>();
  });

  it("is what runs: the values are of those classes", () => {
    const small = vmstate({
      name: "small",
      version: 1,
      fields: { a: array(pointer(u16), 1), b: array(bool, 1), c: u64 },
    });
    const state = decodeState(small, Uint8Array.of(0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 9));
    expectTypeOf(state).toEqualTypeOf<{ a: Uint16Array; b: boolean[]; c: bigint }>();
    expect(state).toEqual({ a: Uint16Array.of(1), b: [true], c: 9n });
  });

  it("does not compile with what is wrong", () => {
    const wrong = (): unknown[] => [
      // @ts-expect-error a number where the field is 64 bits wide
      encodeState(vmstate({ name: "w", version: 1, fields: { c: u64 } }), { c: 1 }),
      // @ts-expect-error a field is missing
      encodeState(point, { x: 1 }),
      // @ts-expect-error a string is no boolean
      encodeState(vmstate({ name: "w", version: 1, fields: { b: bool } }), { b: "yes" }),
      // @ts-expect-error `absent` is of the field's type
      since(2, u8, { absent: 0n }),
      // @ts-expect-error a conditional field says what its absence means
      until(2, u8),
      // @ts-expect-error a 64-bit value is compared with a bigint
      equal(u64, 5),
      // @ts-expect-error the limit is of an integer that is a number
      atMost(u64, 5),
      // @ts-expect-error the subsection's `absent` is complete
      subsection({ name: "w/s", version: 1, fields: { a: u8, b: u8 }, absent: { a: 1 } }),
      // @ts-expect-error a subsection says what its absence means
      subsection({ name: "w/s", version: 1, fields: { a: u8 } }),
      // @ts-expect-error what `load` gives is what `save` takes
      tmp(point, { save: (s: string) => ({ x: s.length, y: 0 }), load: ({ x }) => x }),
      // @ts-expect-error the hook gives back the whole state
      vmstate({ name: "w", version: 1, fields: { a: u8, b: u8 }, postLoad: ({ a }) => ({ a }) }),
      // @ts-expect-error a description, and not its fields
      struct({ x: u8 }),
    ];
    expect(wrong).toBeTypeOf("function");
  });
});
