// The comparison of descriptions as a library: alignment within its bounds, and what a published plugin may not do.
import { describe, expect, it } from "vitest";
import { align, comparePublished, type Side, sideOf } from "../src/compatibility/index.ts";
import { buffer, type Description, since, subsection, u8, u16, until, vmstate } from "../src/index.ts";
import { dumpOf } from "../src/tools/index.ts";

const side = (...descriptions: Description[]): Side => sideOf(dumpOf(descriptions, "m"), "m");

describe("the alignment of two lists of fields", () => {
  const fieldsOf = (fields: Parameters<typeof vmstate>[0]["fields"]) =>
    side(vmstate({ name: "d", version: 1, fields })).classes[0]?.description.fields ?? [];

  it("refuses thousands that have nothing in common, rather than compare them for hours", () => {
    const many = (prefix: string) =>
      fieldsOf(Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`${prefix}${i}`, buffer(1 + (i % 7))])));
    expect(() => align(many("a"), many("b"), "d")).toThrow(
      expect.objectContaining({
        code: "CHECK_TOO_LARGE",
        detail: '"d" has too many fields that differ: 3000 of one and 3000 of the other',
      }),
    );
  });

  it("takes up to 64 fields for one, and tries no more", () => {
    const kinds = (count: number) => {
      const parts = fieldsOf(Object.fromEntries(Array.from({ length: count }, (_, i) => [`part${i}`, u8])));
      return [...new Set(align(fieldsOf({ whole: buffer(count) }), parts, "d").map(({ kind }) => kind))].sort();
    };
    expect(kinds(64)).toEqual(["split"]);
    expect(kinds(65)).toEqual(["added", "removed"]);
  });
});

describe("a published description that was empty, or is now", () => {
  const empty = vmstate({ name: "uart", version: 1, fields: {} });
  const filled = vmstate({ name: "uart", version: 1, fields: { lcr: u8, divisor: u16 } });
  const compare = (published: Description, present: Description) =>
    comparePublished(side(published), side(present)).map(
      ({ severity, direction, code, description, subject }) =>
        `${severity} ${direction} ${code} ${description}#${subject}`,
    );

  it("is a change of the wire in the same version: both dumps are whole, and nothing of it cannot migrate", () => {
    expect(compare(empty, filled)).toEqual([
      "breaks forward FIELD_ADDED uart#lcr",
      "breaks forward FIELD_ADDED uart#divisor",
      "breaks backward FIELD_REMOVED uart#lcr",
      "breaks backward FIELD_REMOVED uart#divisor",
    ]);
    expect(compare(filled, empty)).toEqual([
      "breaks forward FIELD_REMOVED uart#lcr",
      "breaks forward FIELD_REMOVED uart#divisor",
      "breaks backward FIELD_ADDED uart#lcr",
      "breaks backward FIELD_ADDED uart#divisor",
    ]);
    expect(compare(empty, empty)).toEqual([]);
  });

  it("is none with a version of its own", () => {
    const head = { name: "uart", version: 2, minimumVersion: 1 };
    expect(compare(empty, vmstate({ ...head, fields: { lcr: since(2, u8, { absent: 0 }) } }))).toEqual([]);
    expect(compare(filled, vmstate({ ...head, fields: { lcr: until(2, u8, { absent: 0 }) } }))).toEqual([
      "breaks forward FIELD_REMOVED uart#divisor",
    ]);
  });

  it("may get a subsection, and may not lose one", () => {
    const timeout = subsection({
      ...{ name: "uart/timeout", version: 1, fields: { ticks: u16 } },
      needed: (own: { ticks: number }) => own.ticks !== 0,
      absent: { ticks: 0 },
    });
    const more = vmstate({ name: "uart", version: 1, fields: {}, subsections: { timeout } });
    expect(compare(empty, more)).toEqual([]);
    expect(compare(more, empty)).toEqual(["may break forward SUBSECTION_REMOVED uart#uart/timeout"]);
  });
});
