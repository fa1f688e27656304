// Records and states as JSON and back: nothing is lost, over random descriptions of every field kind.

import { samples } from "@godwit/test-support/plans";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  array,
  bool,
  buffer,
  customField,
  decodeRecord,
  encodeRecord,
  encodeState,
  i8,
  i64,
  MigrationError,
  struct,
  subsection,
  timer,
  u8,
  u16,
  u32,
  u64,
  u64n,
  u64pair,
  unused,
  vmstate,
} from "../src/index.ts";
import { fromBase64, toBase64 } from "../src/tools/base64.ts";
import { recordFromJson, recordToJson, stateFromJson, stateToJson, valueToJson } from "../src/tools/index.ts";
import { fromTaggedJson, integerOf } from "../src/tools/json-value.ts";

const seed = 20_261_121;
const through = <T>(json: T): T => JSON.parse(JSON.stringify(json)) as T;

function refusal(act: () => unknown): MigrationError {
  try {
    act();
  } catch (error) {
    if (error instanceof MigrationError) return error;
    throw error;
  }
  return expect.unreachable("nothing was refused");
}

describe("base64", () => {
  it("is what Buffer says, of every length", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 8000 }), (bytes) => {
        const text = toBase64(bytes);
        expect(text).toBe(Buffer.from(bytes).toString("base64"));
        expect(Buffer.compare(fromBase64(text) ?? expect.unreachable(text), bytes)).toBe(0);
      }),
      { seed, numRuns: 200 },
    );
  });

  it.each(["A", "AAA", "AA=A", "====", "A===", "AB==", "AAB=", "AA-A", "AAAA\n"])("%j is none", (text) => {
    expect(fromBase64(text)).toBeUndefined();
  });
});

describe("records and states of random descriptions", () => {
  it("come back from their JSON: a record byte for byte, a state value for value", () => {
    fc.assert(
      fc.property(samples(), ({ description, state }) => {
        const bytes = encodeState(description, state);
        const record = decodeRecord(description, bytes);
        const again = recordFromJson(description, through(recordToJson(description, record)));
        expect(again).toEqual(record);
        expect(encodeRecord(description, again)).toEqual(bytes);
        expect(stateFromJson(description, through(stateToJson(description, state)))).toEqual(state);
      }),
      { seed, numRuns: 300 },
    );
  });
});

const part = vmstate({ name: "d/part", version: 1, fields: { x: u8 } });
const description = vmstate({
  name: "d",
  version: 2,
  minimumVersion: 1,
  fields: {
    b: u8,
    w: u32,
    i: i8,
    q: u64,
    s: i64,
    n: u64n,
    p: u64pair,
    flag: bool,
    at: timer,
    raw: buffer(3),
    bytes: array(u8, 2),
    words: array(u16, 2),
    wide: array(u64, 1),
    parts: array(struct(part), 1),
    _pad: unused(2),
  },
  subsections: { more: subsection({ name: "d/more", version: 3, fields: { y: u8 }, absent: { y: 0 } }) },
});
const state = {
  b: 255,
  w: 2 ** 32 - 1,
  i: -128,
  q: 2n ** 64n - 1n,
  s: -(2n ** 63n),
  n: 2 ** 53 - 1,
  p: [1, 2] as readonly [number, number],
  flag: true,
  at: null,
  raw: Uint8Array.of(1, 2, 3),
  bytes: Uint8Array.of(4, 5),
  words: Uint16Array.of(6, 7),
  wide: BigUint64Array.of(8n),
  parts: [{ x: 9 }],
  more: { y: 1 },
};
const json = {
  b: 255,
  w: 4294967295,
  i: -128,
  q: "18446744073709551615",
  s: "-9223372036854775808",
  n: "9007199254740991",
  p: "8589934593",
  flag: true,
  at: null,
  raw: "AQID",
  bytes: "BAU=",
  words: [6, 7],
  wide: ["8"],
  parts: [{ x: 9 }],
  more: { y: 1 },
};

