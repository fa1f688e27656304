// Each code of `check`, from a pair of descriptions that differ in one thing.
import { readFileSync } from "node:fs";
import { checkCodes, sideOf } from "@godwit/core/compatibility";
import type { Vmdesc, VmdescDevice, VmdescField } from "@godwit/core/stream";
import { describe, expect, it } from "vitest";
import { check } from "../src/check/check.ts";
import { sideWithVmdesc } from "../src/check/vmdesc.ts";
import { checkJson, description, dump, everything, field, type JsonDescription, lineOf } from "./check-support.ts";

const a = field("a", 4);
const b = field("b", 2);
const c = field("c", 8);
const one = description("d", [a, b, c]);
const of = (...fields: Parameters<typeof description>[1]) => description("d", fields);
const sub = (name: string, ...fields: Parameters<typeof description>[1]) => description(name, fields);
const withSubs = (...Subsections: JsonDescription[]) => description("d", [a], { Subsections });
const nested = (inner: JsonDescription, more = {}) => of(field("s", 99, { Description: inner, ...more }), c);
const inner = (...fields: Parameters<typeof description>[1]) => description("in", fields);

interface Case {
  readonly old: JsonDescription;
  readonly new: JsonDescription;
  /** `severity direction code place`, the machine having the device. */
  readonly finds: readonly string[];
}

