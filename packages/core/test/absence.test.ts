// A section that is not needed, and a state that is not what its absence means: which field, and what would be lost.
import { describe, expect, it } from "vitest";
import { array, buffer, struct, u8, u16, u64, vmstate } from "../src/index.ts";
import { emptyKernel, errorOf, held } from "./old-saves.ts";

const inner = vmstate({ name: "inner", version: 1, fields: { a: u16, b: u8 } });
const absent = {
  lead: 0,
  wide: 0n,
  one: { a: 1, b: 2 },
  list: [
    { a: 3, b: 4 },
    { a: 5, b: 6 },
  ],
  data: Uint8Array.of(7, 8, 9),
};
const description = vmstate({
  name: "optional",
  version: 3,
  fields: { lead: u8, wide: u64, one: struct(inner), list: array(struct(inner), 2), data: buffer(3) },
  needed: () => false,
  absent,
});

type Loose = Record<string, unknown>;

describe("a state that would be lost with its section", () => {
  it.each<[string, Loose, string | undefined, string | undefined, string]>([
    ["ABSENT_MISMATCH", { lead: 1 }, "0", "1", "lead"],
    ["ABSENT_MISMATCH", { wide: 5n, data: [] }, "0n", "5n", "wide"],
    ["ABSENT_MISMATCH", { one: { a: 1, b: 9 } }, "2", "9", "one.b"],
    ["ABSENT_MISMATCH", { list: [absent.list[0], { a: 0, b: 0 }] }, "5", "0", "list[1].a"],
    ["ABSENT_MISMATCH", { list: [absent.list[0]] }, "2 elements", "1 elements", "list"],
    ["ABSENT_MISMATCH", { data: Uint8Array.of(7, 0, 9) }, "8", "0", "data[1]"],
    ["ABSENT_MISMATCH", { data: 5 }, "3 elements", "5", "data"],
    ["ABSENT_MISMATCH", { one: null }, "an object", "null", "one"],
    ["FIELD_MISSING", { wide: undefined }, "0n", undefined, "wide"],
    ["FIELD_MISSING", { one: { a: 1 } }, "2", undefined, "one.b"],
  ])("%s for %o", (code, change, expected, found, path) => {
    const kernel = emptyKernel();
    held(kernel, description, { ...absent, ...change } as typeof absent);
    const error = errorOf(() => kernel.snapshot());
    expect([error.code, error.location, error.expected, error.found]).toEqual([
      code,
      { side: "source", section: "optional/0", version: 3, path },
      expected,
      found,
    ]);
  });

  it("is none where arrays are of another kind, or the state holds more", () => {
    const kernel = emptyKernel();
    const own = held(kernel, description, { ...absent, data: [7, 8, 9], more: 1 } as never);
    expect(own.loads).toBe(0);
    expect(() => kernel.snapshot()).not.toThrow();
  });
});
