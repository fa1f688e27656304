// What a description is listed as in QEMU's vmdesc, in both dialects (wire reference 1.8); the bytes are the same.
import { describe, expect, it } from "vitest";
import { isMigrationError } from "../src/errors.ts";
import {
  array,
  atMost,
  bitmap,
  bool,
  buffer,
  cpudouble,
  decodeRecord,
  encodeState,
  equal,
  i32,
  i64,
  listRecord,
  listState,
  named,
  pointers,
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
  until,
  unused,
  type VmdescDialect,
  varray,
  vmstate,
  vstruct,
  when,
} from "../src/index.ts";
import { Writer } from "../src/writer.ts";

const row = vmstate({ name: "row", version: 3, fields: { a: u8, b: since(2, u16, { absent: 0 }) } });
const tested = vmstate({
  name: "tested",
  version: 1,
  fields: { a: u8, b: when((r) => r["a"] > 1, u8, { absent: 0 }) },
});

function both(name: string, expected: unknown, old: unknown = expected): readonly [string, unknown, unknown] {
  return [name, expected, old];
}

const description = vmstate({
  name: "all",
  version: 2,
  minimumVersion: 1,
  fields: {
    u: u32,
    n: u64n,
    flag: bool,
    when: timer,
    dbl: cpudouble,
    same: equal(u16, 5),
    same64: equal(u64, 5n),
    less: atMost(i32, 5),
    raw: buffer(3),
    bits: bitmap(65),
    _one: unused(2),
    ints: array(i64, 2),
    one_int: array(u8, 1),
    none: array(u8, 0),
    _two: until(5, unused(3)),
    sometimes: when(() => true, array(u8, 2), { absent: new Uint8Array(2) }),
    later: since(2, array(u8, 2), { absent: new Uint8Array(2) }),
    row: struct(row),
    rows: array(struct(row), 2),
    sometimes_rows: when(() => true, array(struct(row), 2), { absent: [] as never }),
    fixed: vstruct(row, 3),
    tests: array(struct(tested), 3),
    swapped: tmp(row, { save: (x: number) => ({ a: x, b: 0 }), load: ({ a }) => a }),
    ptrs: pointers(struct(row), 5, (i) => i === 1 || i === 2),
    x0: named("regs", u8),
    x1: named("regs", u8),
    counted: varray("u", u8),
  },
  subsections: {
    s: subsection({
      name: "all/s",
      version: 4,
      fields: { v: u8 },
      subsections: { t: subsection({ name: "all/s/t", version: 1, fields: {}, absent: {} }) },
      absent: { v: 0, t: {} },
    }),
  },
});
const one = { a: 1, b: 2 };
const state = {
  u: 2,
  n: 1,
  flag: true,
  when: null,
  dbl: 0n,
  same: 5,
  same64: 5n,
  less: 1,
  raw: Uint8Array.of(1, 2, 3),
  bits: new Uint8Array(16),
  ints: BigInt64Array.of(1n, 2n),
  one_int: Uint8Array.of(1),
  none: new Uint8Array(0),
  sometimes: Uint8Array.of(1, 2),
  later: Uint8Array.of(1, 2),
  row: one,
  rows: [one, one],
  sometimes_rows: [one, one],
  fixed: one,
  tests: [
    { a: 1, b: 0 },
    { a: 2, b: 3 },
    { a: 2, b: 3 },
  ],
  swapped: 7,
  ptrs: [one, null, null, one, one],
  x0: 1,
  x1: 2,
  counted: Uint8Array.of(1, 2),
  s: { v: 1, t: {} },
};

const leaf = (name: string, type: string, size: number): object => ({ name, type, size });
const rowFields = [leaf("a", "uint8", 1), leaf("b", "uint16", 2)];
const rowMembers = { vmsd_name: "row", version: 3, fields: rowFields };
const testedOne = { vmsd_name: "tested", version: 1, fields: [leaf("a", "uint8", 1)] };
const testedTwo = { vmsd_name: "tested", version: 1, fields: [leaf("a", "uint8", 1), leaf("b", "uint8", 1)] };