const cases: Readonly<Record<string, Case>> = {
  "a field more": {
    old: of(a, b),
    new: one,
    finds: ["breaks forward FIELD_ADDED d#c", "breaks backward FIELD_REMOVED d#c"],
  },
  "a field more, of a later version": {
    old: of(a),
    new: description("d", [a, field("b", 2, { version_id: 2 })], { version: 2, minimum: 1 }),
    finds: [
      "breaks backward VERSION_TOO_NEW d",
      "harmless forward VERSION_RAISED d",
      "harmless forward FIELD_LATER d#b",
    ],
  },
  "a version more, the old one given up": {
    old: one,
    new: { ...one, version_id: 2, minimum_version_id: 2 },
    finds: ["breaks forward VERSION_TOO_OLD d", "breaks backward VERSION_TOO_NEW d"],
  },
  "another minimum": {
    old: description("d", [a], { version: 3, minimum: 1 }),
    new: description("d", [a], { version: 3, minimum: 2 }),
    finds: ["harmless forward MINIMUM_VERSION d", "harmless backward MINIMUM_VERSION d"],
  },
  "a field read only since a later version": {
    old: description("d", [a, b], { version: 2, minimum: 1 }),
    new: description("d", [a, field("b", 2, { version_id: 3 })], { version: 3, minimum: 1 }),
    finds: ["breaks forward FIELD_SINCE d#b", "breaks backward VERSION_TOO_NEW d", "harmless forward VERSION_RAISED d"],
  },
  "another first version, both below": {
    old: description("d", [a, field("b", 2, { version_id: 2 })], { version: 3, minimum: 1 }),
    new: description("d", [a, field("b", 2, { version_id: 3 })], { version: 3, minimum: 1 }),
    finds: ["harmless forward FIELD_SINCE_CHANGED d#b", "harmless backward FIELD_SINCE_CHANGED d#b"],
  },
  "a field with a test more": {
    old: of(a),
    new: of(a, field("b", 2, { field_exists: true })),
    finds: ["may break forward FIELD_ADDED_CONDITIONAL d#b", "may break backward FIELD_REMOVED_CONDITIONAL d#b"],
  },
  "a test on one side": {
    old: one,
    new: of(a, { ...b, field_exists: true }, c),
    finds: ["may break forward FIELD_CONDITION d#b", "may break backward FIELD_CONDITION d#b"],
  },
  "another name": {
    old: one,
    new: of(a, field("bee", 2), c),
    finds: ["harmless forward FIELD_RENAMED d#b", "harmless backward FIELD_RENAMED d#bee"],
  },
  "padding for a field": {
    old: one,
    new: of(a, field("unused", 2), c),
    finds: ["may break backward PADDING_TO_FIELD d#b", "harmless forward FIELD_TO_PADDING d#b"],
  },
  "one padding for several fields": {
    old: one,
    new: of(field("unused", 6), c),
    finds: ["may break backward PADDING_TO_FIELD d#a, b", "harmless forward FIELD_TO_PADDING d#a, b"],
  },
  "padding of another size": {
    old: one,
    new: of(a, field("unused", 3), c),
    finds: [
      "breaks forward FIELD_ADDED d#unused",
      "breaks forward FIELD_REMOVED d#b",
      "breaks backward FIELD_ADDED d#b",
      "breaks backward FIELD_REMOVED d#unused",
    ],
  },
  "padding that may stand for an array": {
    old: one,
    new: of(a, field("unused", 10), c),
    finds: ["unknown forward PADDING_SIZE d#b", "unknown backward PADDING_SIZE d#b"],
  },
  "another order": {
    old: one,
    new: of(b, a, c),
    finds: ["breaks forward FIELD_ORDER d#b", "breaks backward FIELD_ORDER d#a"],
  },
  "another size": {
    old: one,
    new: of(a, field("b", 4), c),
    finds: ["breaks forward FIELD_SIZE d#b", "breaks backward FIELD_SIZE d#b"],
  },
  "a size that the dump does not know": {
    old: one,
    new: of(a, field("b", 0), c),
    finds: ["unknown forward FIELD_SIZE_UNKNOWN d#b", "unknown backward FIELD_SIZE_UNKNOWN d#b"],
  },
  "a timer by pointer and one by value": {
    old: of(a, field("timer", 8)),
    new: of(a, field("timer", 48)),
    finds: ["unknown forward FIELD_SIZE_UNKNOWN d#timer", "unknown backward FIELD_SIZE_UNKNOWN d#timer"],
  },
  "another count": {
    old: of(a, field("b", 2, { num: 3 })),
    new: of(a, field("b", 2, { num: 4 })),
    finds: ["breaks forward FIELD_COUNT d#b", "breaks backward FIELD_COUNT d#b"],
  },
  "a fixed count on one side": {
    old: of(field("a", 4, { num: 2 }), field("b", 2, { num: 3 })),
    new: of(field("a", 4, { num: 2 }), field("b", 2)),
    finds: ["may break forward FIELD_COUNT_CHANGES d#b", "may break backward FIELD_COUNT_CHANGES d#b"],
  },
  "a struct for a field": {
    old: of(field("s", 4), c),
    new: nested(inner(b)),
    finds: ["breaks forward FIELD_KIND d#s", "breaks backward FIELD_KIND d#s"],
  },
  "a struct of the same size for a field": {
    old: of(field("s", 6), c),
    new: nested(inner(a, b)),
    finds: ["harmless forward FIELD_RESHAPED d#s", "harmless backward FIELD_RESHAPED d#s"],
  },
  "two fields of the same size for one": {
    old: of(field("w", 6), c),
    new: one,
    finds: ["harmless forward FIELD_SPLIT d#w", "harmless backward FIELD_SPLIT d#a, b"],
  },
  "another version and name of a struct": {
    old: nested(inner(a)),
    new: nested({ ...inner(a), name: "inner", version_id: 2 }),
    finds: [
      "harmless forward NESTED_NAME in",
      "harmless forward NESTED_VERSION in",
      "harmless backward NESTED_NAME inner",
      "harmless backward NESTED_VERSION inner",
    ],
  },
  "a field of a later version in a struct": {
    old: nested(inner(a)),
    new: nested(description("in", [a, field("b", 2, { version_id: 2 })], { version: 2, minimum: 1 })),
    finds: [
      "may break forward FIELD_LATER_IN_STRUCT in#b",
      "may break backward FIELD_LATER_IN_STRUCT in#b",
      "harmless forward NESTED_VERSION in",
      "harmless backward NESTED_VERSION in",
    ],
  },
  "a subsection more": {
    old: of(a),
    new: withSubs(sub("d/x", b)),
    finds: ["may break backward SUBSECTION_REMOVED d#d/x", "harmless forward SUBSECTION_ADDED d#d/x"],
  },
  "another order of subsections": {
    old: withSubs(sub("d/x", b), sub("d/y", b)),
    new: withSubs(sub("d/y", b), sub("d/x", b)),
    finds: ["harmless forward SUBSECTION_ORDER d", "harmless backward SUBSECTION_ORDER d"],
  },
  "a field more in a subsection": {
    old: withSubs(sub("d/x", b)),
    new: withSubs(sub("d/x", b, c)),
    finds: ["may break forward FIELD_ADDED d/x#c", "may break backward FIELD_REMOVED d/x#c"],
  },
  "another name of the section": {
    old: one,
    new: { ...one, name: "dee" },
    finds: ["breaks forward SECTION_NAME d", "breaks backward SECTION_NAME dee"],
  },
  "nothing on one side": {
    old: of(),
    new: of(a),
    finds: ["unknown forward DESCRIPTION_EMPTY d", "unknown backward DESCRIPTION_EMPTY d"],
  },
  "another priority": {
    old: { ...one, godwit: { priority: "default" } },
    new: { ...one, godwit: { priority: "iommu" } },
    finds: ["may break forward PRIORITY d", "may break backward PRIORITY d"],
  },
  "sent always, and when needed": {
    old: { ...one, godwit: { sent: "record" } },
    new: { ...one, godwit: { sent: "always" } },
    finds: ["may break forward SECTION_RULE d", "may break backward SECTION_RULE d"],
  },
  "counted by another field": {
    old: of(a, field("b", 2, { godwit: { type: "uint16", count: { field: "a" } } })),
    new: of(a, field("b", 2, { godwit: { type: "uint16", count: "record" } })),
    finds: ["may break forward FIELD_RULE d#b", "may break backward FIELD_RULE d#b"],
  },
  "another type of the same size": {
    old: of(field("a", 4, { godwit: { type: "uint32" } })),
    new: of(field("a", 4, { godwit: { type: "buffer" } })),
    finds: ["may break forward FIELD_TYPE d#a", "may break backward FIELD_TYPE d#a"],
  },
  "an integer with a sign": {
    old: of(field("a", 4, { godwit: { type: "uint32" } })),
    new: of(field("a", 4, { godwit: { type: "int32" } })),
    finds: ["harmless forward FIELD_SIGN d#a", "harmless backward FIELD_SIGN d#a"],
  },
};

