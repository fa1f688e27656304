// Every field kind: its bytes (wire reference 2.4), what it takes, and what it refuses, with the place of the error.
import { describe, expect, it } from "vitest";
import { isMigrationError, type MigrationError } from "../src/errors.ts";
import {
  array,
  atMost,
  bitmap,
  bool,
  buffer,
  checked,
  cpudouble,
  type DecodeOptions,
  type Description,
  decodeRecord,
  decodeState,
  encodeRecord,
  encodeState,
  equal,
  type Field,
  i8,
  i16,
  i32,
  i64,
  i64n,
  mustExist,
  pointer,
  pointers,
  range,
  since,
  struct,
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

function errorOf(run: () => unknown): MigrationError {
  try {
    run();
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

/** Code, path and offset. */
function refusal(run: () => unknown): unknown[] {
  const { code, location } = errorOf(run);
  return [code, location.path, location.offset];
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

function unhex(text: string): Uint8Array {
  return Uint8Array.from(text.split(" ").filter(Boolean), (byte) => Number.parseInt(byte, 16));
}

const pointOf = vmstate({ name: "point", version: 1, fields: { x: u8, y: i8 } });
const flagged = vmstate({ name: "flagged", version: 1, fields: { on: bool, _pad: unused(1) } });

/** A byte stands before each field, so that an offset of 0 cannot be right by chance. */
function around(field: Field): Description<{ lead: number; f: unknown }> {
  return vmstate({ name: "around", version: 1, fields: { lead: u8, f: field } }) as never;
}

interface Kind {
  readonly name: string;
  readonly field: Field;
  readonly bytes: string;
  readonly value: unknown;
  /** Values of a state that are refused, with the code and the path within the field. */
  readonly wrong?: readonly (readonly [value: unknown, code: string, path?: string])[];
  /** Bytes that are refused, with the code, the path within the field, and the offset within it. */
  readonly bad?: readonly (readonly [bytes: string, code: string, path: string, offset: number])[];
}

const notU8: Kind["wrong"] = [-1, 256, 1.5, Number.NaN, "1", 1n, null, true].map(
  (value) => [value, "BITS_RANGE"] as const,
);
const kinds: readonly Kind[] = [
  { name: "u8", field: u8, bytes: "fe", value: 254, wrong: notU8 },
  {
    name: "i8",
    field: i8,
    bytes: "fe",
    value: -2,
    wrong: [
      [-129, "BITS_RANGE"],
      [128, "BITS_RANGE"],
    ],
  },
  {
    name: "u16",
    field: u16,
    bytes: "01 02",
    value: 258,
    wrong: [
      [65536, "BITS_RANGE"],
      [-1, "BITS_RANGE"],
    ],
  },
  { name: "i16", field: i16, bytes: "ff fe", value: -2, wrong: [[32768, "BITS_RANGE"]] },
  {
    name: "u32",
    field: u32,
    bytes: "fe 02 03 04",
    value: 0xfe020304,
    wrong: [
      [2 ** 32, "BITS_RANGE"],
      [-1, "BITS_RANGE"],
    ],
  },
  { name: "i32", field: i32, bytes: "80 00 00 00", value: -(2 ** 31), wrong: [[2 ** 31, "BITS_RANGE"]] },
  {
    name: "u64",
    field: u64,
    bytes: "fe 02 03 04 05 06 07 08",
    value: 0xfe02030405060708n,
    wrong: [
      [-1n, "BITS_RANGE"],
      [2n ** 64n, "BITS_RANGE"],
      [5, "BITS_RANGE"],
    ],
  },
  {
    name: "i64",
    field: i64,
    bytes: "ff ff ff ff ff ff ff fe",
    value: -2n,
    wrong: [
      [2n ** 63n, "BITS_RANGE"],
      [-(2n ** 63n) - 1n, "BITS_RANGE"],
    ],
  },
  {
    name: "u64n",
    field: u64n,
    bytes: "00 1f ff ff ff ff ff ff",
    value: Number.MAX_SAFE_INTEGER,
    wrong: [
      [-1, "BITS_RANGE"],
      [2 ** 53, "BITS_RANGE"],
      [1n, "BITS_RANGE"],
      [0.5, "BITS_RANGE"],
    ],
    bad: [["00 20 00 00 00 00 00 00", "BITS_RANGE", "f", 0]],
  },
  {
    name: "i64n",
    field: i64n,
    bytes: "ff e0 00 00 00 00 00 01",
    value: Number.MIN_SAFE_INTEGER,
    wrong: [[-(2 ** 53), "BITS_RANGE"]],
    bad: [["ff e0 00 00 00 00 00 00", "BITS_RANGE", "f", 0]],
  },
  {
    name: "u64pair",
    field: u64pair,
    bytes: "00 00 00 02 00 00 00 01",
    value: [1, 2],
    wrong: [
      [[1], "BITS_RANGE"],
      [[1, 2, 3], "BITS_RANGE"],
      [[1, -1], "BITS_RANGE"],
      [5, "BITS_RANGE"],
      [null, "BITS_RANGE"],
    ],
  },
  {
    name: "bool",
    field: bool,
    bytes: "01",
    value: true,
    wrong: [
      [1, "BITS_RANGE"],
      [5, "BITS_RANGE"],
      [null, "BITS_RANGE"],
    ],
  },
  {
    name: "timer",
    field: timer,
    bytes: "00 00 00 00 00 00 01 00",
    value: 256n,
    wrong: [
      [-1n, "BITS_RANGE"],
      [2n ** 64n - 1n, "BITS_RANGE"],
      [5, "BITS_RANGE"],
    ],
  },
  { name: "timer that is not pending", field: timer, bytes: "ff ff ff ff ff ff ff ff", value: null },
  {
    name: "cpudouble",
    field: cpudouble,
    bytes: "7f f0 00 00 00 00 00 01",
    value: 0x7ff0000000000001n,
    wrong: [
      [1.5, "BITS_RANGE"],
      [-1n, "BITS_RANGE"],
    ],
  },
  {
    name: "buffer",
    field: buffer(3),
    bytes: "01 02 03",
    value: Uint8Array.of(1, 2, 3),
    wrong: [
      [Uint8Array.of(1, 2), "COUNT_MISMATCH"],
      [[1, 2, 256], "BITS_RANGE", "[2]"],
      [[1, -1, 0], "BITS_RANGE", "[1]"],
      [["1", 2, 3], "BITS_RANGE", "[0]"],
      [BigUint64Array.of(1n, 2n, 3n), "BITS_RANGE", "[0]"],
      [Int8Array.of(1, 2, -3), "BITS_RANGE", "[2]"],
      [7, "BITS_RANGE"],
    ],
  },
  { name: "empty buffer", field: buffer(0), bytes: "", value: new Uint8Array(0) },
  {
    name: "bitmap of 65 bits",
    field: bitmap(65),
    bytes: "80 00 00 00 00 00 02 01 00 00 00 00 00 00 00 01",
    // Bits 0, 9, 63 and 64.
    value: Uint8Array.of(1, 2, 0, 0, 0, 0, 0, 0x80, 1, 0, 0, 0, 0, 0, 0, 0),
    wrong: [[Uint8Array.of(1), "COUNT_MISMATCH"]],
  },
  {
    name: "array of u8",
    field: array(u8, 2),
    bytes: "01 ff",
    value: Uint8Array.of(1, 255),
    wrong: [
      [Int8Array.of(1, -1), "BITS_RANGE", "[1]"],
      [[1], "COUNT_MISMATCH"],
      ["ab", "BITS_RANGE"],
    ],
  },
  {
    name: "array of i8",
    field: array(i8, 2),
    bytes: "01 ff",
    value: Int8Array.of(1, -1),
    wrong: [[Uint8Array.of(1, 200), "BITS_RANGE", "[1]"]],
  },
  { name: "array of u16", field: array(u16, 2), bytes: "00 01 ff fe", value: Uint16Array.of(1, 0xfffe) },
  { name: "array of i16", field: array(i16, 1), bytes: "ff fe", value: Int16Array.of(-2) },
  {
    name: "array of u32",
    field: array(u32, 2),
    bytes: "00 00 00 01 ff ff ff ff",
    value: Uint32Array.of(1, 0xffffffff),
    wrong: [
      [Int32Array.of(1, -1), "BITS_RANGE", "[1]"],
      [[0, 2 ** 32], "BITS_RANGE", "[1]"],
    ],
  },
  { name: "array of i32", field: array(i32, 1), bytes: "ff ff ff ff", value: Int32Array.of(-1) },
  {
    name: "array of u64",
    field: array(u64, 2),
    bytes: "00 00 00 00 00 00 00 01 ff ff ff ff ff ff ff ff",
    value: BigUint64Array.of(1n, 2n ** 64n - 1n),
    wrong: [[BigInt64Array.of(1n, -1n), "BITS_RANGE", "[1]"]],
  },
  { name: "array of i64", field: array(i64, 1), bytes: "ff ff ff ff ff ff ff ff", value: BigInt64Array.of(-1n) },
  {
    name: "array of u64n",
    field: array(u64n, 2),
    bytes: "00 00 00 00 00 00 00 01 00 00 00 01 00 00 00 00",
    value: [1, 2 ** 32],
    bad: [["00 00 00 00 00 00 00 01 ff 00 00 01 00 00 00 00", "BITS_RANGE", "f[1]", 8]],
  },
  { name: "array of u64pair", field: array(u64pair, 1), bytes: "00 00 00 02 00 00 00 01", value: [[1, 2]] },
  {
    name: "array of bool",
    field: array(bool, 3),
    bytes: "01 00 01",
    value: [true, false, true],
    wrong: [[[true, 1, false], "BITS_RANGE", "[1]"]],
  },
  {
    name: "array of arrays",
    field: array(array(u16, 2), 2),
    bytes: "00 01 00 02 00 03 00 04",
    value: [Uint16Array.of(1, 2), Uint16Array.of(3, 4)],
    wrong: [[[Uint16Array.of(1, 2), [3, 70000]], "BITS_RANGE", "[1][1]"]],
  },
  {
    name: "struct",
    field: struct(pointOf),
    bytes: "01 ff",
    value: { x: 1, y: -1 },
    wrong: [
      [{ x: 1 }, "FIELD_MISSING", "y"],
      [{ x: 1, y: 200 }, "BITS_RANGE", "y"],
      [null, "FIELD_MISSING"],
      [5, "FIELD_MISSING"],
    ],
  },
  {
    name: "array of struct",
    field: array(struct(pointOf), 2),
    bytes: "01 ff 02 fe",
    value: [
      { x: 1, y: -1 },
      { x: 2, y: -2 },
    ],
    wrong: [
      [
        [
          { x: 1, y: 1 },
          { x: 1, y: 999 },
        ],
        "BITS_RANGE",
        "[1].y",
      ],
      [{ length: 2 }, "FIELD_MISSING", "[0]"],
    ],
  },
  {
    name: "pointer",
    field: pointer(u32),
    bytes: "00 00 00 07",
    value: 7,
  },
  {
    name: "array of pointers",
    field: pointers(struct(pointOf), 3, (i) => i === 1),
    bytes: "01 02 30 03 04",
    value: [{ x: 1, y: 2 }, null, { x: 3, y: 4 }],
    wrong: [
      [[{ x: 1, y: 2 }, { x: 1, y: 2 }, null], "NULL_PATTERN", "[1]"],
      [[null, null, { x: 1, y: 2 }], "NULL_PATTERN", "[0]"],
      [[{ x: 1, y: 2 }, null], "COUNT_MISMATCH"],
      [null, "BITS_RANGE"],
      [5, "BITS_RANGE"],
    ],
    bad: [["01 02 00 03 04", "NULL_PATTERN", "f[1]", 2]],
  },
  {
    name: "array of pointers to what may be null itself",
    field: pointers(timer, 2, (i) => i === 0),
    bytes: "30 ff ff ff ff ff ff ff ff",
    value: [null, null],
    wrong: [[[1n, null], "NULL_PATTERN", "[0]"]],
  },
  {
    name: "array of pointers to booleans",
    field: pointers(bool, 2, (i) => i === 0),
    bytes: "30 01",
    value: [null, true],
  },
  {
    name: "tmp",
    field: tmp(vmstate({ name: "halves", version: 1, fields: { low: u16, high: u16 } }), {
      save: (whole: number) => ({ low: whole & 0xffff, high: whole >>> 16 }),
      load: ({ low, high }) => high * 65536 + low,
    }),
    bytes: "00 01 00 02",
    value: 0x20001,
  },
  {
    name: "equal",
    field: equal(u16, 7),
    bytes: "00 07",
    value: 7,
    wrong: [[8, "FIELD_UNEQUAL"]],
    bad: [["00 08", "FIELD_UNEQUAL", "f", 0]],
  },
  {
    name: "equal u64",
    field: equal(u64, 7n),
    bytes: "00 00 00 00 00 00 00 07",
    value: 7n,
    wrong: [[8n, "FIELD_UNEQUAL"]],
  },
  {
    name: "atMost",
    field: atMost(i32, 9),
    bytes: "00 00 00 09",
    value: 9,
    wrong: [
      [10, "FIELD_CHECK"],
      [-1, "FIELD_CHECK"],
    ],
    bad: [["ff ff ff ff", "FIELD_CHECK", "f", 0]],
  },
  {
    name: "range",
    field: range(u8, 3, 5),
    bytes: "05",
    value: 5,
    wrong: [[6, "FIELD_CHECK"]],
    bad: [["02", "FIELD_CHECK", "f", 0]],
  },
  {
    name: "checked struct",
    field: checked(struct(flagged), ({ on }) => on === true, "switched on"),
    bytes: "01 00",
    value: { on: true },
    wrong: [
      [{ on: false }, "FIELD_CHECK"],
      [null, "FIELD_MISSING"],
    ],
    bad: [["00 00", "FIELD_CHECK", "f", 0]],
  },
  {
    name: "array of checked",
    field: array(
      checked(struct(pointOf), ({ x }) => x < 5, "below 5"),
      2,
    ),
    bytes: "01 00 04 00",
    value: [
      { x: 1, y: 0 },
      { x: 4, y: 0 },
    ],
    wrong: [
      [
        [
          { x: 1, y: 0 },
          { x: 5, y: 0 },
        ],
        "FIELD_CHECK",
        "[1]",
      ],
    ],
    bad: [["01 00 05 00", "FIELD_CHECK", "f[1]", 2]],
  },
];

describe.each(kinds)("$name", ({ field, bytes, value, wrong = [], bad = [] }) => {
  // The second round meets the code that a body gets when it is used often.
  it.each(["at first", "used often"])("has its bytes, and refuses what does not fit: %s", (when) => {
    const description = around(field);
    const wire = unhex(`07 ${bytes}`);
    for (let i = 0; i < (when === "at first" ? 1 : 40); i++) {
      expect(hex(encodeState(description, { lead: 7, f: value }))).toBe(hex(wire));
      const state = decodeState(description, wire);
      expect(state).toEqual({ lead: 7, f: value });
      expect(state.f?.constructor).toBe(value?.constructor);
      expect(hex(encodeRecord(description, decodeRecord(description, wire)))).toBe(hex(wire));
    }
    for (const [one, code, path] of wrong) {
      const at = path === undefined ? "f" : path.startsWith("[") ? `f${path}` : `f.${path}`;
      expect(refusal(() => encodeState(description, { lead: 7, f: one }))).toEqual([code, at, undefined]);
    }
    for (const [one, code, path, offset] of bad) {
      expect(refusal(() => decodeRecord(description, unhex(`07 ${one}`), { offset: 1000 }))).toEqual([
        code,
        path,
        1001 + offset,
      ]);
    }
    expect(refusal(() => encodeState(description, { lead: 7, f: undefined }))).toEqual([
      "FIELD_MISSING",
      "f",
      undefined,
    ]);
  });
});

describe("what stands on the wire", () => {
  it("keeps a boolean's odd byte and padding that is not zero in the record, and not in the state", () => {
    const description = vmstate({
      name: "odd",
      version: 1,
      fields: { rows: array(struct(flagged), 2), _end: unused(2) },
    });
    const odd = unhex("05 00 01 09 00 ff");
    const record = decodeRecord(description, odd);
    expect(record).toEqual({
      $version: 1,
      rows: [{ on: 5 }, { on: true, _pad: Uint8Array.of(9) }],
      _end: Uint8Array.of(0, 255),
    });
    expect(hex(encodeRecord(description, record))).toBe(hex(odd));
    const state = decodeState(description, odd);
    expect(state).toEqual({ rows: [{ on: true }, { on: true }] });
    expect(hex(encodeState(description, state))).toBe("01 00 01 00 00 00");
  });

  it("takes any array-like, and padding from no state", () => {
    const description = vmstate({
      name: "loose",
      version: 1,
      fields: { regs: array(u32, 2), raw: buffer(2), _pad: unused(1) },
    });
    const state = { regs: [1, 2], raw: [3, 4], _pad: Uint8Array.of(9) };
    expect(hex(encodeState(description, state as never))).toBe("00 00 00 01 00 00 00 02 03 04 00");
  });

  it("gives copies, and keeps none of what it was given", () => {
    const description = vmstate({
      name: "copies",
      version: 1,
      fields: { raw: buffer(40), words: array(u32, 2), u: array(u8, 2) },
    });
    const words = new Uint8Array(50).fill(1);
    const state = decodeState(description, words);
    words.fill(2);
    expect(state.raw.every((byte) => byte === 1)).toBe(true);
    expect(state.words).toEqual(Uint32Array.of(0x01010101, 0x01010101));
    // A runtime's own subclass of Uint8Array has a `slice` that copies nothing.
    const node = Buffer.alloc(50, 1);
    for (let i = 0; i < 40; i++) decodeState(description, node);
    const copy = decodeState(description, node);
    node.fill(2);
    expect(copy).toEqual(state);
    expect(copy.raw.constructor).toBe(Uint8Array);
  });
});

describe("counts", () => {
  const all = { counter: "f_n" };
  it.each([
    ["u8", u8],
    ["u16", u16],
    ["u32", u32],
    ["i32", i32],
  ])("may be held by %s", (_, counter) => {
    const description = vmstate({
      name: "counted",
      version: 1,
      fields: {
        f_n: counter,
        words: varray(all.counter, u16),
        raw: vbuffer("f_n"),
        bits: bitmap("f_n"),
        rows: varray((r) => r["f_n"] * 2, struct(pointOf)),
      },
    });
    const state = {
      f_n: 2,
      words: Uint16Array.of(1, 2),
      raw: Uint8Array.of(3, 4),
      bits: Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0),
      rows: [1, 2, 3, 4].map((x) => ({ x, y: -x })),
    };
    const bytes = encodeState(description, state).slice();
    expect(decodeState(description, bytes)).toEqual(state);
    expect(refusal(() => encodeState(description, { ...state, f_n: 1 }))).toEqual([
      "COUNT_MISMATCH",
      "words",
      undefined,
    ]);
    const none = { f_n: 0, words: new Uint16Array(0), raw: new Uint8Array(0), bits: new Uint8Array(0), rows: [] };
    expect(decodeState(description, encodeState(description, none))).toEqual(none);
  });

  it("are bounded, and negative ones are none", () => {
    const words = vmstate({ name: "words", version: 1, fields: { n: i32, words: varray("n", u32, { max: 3 }) } });
    expect(refusal(() => decodeRecord(words, unhex("00 00 00 04")))).toEqual(["COUNT_BOUND", "words", 4]);
    expect(refusal(() => decodeRecord(words, unhex("ff ff ff ff")))).toEqual(["COUNT_BOUND", "words", 4]);
    const raw = vmstate({ name: "raw", version: 1, fields: { n: u32, raw: vbuffer("n", { max: 3 }) } });
    expect(refusal(() => decodeRecord(raw, unhex("00 00 00 04 00")))).toEqual(["LENGTH_BOUND", "raw", 4]);
    const large = vmstate({ name: "large", version: 1, fields: { n: u32, raw: vbuffer("n") } });
    expect(errorOf(() => decodeRecord(large, unhex("7f ff ff ff"))).code).toBe("LENGTH_BOUND");
    expect(errorOf(() => decodeRecord(large, unhex("03 ff ff ff"))).code).toBe("STREAM_TRUNCATED");
  });

  it("cannot make an array of elements that take no bytes", () => {
    const nothing = vmstate({ name: "nothing", version: 1, fields: {} });
    const free = vmstate({ name: "free", version: 1, fields: { n: u32, all: varray("n", struct(nothing)) } });
    expect(refusal(() => decodeRecord(free, unhex("00 0f ff ff")))).toEqual(["COUNT_BOUND", "all", 4]);
    const rows = vmstate({
      name: "rows",
      version: 1,
      fields: { n: u32, m: u8, all: varray("n", varray("m", u32)) },
    });
    expect(refusal(() => decodeRecord(rows, unhex("00 0f ff ff 00")))).toEqual(["COUNT_BOUND", "all", 5]);
  });
});

describe("conditions", () => {
  const versioned = vmstate({
    name: "versioned",
    version: 3,
    minimumVersion: 1,
    fields: {
      old: until(2, u16, { absent: 9 }),
      _old: until(3, unused(1)),
      a: u8,
      newer: since(3, u8, { absent: () => 5 }),
      twice: when((r) => r["a"] > 1, u8, { absent: 0 }),
    },
  });

  it("depend on the version", () => {
    expect(decodeState(versioned, unhex("00 01 00 02 03"), { version: 1 })).toEqual({
      old: 1,
      a: 2,
      newer: 5,
      twice: 3,
    });
    expect(decodeState(versioned, unhex("00 02 03"), { version: 2 })).toEqual({ old: 9, a: 2, newer: 5, twice: 3 });
    expect(decodeState(versioned, unhex("01 04"))).toEqual({ old: 9, a: 1, newer: 4, twice: 0 });
    const older = decodeRecord(versioned, unhex("00 01 00 02 03"), { version: 1 });
    expect(older).toEqual({ $version: 1, old: 1, a: 2, twice: 3 });
    expect(hex(encodeRecord(versioned, older))).toBe("00 01 00 02 03");
    const run = (options: DecodeOptions) => () => decodeRecord(versioned, unhex("00"), options);
    expect(errorOf(run({ version: 4 })).code).toBe("SECTION_VERSION");
    expect(errorOf(run({ version: 0 })).code).toBe("SECTION_VERSION");
  });

  it("lose no value in silence", () => {
    const state = { old: 9, a: 1, newer: 4, twice: 0 };
    expect(hex(encodeState(versioned, state))).toBe("01 04");
    expect(refusal(() => encodeState(versioned, { ...state, old: 8 }))).toEqual(["ABSENT_MISMATCH", "old", undefined]);
    expect(refusal(() => encodeState(versioned, { ...state, twice: 1 }))).toEqual([
      "ABSENT_MISMATCH",
      "twice",
      undefined,
    ]);
    const { twice: _, ...less } = state;
    expect(refusal(() => encodeState(versioned, less as never))).toEqual(["FIELD_MISSING", "twice", undefined]);
  });

  it("hold a record to what its own fields say", () => {
    const record = { ...decodeRecord(versioned, unhex("01 04")), twice: 7 };
    expect(refusal(() => encodeRecord(versioned, record))).toEqual(["FIELD_CHECK", "twice", undefined]);
  });

  it("see values as a state has them: nested, converted, and `absent` for what did not come", () => {
    const inner = vmstate({
      name: "inner",
      version: 1,
      fields: { on: bool },
      postLoad: (s) => ({ on: !s.on }),
      preSave: (s) => ({ on: !s.on }),
    });
    const description = vmstate({
      name: "seen",
      version: 2,
      fields: {
        n: until(2, u8, { absent: 2 }),
        words: varray("n", u8),
        inner: struct(inner),
        mode: tmp(vmstate({ name: "mode", version: 1, fields: { code: u8 } }), {
          save: (mode: "fast" | "slow") => ({ code: mode === "fast" ? 1 : 0 }),
          load: ({ code }) => (code === 1 ? "fast" : "slow"),
        }),
        whenOn: when((r) => r["inner"].on === true, u8, { absent: 0 }),
        whenFast: when((r) => r["mode"] === "fast", u8, { absent: 0 }),
      },
    });
    const state = {
      n: 2,
      words: Uint8Array.of(1, 2),
      inner: { on: true },
      mode: "fast" as const,
      whenOn: 3,
      whenFast: 4,
    };
    expect(hex(encodeState(description, state))).toBe("01 02 00 01 03 04");
    expect(decodeState(description, unhex("01 02 00 01 03 04"))).toEqual(state);
    expect(hex(encodeRecord(description, decodeRecord(description, unhex("01 02 00 01 03 04"))))).toBe(
      "01 02 00 01 03 04",
    );
    const other = decodeRecord(description, unhex("01 02 01 00"));
    expect(other).toEqual({ $version: 2, words: Uint8Array.of(1, 2), inner: { on: true }, mode: { code: 0 } });
  });

  it("reach the records around", () => {
    const row = vmstate({
      name: "row",
      version: 1,
      fields: { x: when((_, scope) => scope.parent?.record["wide"] === true, u16, { absent: 0 }) },
    });
    const table = vmstate({ name: "table", version: 1, fields: { wide: bool, rows: array(struct(row), 2) } });
    expect(hex(encodeState(table, { wide: true, rows: [{ x: 1 }, { x: 2 }] }))).toBe("01 00 01 00 02");
    expect(decodeState(table, unhex("01 00 01 00 02"))).toEqual({ wide: true, rows: [{ x: 1 }, { x: 2 }] });
    expect(decodeState(table, unhex("00"))).toEqual({ wide: false, rows: [{ x: 0 }, { x: 0 }] });
    // A boolean that is neither 0 nor 1 is true for them, too.
    expect(decodeState(table, unhex("07 00 01 00 02")).rows).toEqual([{ x: 1 }, { x: 2 }]);
  });

  it("say what must be", () => {
    const description = vmstate({
      name: "must",
      version: 1,
      fields: { n: u8, _even: validate((r) => r["n"] % 2 === 0), f: mustExist((r) => r["n"] < 10, u8) },
    });
    expect(decodeState(description, unhex("02 07"))).toEqual({ n: 2, f: 7 });
    expect(hex(encodeState(description, { n: 2, f: 7 }))).toBe("02 07");
    expect(refusal(() => decodeRecord(description, unhex("03 07")))).toEqual(["FIELD_MUST_EXIST", "_even", 1]);
    expect(refusal(() => decodeRecord(description, unhex("0a 07")))).toEqual(["FIELD_MUST_EXIST", "f", 1]);
    expect(refusal(() => encodeState(description, { n: 3, f: 7 }))).toEqual(["FIELD_MUST_EXIST", "_even", undefined]);
    expect(refusal(() => encodeState(description, { n: 12, f: 7 }))).toEqual(["FIELD_MUST_EXIST", "f", undefined]);
  });
});

describe("nested versions", () => {
  const nested = vmstate({
    name: "nested",
    version: 2,
    minimumVersion: 1,
    fields: { a: u8, b: since(2, u8, { absent: 0 }) },
  });

  it("a struct is read as the receiver's own, a vstruct as the enclosing description says", () => {
    const own = vmstate({ name: "own", version: 1, fields: { n: struct(nested) } });
    const fixed = vmstate({ name: "fixed", version: 1, fields: { n: vstruct(nested, 1) } });
    expect(decodeState(own, unhex("01 02"))).toEqual({ n: { a: 1, b: 2 } });
    expect(decodeState(fixed, unhex("01"))).toEqual({ n: { a: 1, b: 0 } });
    expect(hex(encodeState(fixed, { n: { a: 1, b: 0 } }))).toBe("01");
    expect(refusal(() => encodeState(fixed, { n: { a: 1, b: 3 } }))).toEqual(["ABSENT_MISMATCH", "n.b", undefined]);
    expect(errorOf(() => vstruct(nested, 3)).code).toBe("DEFINITION_INVALID");
    expect(errorOf(() => vstruct(nested, 0)).code).toBe("DEFINITION_INVALID");
  });

  it("a tmp is read as version 0", () => {
    const field = tmp(nested, { save: (n: number) => ({ a: n, b: 0 }), load: ({ a }) => a });
    const description = vmstate({ name: "holder", version: 1, fields: { f: field, end: u8 } });
    expect(hex(encodeState(description, { f: 7, end: 9 }))).toBe("07 09");
    expect(decodeState(description, unhex("07 09"))).toEqual({ f: 7, end: 9 });
  });
});

describe("checks", () => {
  const description = vmstate({
    name: "checks",
    version: 1,
    fields: { id: equal(u8, 7), row: checked(struct(flagged), ({ on }) => on, "switched on"), level: atMost(i32, 3) },
  });

  it("are about this machine: tools may switch them off, in one piece or in many", () => {
    const bytes = unhex("08 00 00 00 00 00 09");
    expect(refusal(() => decodeRecord(description, bytes))).toEqual(["FIELD_UNEQUAL", "id", 0]);
    expect(refusal(() => decodeRecord(description, bytes.with(0, 7)))).toEqual(["FIELD_CHECK", "row", 1]);
    const record = decodeRecord(description, bytes, { checks: false });
    expect(record).toEqual({ $version: 1, id: 8, row: { on: false }, level: 9 });
  });

  it("tell what was expected and found", () => {
    const error = errorOf(() => decodeRecord(description, unhex("08 01 00 00 00 00 00")));
    expect([error.expected, error.found]).toEqual(["7", "8"]);
  });
});

describe("hooks", () => {
  const inner = vmstate({
    name: "inner",
    version: 2,
    minimumVersion: 1,
    fields: { x: u8 },
    preSave: ({ x }) => ({ x: x + 1 }),
    postLoad: ({ x }, version) => ({ x: x - version }),
  });
  const outer = vmstate({
    name: "outer",
    version: 1,
    fields: { inner: struct(inner), fixed: vstruct(inner, 1), sum: u8 },
    preSave: (s) => ({ ...s, sum: s.inner.x }),
    postLoad: (s) => ({ ...s, sum: s.sum + s.inner.x }),
  });

  it("turn states into what travels and back, the outer around the inner, and leave records alone", () => {
    expect(hex(encodeState(outer, { inner: { x: 4 }, fixed: { x: 5 }, sum: 0 }))).toBe("05 06 04");
    expect(decodeRecord(outer, unhex("05 06 04"))).toEqual({ $version: 1, inner: { x: 5 }, fixed: { x: 6 }, sum: 4 });
    // The nested version is the one that it is read in.
    expect(decodeState(outer, unhex("05 06 04"))).toEqual({ inner: { x: 3 }, fixed: { x: 5 }, sum: 7 });
    expect(hex(encodeRecord(outer, decodeRecord(outer, unhex("05 06 04"))))).toBe("05 06 04");
  });
});