const expected = [
  both("u", [leaf("u", "uint32", 4)]),
  both("n", [leaf("n", "uint64", 8)]),
  both("flag", [leaf("flag", "bool", 1)]),
  both("when", [leaf("when", "timer", 8)]),
  both("dbl", [leaf("dbl", "CPU_Double_U", 8)]),
  both("same", [leaf("same", "uint16 equal", 2)]),
  both("same64", [leaf("same64", "int64 equal", 8)]),
  both("less", [leaf("less", "int32 le", 4)]),
  both("raw", [leaf("raw", "buffer", 3)]),
  both("bits", [leaf("bits", "bitmap", 16)]),
  both("unused[0]", [leaf("unused[0]", "unused_buffer", 2)]),
  both("ints", [{ name: "ints", array_len: 2, type: "int64", size: 8 }]),
  both("one_int", [leaf("one_int", "uint8", 1)]),
  both("none", []),
  both("unused[1]", [leaf("unused[1]", "unused_buffer", 3)]),
  both(
    "sometimes",
    [{ name: "sometimes", index: 0, type: "uint8", size: 1 }, leaf("sometimes", "uint8", 1)],
    [
      { name: "sometimes", index: 0, type: "uint8", size: 1 },
      { name: "sometimes", index: 1, type: "uint8", size: 1 },
    ],
  ),
  both("later", [{ name: "later", array_len: 2, type: "uint8", size: 1 }]),
  both("row", [{ name: "row", type: "struct", struct: rowMembers, size: 3 }]),
  both("rows", [{ name: "rows", array_len: 2, type: "struct", struct: rowMembers, size: 3 }]),
  both(
    "sometimes_rows",
    [
      { name: "sometimes_rows", index: 0, type: "struct", struct: rowMembers, size: 3 },
      { name: "sometimes_rows", type: "struct", struct: rowMembers, size: 3 },
    ],
    [
      { name: "sometimes_rows", index: 0, type: "struct", struct: rowMembers, size: 3 },
      { name: "sometimes_rows", index: 1, type: "struct", struct: rowMembers, size: 3 },
    ],
  ),
  both("fixed", [{ name: "fixed", type: "vstruct", ...rowMembers, size: 3 }]),
  both(
    "tests",
    [
      { name: "tests", index: 0, type: "struct", struct: testedOne, size: 1 },
      { name: "tests", index: 1, type: "struct", struct: testedTwo, size: 2 },
      { name: "tests", type: "struct", struct: testedTwo, size: 2 },
    ],
    [
      { name: "tests", index: 0, type: "struct", struct: testedOne, size: 1 },
      { name: "tests", index: 1, type: "struct", struct: testedTwo, size: 2 },
      { name: "tests", index: 2, type: "struct", struct: testedTwo, size: 2 },
    ],
  ),
  both("swapped", [
    { name: "swapped", type: "tmp", vmsd_name: "row", version: 3, fields: [leaf("a", "uint8", 1)], size: 1 },
  ]),
  both(
    "ptrs",
    [
      { name: "ptrs", type: "struct", struct: rowMembers, size: 3 },
      { name: "ptrs", array_len: 2, type: "nullptr", size: 1 },
      { name: "ptrs", array_len: 2, type: "struct", struct: rowMembers, size: 3 },
    ],
    [
      { name: "ptrs", index: 0, type: "struct", struct: rowMembers, size: 3 },
      { name: "ptrs", index: 1, type: "struct", struct: {}, size: 1 },
      { name: "ptrs", index: 2, type: "struct", struct: {}, size: 1 },
      { name: "ptrs", index: 3, type: "struct", struct: rowMembers, size: 3 },
      { name: "ptrs", index: 4, type: "struct", struct: rowMembers, size: 3 },
    ],
  ),
  both("regs[0]", [leaf("regs[0]", "uint8", 1)]),
  both("regs[1]", [leaf("regs[1]", "uint8", 1)]),
  both("counted", [{ name: "counted", array_len: 2, type: "uint8", size: 1 }]),
];

describe.each(["7.2", "10.0"] as const)("the vmdesc of dialect %s", (dialect: VmdescDialect) => {
  const out = new Writer();
  const members = listState(out, description, state, dialect);
  const bytes = encodeState(description, state).slice();

  it.each(expected)("lists %s", (name, newer, older) => {
    expect(members.fields.filter((f) => f.name === name)).toEqual(dialect === "7.2" ? older : newer);
  });

  it("lists nothing else, and subsections as they travel", () => {
    expect(new Set(members.fields.map((f) => f.name))).toEqual(
      new Set(expected.map(([name]) => name).filter((name) => name !== "none")),
    );
    expect({ ...members, fields: [] }).toEqual({
      vmsd_name: "all",
      version: 2,
      fields: [],
      subsections: [
        {
          vmsd_name: "all/s",
          version: 4,
          fields: [leaf("v", "uint8", 1)],
          subsections: [{ vmsd_name: "all/s/t", version: 1, fields: [] }],
        },
      ],
    });
  });

  it("is of the bytes that were written, from a record as from a state", () => {
    expect(out.written()).toEqual(bytes);
    const again = new Writer();
    expect(listRecord(again, description, decodeRecord(description, bytes), dialect)).toEqual(members);
    expect(again.written()).toEqual(bytes);
  });

  it("refuses what writing refuses, at the same place", () => {
    const wrong = { ...state, rows: [one, { a: 1, b: 70_000 }] };
    const place = (run: () => unknown): unknown => {
      try {
        return run();
      } catch (error) {
        return isMigrationError(error) ? [error.code, error.location.path] : error;
      }
    };
    expect(place(() => listState(new Writer(), description, wrong, dialect))).toEqual(["BITS_RANGE", "rows[1].b"]);
    const short = { ...state, rows: [one] };
    expect(place(() => listState(new Writer(), description, short, dialect))).toEqual(["COUNT_MISMATCH", "rows"]);
    const nulls = { ...state, ptrs: [one, null, one, null, one] };
    expect(place(() => listState(new Writer(), description, nulls, dialect))).toEqual(["NULL_PATTERN", "ptrs[2]"]);
  });
});