/** What stands in place of another, and does not stand for it. */
const replaced: Readonly<Record<string, readonly [old: JsonDescription, newer: JsonDescription]>> = {
  "another length that no dump knows": [of(a, field("q", 0), c), of(a, field("r", 0), c)],
  "a field with a test": [of(a, b, c), of(a, field("x", 2, { field_exists: true }), c)],
  "padding with a test": [of(a, b, c), of(a, field("unused", 2, { field_exists: true }), c)],
  "padding that is no multiple of a known array": [of(a, field("b", 2, { num: 2 }), c), of(a, field("unused", 8), c)],
  "fields of another size together": [of(field("w", 5), c), of(a, b, c)],
};

describe("a change of a description", () => {
  it.each(Object.entries(replaced))("%s is a field less and a field more", (_, [old, newer]) => {
    const { findings } = checkJson(dump(old), dump(newer), everything);
    const codes = findings.map(({ code }) => code.replace("_CONDITIONAL", ""));
    expect(new Set(codes)).toEqual(new Set(["FIELD_ADDED", "FIELD_REMOVED"]));
    expect(findings.some(({ severity }) => severity === "breaks")).toBe(true);
  });

  it("padding is of another size for certain where both dumps have counts", () => {
    const counted = field("a", 4, { num: 2 });
    const { findings } = checkJson(dump(of(counted, b, c)), dump(of(counted, field("unused", 10), c)), everything);
    expect(findings.map(lineOf)).toEqual(["breaks forward FIELD_SIZE d#b", "breaks backward FIELD_SIZE d#b"]);
  });

  it("an array of one is a field", () => {
    const counted = field("a", 4, { num: 2 });
    const { findings } = checkJson(dump(of(counted, { ...b, num: 1 })), dump(of(counted, b)), everything);
    expect(findings).toEqual([]);
  });

  it.each([
    ["a subsection", 2, description("in", [b], { Subsections: [sub("in/x", a)] })],
    ["a field with a test", 4, inner(b, field("x", 2, { field_exists: true }))],
    ["a length that no dump knows", 2, inner(b, field("x", 0))],
  ])("a struct with %s has no size to compare with a plain field's", (_, size, one) => {
    const [finding] = checkJson(dump(of(field("s", size), c)), dump(nested(one)), everything).findings;
    expect(finding?.code).toBe("FIELD_KIND");
  });

  it("a struct is as long as the fields that its own version has", () => {
    const later = description("in", [b, field("x", 4, { version_id: 2 })]);
    const [finding] = checkJson(dump(of(field("s", 2), c)), dump(nested(later)), everything).findings;
    expect(finding?.code).toBe("FIELD_RESHAPED");
  });

  it("sizes of two known types are those of the wire: eight bytes are no timer", () => {
    const typed = (size: number, type: string) => of(field("t", size, { godwit: { type } }));
    const [finding] = checkJson(dump(typed(8, "uint64")), dump(typed(48, "buffer")), everything).findings;
    expect(finding?.code).toBe("FIELD_SIZE");
  });

  it("a field that the version has no more is not sent", () => {
    const gone = field("b", 2, { field_exists: true, godwit: { type: "uint16", until: 2 } });
    const typed = { ...a, godwit: { type: "uint32" } };
    const newer = description("d", [typed], { version: 2, minimum: 2 });
    const old = description("d", [typed, gone], { version: 2, minimum: 2 });
    expect(checkJson(dump(old), dump(newer), everything).findings).toEqual([]);
  });

  for (const [name, { old, new: newer, finds }] of Object.entries(cases)) {
    it(`${name}: ${finds.join("; ")}`, () => {
      const { findings } = checkJson(dump(old), dump(newer), everything);
      expect(findings.map(lineOf)).toEqual(finds);
      expect(checkJson(dump(old), dump(old), everything).findings).toEqual([]);
    });
  }

  it("breaks only if the machine has the device, where that is not known", () => {
    const [finding] = checkJson(dump(of(a, b)), dump(one)).findings;
    expect(finding).toMatchObject({ severity: "may break", code: "FIELD_ADDED", conditions: ["device"] });
  });

  it("says what was in each, whichever of them saves", () => {
    const { findings } = checkJson(dump(one), dump(of(a, field("b", 4), c)), everything);
    expect(findings.map(({ old, new: newer }) => [old, newer])).toEqual([
      ["b: 2 B", "b: 4 B"],
      ["b: 2 B", "b: 4 B"],
    ]);
  });

  it("inside a conditional struct, breaks only if its test says yes", () => {
    const old = nested(inner(a), { field_exists: true });
    const newer = nested(inner(a, b), { field_exists: true });
    const [finding] = checkJson(dump(old), dump(newer), everything).findings;
    expect(finding).toMatchObject({ severity: "may break", code: "FIELD_ADDED", conditions: ["test"] });
    expect(finding?.places).toEqual([{ section: "dev", path: "s" }]);
  });

  it("does not look at the size of a struct, which is that in memory", () => {
    const old = nested(inner(a));
    expect(checkJson(dump(old), dump(nested(inner(a), { size: 7 })), everything).findings).toEqual([]);
  });

  it("is not compared further where the version is refused", () => {
    const newer = description("d", [b], { version: 2 });
    const codes = checkJson(dump(of(a)), dump(newer), everything).findings.map(({ code }) => code);
    expect(codes).toEqual(["VERSION_TOO_OLD", "VERSION_TOO_NEW"]);
  });

  it("a field above its own description's version is never sent, and no finding", () => {
    const never = of(a, field("b", 2, { version_id: 9 }));
    expect(checkJson(dump(never), dump(never), everything).findings).toEqual([]);
    const other = of(a, field("b", 2, { version_id: 8 }));
    expect(checkJson(dump(never), dump(other), everything).findings.map(lineOf)).toEqual([
      "harmless forward FIELD_SINCE_CHANGED d#b",
      "harmless backward FIELD_SINCE_CHANGED d#b",
    ]);
  });

  it("since and until of our own dumps decide by version, and are no tests", () => {
    const gone = field("b", 2, { field_exists: true, godwit: { type: "uint16", until: 2 } });
    const typed = (one: typeof a) => ({ ...one, godwit: { type: "uint" } });
    const old = of(typed(a), field("b", 2, { godwit: { type: "uint16" } }));
    const newer = description("d", [typed(a), gone], { version: 2, minimum: 1 });
    const lines = checkJson(dump(old), dump(newer), everything).findings.map(lineOf);
    expect(lines).toEqual([
      "breaks backward VERSION_TOO_NEW d",
      "harmless forward VERSION_RAISED d",
      "harmless forward FIELD_SINCE_CHANGED d#b",
    ]);
  });
});