describe("the JSON form", () => {
  it("of a state", () => {
    expect(stateToJson(description, state)).toEqual(json);
    expect(stateFromJson(description, json)).toEqual(state);
  });

  it("of a wire record: with versions and padding, and in its order", () => {
    const bytes = encodeState(description, state);
    bytes[bytes.length - 1 - 10 - 4] = 0x99;
    const record = decodeRecord(description, bytes);
    const own = recordToJson(description, record);
    expect(Object.keys(own)).toEqual(["$version", ...Object.keys(json).slice(0, -1), "_pad", "more"]);
    expect(own).toMatchObject({ ...json, $version: 2, more: { $version: 3, y: 1 } });
    expect(encodeRecord(description, recordFromJson(description, through(own)))).toEqual(bytes);
  });

  it("of a record may be partial, as the record may; of a state it may not", () => {
    const { more, b, ...rest } = json;
    expect(recordFromJson(description, { b })).toEqual({ b: 255 });
    expect(refusal(() => stateFromJson(description, { b, ...rest }))).toMatchObject({
      code: "FIELD_MISSING",
      location: { path: "more" },
    });
    expect(refusal(() => stateFromJson(description, { more, ...rest }))).toMatchObject({
      code: "FIELD_MISSING",
      location: { path: "b" },
    });
  });

  it("takes integers as a person writes them", () => {
    const typed = { ...json, b: "0xff", q: "0xFFFFFFFFFFFFFFFF", n: 5, p: 6, bytes: [4, 5], wide: [8], w: "7" };
    expect(stateFromJson(description, typed)).toMatchObject({
      b: 255,
      q: 2n ** 64n - 1n,
      n: 5,
      p: [6, 0],
      bytes: Uint8Array.of(4, 5),
      wide: BigUint64Array.of(8n),
      w: 7,
    });
  });

  it("keeps a boolean's byte in a record, and refuses it in a state", () => {
    expect(recordToJson(description, { flag: 7 })).toEqual({ flag: 7 });
    expect(recordFromJson(description, { flag: 7 })).toEqual({ flag: 7 });
    for (const flag of [7, 0, 1, "true"]) {
      expect(refusal(() => stateFromJson(description, { ...json, flag })).location.path).toBe("flag");
    }
  });

  it.each<[string, unknown, string]>([
    ["b", 256, "b"],
    ["b", -1, "b"],
    ["b", 0.5, "b"],
    ["b", null, "b"],
    ["b", "", "b"],
    ["i", 128, "i"],
    ["q", "18446744073709551616", "q"],
    ["q", "-1", "q"],
    ["q", "1e3", "q"],
    ["q", 2 ** 53, "q"],
    ["s", "9223372036854775808", "s"],
    ["n", "9007199254740992", "n"],
    ["p", [1, 2], "p"],
    ["at", "-1", "at"],
    ["raw", "AQI", "raw"],
    ["raw", [1, 2, 3], "raw"],
    ["bytes", [4, 256], "bytes[1]"],
    ["words", [6, -7], "words[1]"],
    ["words", "AAA=", "words"],
    ["parts", [{ x: 256 }], "parts[0].x"],
    ["parts", [[]], "parts[0]"],
    ["parts", [{ x: 1, z: 2 }], "parts[0].z"],
    ["more", { y: 1, z: 2 }, "more.z"],
    ["unknown", 1, "unknown"],
    ["_pad", "AAA=", "_pad"],
    ["$version", 2, "$version"],
    ["__proto__", 2, "__proto__"],
  ])("refuses %s: %j, and says where", (key, value, path) => {
    const wrong = JSON.parse(
      `{${JSON.stringify(json).slice(1, -1)}, ${JSON.stringify(key)}: ${JSON.stringify(value)}}`,
    );
    const error = refusal(() => stateFromJson(description, wrong));
    expect(error.code).toBe("BITS_RANGE");
    expect(error.location.path).toBe(path);
  });

  it("of a kind from outside: what no field describes is tagged, and what its kind cannot read is refused", () => {
    interface Odd {
      readonly name: string;
      readonly big: bigint;
      readonly raw: Uint8Array;
      readonly words: Uint32Array;
      readonly inner: { readonly x: number };
    }
    const inner = struct(part);
    const odd = vmstate({
      name: "odd",
      version: 1,
      fields: {
        it: customField<Odd, null>({
          kind: "odd",
          begin: () => null,
          next: () => undefined,
          take: () => undefined,
          end: () => expect.unreachable(),
          encode: () => [],
          map: (value, each) => ({ ...value, inner: each(inner, value.inner) as Odd["inner"] }),
        }),
      },
    });
    const it = { name: "5", big: 5n, raw: Uint8Array.of(1), words: Uint32Array.of(2), inner: { x: 3 } };
    const own = stateToJson(odd, { it });
    expect(own).toEqual({
      it: { name: "5", big: { $bigint: "5" }, raw: { $bytes: "AQ==" }, words: { $Uint32Array: [2] }, inner: { x: 3 } },
    });
    expect(stateFromJson(odd, through(own))).toEqual({ it });
    expect(refusal(() => stateFromJson(odd, { it: null }))).toMatchObject({
      code: "FIELD_CUSTOM",
      location: { path: "it" },
    });
    expect(refusal(() => stateFromJson(odd, { it: { inner: { x: 256 } } })).location.path).toBe("it.x");
  });
});