describe("classes", () => {
  it("SECTION_REMOVED, SECTION_ADDED: on one side only; unknown, as a class is no device", () => {
    const why = description("why", [a]);
    const zed = description("zed", [a]);
    const { findings } = checkJson(dump({ x: one, y: why, y2: why }), dump({ x: one, z: zed }));
    expect(findings.map((f) => [lineOf(f), f.places.map(({ section }) => section)])).toEqual([
      ["unknown forward SECTION_REMOVED ", ["y", "y2"]],
      ["unknown backward SECTION_REMOVED ", ["z"]],
      ["harmless forward SECTION_ADDED ", ["z"]],
      ["harmless backward SECTION_ADDED ", ["y", "y2"]],
    ]);
  });

  it("SECTION_REMOVED may break a machine that has the device", () => {
    const [finding] = checkJson(dump({ x: one }), dump({}), everything).findings;
    expect(finding).toMatchObject({ severity: "may break", code: "SECTION_REMOVED", direction: "forward" });
  });

  it("SECTION_CLASS: another class reads the section, and is compared", () => {
    const { findings } = checkJson(dump({ x: of(a) }), dump({ y: of(a, b) }), everything);
    expect(findings.filter(({ direction }) => direction === "forward").map(lineOf)).toEqual([
      "breaks forward FIELD_ADDED d#b",
      "harmless forward SECTION_CLASS ",
      "harmless forward SECTION_ADDED ",
    ]);
  });

  it("of several classes that may read a section, the one that fits best is taken", () => {
    for (const [y, z] of [
      [of(a, b, c), of(a)],
      [of(a), of(a, b, c)],
    ] as const) {
      const { findings } = checkJson(dump({ x: of(a) }), dump({ y, z }), everything);
      const forward = findings.filter(({ direction }) => direction === "forward").map(({ code }) => code);
      expect(forward).toEqual(["SECTION_CLASS", "SECTION_ADDED"]);
    }
  });

  it("the same description in many devices is one finding with all of them", () => {
    const holder = (name: string, s: JsonDescription) => description(name, [field("s", 9, { Description: s })]);
    const all = (s: JsonDescription) => dump({ x: holder("x", s), y: holder("y", s), z: holder("z", s) });
    const { findings } = checkJson(all(inner(a)), all(inner(a, b)), everything);
    expect(findings).toHaveLength(2);
    expect(findings[0]?.places).toEqual(["x", "y", "z"].map((section) => ({ section, path: "s" })));
  });

  it("MACHINE_NAME: the reader compares as many letters as it gets", () => {
    const { findings } = checkJson(dump(one, "pc-1"), dump(one, "pc-1.0"));
    expect(findings.map(lineOf)).toEqual(["breaks backward MACHINE_NAME configuration"]);
  });
});

describe("with a vmdesc of each side", () => {
  const leaf = (name: string, type: string, size: number, more = {}): VmdescField => ({ name, type, size, ...more });
  const device = (name: string, fields: readonly VmdescField[], more: Partial<VmdescDevice> = {}): VmdescDevice => ({
    ...{ name, instance_id: 0, vmsd_name: name, version: 1, fields },
    ...more,
  });
  const vmdesc = (...devices: VmdescDevice[]): Vmdesc => ({ page_size: 4096, devices });
  const typed = device("d", [leaf("a", "uint32", 4), leaf("b", "uint16", 2)]);
  const compare = (old: Vmdesc, newer: Vmdesc, ofOld = of(a, b), ofNew = ofOld) =>
    check(
      sideWithVmdesc(sideOf(dump(ofOld), "old"), old),
      sideWithVmdesc(sideOf(dump(ofNew), "new"), newer),
      everything,
    ).findings.map(lineOf);

  it("finds nothing where nothing differs", () => {
    expect(compare(vmdesc(typed), vmdesc(typed))).toEqual([]);
  });

  it("SECTION_UNKNOWN, SECTION_NOT_SENT: a section that one stream has and the other has not", () => {
    const extra = device("icp/server", [leaf("xirr", "uint32", 4)]);
    expect(compare(vmdesc(typed, extra), vmdesc(typed))).toEqual([
      "may break forward SECTION_UNKNOWN icp/server",
      "harmless backward SECTION_NOT_SENT ",
    ]);
  });

  it("--devices chooses among what streams show, too", () => {
    const [cpu, timer] = [device("cpu", [leaf("x", "uint8", 1)]), device("timer", [leaf("x", "uint8", 1)])];
    const [old, newer] = [
      sideWithVmdesc(sideOf(dump(of(a)), "old"), vmdesc(typed, cpu, timer)),
      sideWithVmdesc(sideOf(dump(of(a)), "new"), vmdesc(typed)),
    ];
    const codes = (devices: (name: string) => boolean) =>
      check(old, newer, { devices }).findings.map(({ code, places }) => [code, places[0]?.section]);
    const unsent = [
      ["SECTION_UNKNOWN", "cpu/0"],
      ["SECTION_NOT_SENT", "cpu/0"],
    ];
    expect(codes((name) => name === "cpu")).toEqual(unsent);
    expect(codes((name) => name === "cpu/0")).toEqual(unsent);
    expect(codes((name) => name === "dev")).toEqual([]);
  });

  it("SECTION_PATH: a path on one side only", () => {
    const placed = { ...typed, name: "0000:00:02.0/d" };
    expect(compare(vmdesc(typed), vmdesc(placed))).toEqual([
      "unknown forward SECTION_PATH d",
      "unknown backward SECTION_PATH d",
    ]);
  });

  it("SECTION_IN_NO_DUMP: where only one side's stream is given", () => {
    const old = sideWithVmdesc(sideOf(dump(of(a, b)), "old"), vmdesc(typed, device("cpu", [leaf("x", "uint8", 1)])));
    const { findings } = check(old, sideOf(dump(of(a, b)), "new"), everything);
    expect(findings.map((f) => [lineOf(f), f.places])).toEqual([
      ["unknown forward SECTION_IN_NO_DUMP ", [{ section: "cpu/0", path: "" }]],
    ]);
    const newer = sideOf(dump({ dev: of(a, b), cpu: description("cpu", [a]) }), "new");
    expect(check(old, newer, everything).findings.map(({ code }) => code)).not.toContain("SECTION_IN_NO_DUMP");
  });

  it("SECTION_ORDER: another order of sections", () => {
    const other = device("e", [leaf("x", "uint8", 1)]);
    expect(compare(vmdesc(typed, other), vmdesc(other, typed))).toEqual([
      "unknown forward SECTION_ORDER ",
      "unknown backward SECTION_ORDER ",
    ]);
  });

  it("FIELD_TYPE: another type, which no dump holds", () => {
    const other = device("d", [leaf("a", "int32 equal", 4), leaf("b", "uint16", 2)]);
    expect(compare(vmdesc(typed), vmdesc(other))).toEqual([
      "may break forward FIELD_TYPE d#a",
      "may break backward FIELD_TYPE d#a",
    ]);
  });

  it("a list's size in a dump is that in memory", () => {
    const list = (size: number) => of(a, field("l", size));
    const sent = (type: string) => vmdesc(device("d", [leaf("a", "uint32", 4), leaf("l", type, 9)]));
    expect(compare(sent("qtailq"), sent("qtailq"), list(24), list(16))).toEqual([]);
    expect(compare(sent("qtailq"), sent("gtree"), list(24), list(16))).toEqual([
      "unknown forward FIELD_SIZE_UNKNOWN d#l",
      "unknown backward FIELD_SIZE_UNKNOWN d#l",
    ]);
  });

  it("how many elements state had that once is no promise", () => {
    const both = of(field("n", 4, { num: 2 }), field("v", 2), c);
    const sent = (array_len: number) =>
      vmdesc(device("d", [leaf("n", "uint32", 4), leaf("v", "uint16", 2, { array_len })]));
    expect(compare(sent(3), sent(4), both)).toEqual([]);
  });

  it("an array's elements may stand one by one; what follows them is found", () => {
    const each = [0, 1, 2].map((index) => leaf("x", "uint8", 1, { index }));
    const sent = (type: string) => vmdesc(device("d", [...each, leaf("a", type, 4)]));
    const both = of(field("x", 1, { num: 3 }), field("x2", 1), a);
    expect(compare(sent("uint32"), sent("timer"), both)).toEqual([
      "may break forward FIELD_TYPE d#a",
      "may break backward FIELD_TYPE d#a",
    ]);
    const cpu = (type: string) => vmdesc(device("cpu", [...each, leaf("a", type, 4)]));
    expect(compare(cpu("uint32"), cpu("timer"))).toEqual([
      "may break forward FIELD_TYPE cpu#a",
      "may break backward FIELD_TYPE cpu#a",
    ]);
  });

  it("pointers, of which QEMU 7.2 does not tell the nulls, are not compared", () => {
    const css = (...fields: VmdescField[]) => vmdesc(device("s390_css", [...fields, leaf("a", "uint32", 4)]));
    const hidden = leaf("css", "struct", 1, { array_len: 256, struct: {} });
    const runs = [
      leaf("css", "nullptr", 1, { array_len: 254 }),
      leaf("css", "struct", 768, { struct: { vmsd_name: "img", version: 1, fields: [leaf("u", "uint8", 1)] } }),
    ];
    expect(compare(css(hidden), css(...runs))).toEqual([]);
  });

  it("a section in no dump is compared as it was sent; what state decides only may break", () => {
    const cpu = (...fields: VmdescField[]) => device("cpu", fields, { version: 22 });
    expect(
      compare(vmdesc(cpu(leaf("x", "uint8", 1))), vmdesc(cpu(leaf("x", "uint8", 1), leaf("y", "bool", 1)))),
    ).toEqual(["may break forward FIELD_ADDED cpu#y", "may break backward FIELD_REMOVED cpu#y"]);
    const newer = { ...cpu(leaf("x", "uint8", 1)), version: 23 };
    expect(compare(vmdesc(cpu(leaf("x", "uint8", 1))), vmdesc(newer))).toEqual([
      "may break backward VERSION_TOO_NEW cpu",
      "harmless forward VERSION_RAISED cpu",
    ]);
  });

  it("SUBSECTION_NOT_SEEN: of a section in no dump, one stream had a subsection", () => {
    const cpu = device("cpu", [leaf("x", "uint8", 1)]);
    const more = { ...cpu, subsections: [{ vmsd_name: "cpu/fpu", version: 1, fields: [leaf("y", "bool", 1)] }] };
    expect(compare(vmdesc(more), vmdesc(cpu))).toEqual([
      "unknown forward SUBSECTION_NOT_SEEN cpu#cpu/fpu",
      "harmless backward SUBSECTION_ADDED cpu#cpu/fpu",
    ]);
  });

  it("a subsection that was sent breaks for certain, one that was not only may", () => {
    const old = withSubs(sub("d/x", b), sub("d/y", b));
    const sent = device("d", [leaf("a", "uint32", 4)], {
      subsections: [{ vmsd_name: "d/x", version: 1, fields: [leaf("b", "uint16", 2)] }],
    });
    expect(compare(vmdesc(sent), vmdesc({ ...sent, subsections: [] }), old, of(a))).toEqual([
      "breaks forward SUBSECTION_REMOVED d#d/x",
      "may break forward SUBSECTION_REMOVED d#d/y",
      "harmless backward SUBSECTION_ADDED d#d/x",
      "harmless backward SUBSECTION_ADDED d#d/y",
    ]);
  });

  it("a field whose test said yes breaks for certain, one whose test said no does not", () => {
    const tested = (name: string) => field(name, 2, { field_exists: true });
    const newer = of(a, tested("b"), tested("c"));
    const plain = device("d", [leaf("a", "uint32", 4)]);
    expect(compare(vmdesc(plain), vmdesc(typed), of(a), newer)).toEqual([
      "breaks forward FIELD_ADDED d#b",
      "breaks backward FIELD_REMOVED d#b",
    ]);
  });

  it("the struct's type decides about its later fields", () => {
    const members = (version: number, ...fields: VmdescField[]) => ({ vmsd_name: "in", version, fields });
    const [x, y] = [leaf("a", "uint32", 4), leaf("b", "uint16", 2)];
    const later = description("in", [a, field("b", 2, { version_id: 2 })], { version: 2, minimum: 1 });
    const versions = ["harmless forward NESTED_VERSION in", "harmless backward NESTED_VERSION in"];
    const old = device("d", [leaf("s", "struct", 4, { struct: members(1, x) }), leaf("c", "uint64", 8)]);
    const newer = device("d", [leaf("s", "struct", 6, { struct: members(2, x, y) }), leaf("c", "uint64", 8)]);
    expect(compare(vmdesc(old), vmdesc(newer), nested(inner(a)), nested(later))).toEqual([
      "breaks forward FIELD_ADDED in#b",
      "breaks backward FIELD_REMOVED in#b",
      ...versions,
    ]);
    const fixed = device("d", [leaf("s", "vstruct", 4, members(1, x)), leaf("c", "uint64", 8)]);
    expect(compare(vmdesc(fixed), vmdesc(fixed), nested(inner(a)), nested(later)).sort()).toEqual(
      [...versions, "harmless forward FIELD_LATER in#b", "harmless backward FIELD_LATER in#b"].sort(),
    );
  });

  it("the count of an array tells whether padding is as long", () => {
    const wide = device("d", [
      leaf("a", "uint32", 4),
      leaf("b", "uint16", 2, { array_len: 5 }),
      leaf("c", "uint64", 8),
    ]);
    const padded = device("d", [leaf("a", "uint32", 4), leaf("unused", "unused_buffer", 10), leaf("c", "uint64", 8)]);
    expect(compare(vmdesc(wide), vmdesc(padded), one, of(a, field("unused", 10), c))).toEqual([
      "may break backward PADDING_TO_FIELD d#b",
      "harmless forward FIELD_TO_PADDING d#b",
    ]);
  });
});

it("every code has a case here", () => {
  const text = readFileSync(new URL(import.meta.url), "utf8");
  const told = (code: string) => new RegExp(`(forward|backward) ${code}\\b`).test(text);
  expect(Object.keys(checkCodes).filter((code) => !told(code))).toEqual([]);
});