describe("tagged JSON", () => {
  it.each<[string, unknown]>([
    ["an element above its width", { $Uint16Array: [1, 65536] }],
    ["a negative one", { $Uint32Array: [1, -1] }],
    ["a fraction", { $Int8Array: [1, 0.5] }],
    ["a text", { $Int32Array: [1, "1"] }],
    ["a number among 64-bit integers", { $BigUint64Array: [{ $bigint: "1" }, 1] }],
    ["one above 64 bits", { $BigInt64Array: [{ $bigint: "1" }, { $bigint: "0x8000000000000000" }] }],
  ])("%s is refused, not cut off", (_, json) => {
    expect(refusal(() => fromTaggedJson({ a: json }))).toMatchObject({
      code: "BITS_RANGE",
      location: { path: "[1]" },
    });
  });

  it("of any depth costs no stack", () => {
    const nested = (depth: number): unknown => JSON.parse(`${"[".repeat(depth)}${"]".repeat(depth)}`);
    expect(refusal(() => fromTaggedJson(nested(20_000))).code).toBe("BITS_RANGE");
    expect(fromTaggedJson(nested(100))).toEqual(nested(100));
  });

  it("a number of millions of digits is none", () => {
    expect(integerOf("9".repeat(1000))).toBe(10n ** 1000n - 1n);
    expect(integerOf("9".repeat(1001))).toBeUndefined();
  });
});

it("a long text in place of a number is not told whole", () => {
  const { found } = refusal(() => recordFromJson(description, { b: "x".repeat(1000) }));
  expect(found).toHaveLength(63);
  expect(refusal(() => recordFromJson(description, { b: { x: 1 } })).found).toBe("an object");
});

describe("valueToJson", () => {
  it("spells what JSON lacks", () => {
    const value = {
      a: 5n,
      b: Uint8Array.of(255),
      c: BigInt64Array.of(-1n),
      d: [null, { e: Int8Array.of(-1) }],
    };
    expect(valueToJson(value)).toEqual({ a: "5", b: "/w==", c: ["-1"], d: [null, { e: [-1] }] });
  });

  it.each<[string, unknown]>([
    ["a function", () => 1],
    ["no number", Number.NaN],
    ["a symbol", Symbol("s")],
    ["a float array", Float64Array.of(1)],
  ])("refuses %s with its path", (_, value) => {
    const error = refusal(() => valueToJson({ a: [0, { b: value }] }));
    expect(error).toMatchObject({ code: "BITS_RANGE", location: { path: "a[1].b" } });
  });

  it("refuses a cycle", () => {
    const cycle: Record<string, unknown> = {};
    cycle["own"] = cycle;
    expect(refusal(() => valueToJson(cycle)).code).toBe("BITS_RANGE");
  });
});

it("a custom kind that puts the members of a struct beside its own comes back from its JSON", () => {
  interface Request {
    readonly retry: boolean;
    readonly cdb: Uint8Array;
    readonly sector: bigint;
  }
  const body = struct(vmstate({ name: "request", version: 1, fields: { cdb: buffer(2), sector: u64 } }));
  const requests = customField<Request[], { value: Request[]; retry: boolean | undefined; done: boolean }>({
    kind: "requests",
    begin: () => ({ value: [], retry: undefined, done: false }),
    next: ({ retry, done }) => (done ? undefined : retry === undefined ? u8 : body),
    take(steps, value) {
      if (steps.retry !== undefined) {
        steps.value.push({ retry: steps.retry, ...(value as Omit<Request, "retry">) });
        steps.retry = undefined;
      } else if (value === 0) steps.done = true;
      else steps.retry = value === 1;
    },
    end: ({ value }) => value,
    *encode(value) {
      for (const { retry, ...request } of value) {
        yield { field: u8, value: retry ? 1 : 2 };
        yield { field: body, value: request };
      }
      yield { field: u8, value: 0 };
    },
    map: (value, each) =>
      value.map(({ retry, ...request }) => ({ retry, ...(each(body, request) as Omit<Request, "retry">) })),
  });
  const description = vmstate({ name: "disk", version: 1, fields: { requests } });
  const state = { requests: [{ retry: true, cdb: Uint8Array.of(1, 2), sector: 5n }] };
  const json = stateToJson(description, state);
  expect(json).toEqual({ requests: [{ retry: true, cdb: "AQI=", sector: "5" }] });
  expect(stateFromJson(description, json)).toEqual(state);
});
