// What a description must hold to: DEFINITION_INVALID where it is defined, not where the first stream is read.
import { describe, expect, it } from "vitest";
import { isMigrationError } from "../src/errors.ts";
import {
  array,
  bool,
  buffer,
  checked,
  type Description,
  type Field,
  type Fields,
  named,
  pointers,
  since,
  struct,
  subsection,
  u8,
  u16,
  u64,
  until,
  unused,
  varray,
  vbuffer,
  vmstate,
  when,
} from "../src/index.ts";
import { timerDescription } from "../src/kernel/clock.ts";
import { configuration } from "../src/stream/configuration.ts";

const of = (fields: Record<string, Field>, name = "d"): Description =>
  vmstate({ name, version: 1, fields: fields as Fields });
const empty = of({}, "empty");
const point = of({ x: u8 }, "point");
const sub = (name: string, fields: Record<string, Field> = {}) =>
  subsection({ name, version: 1, fields: fields as Fields, absent: {} as never });

const bad: readonly (readonly [why: string, define: () => unknown])[] = [
  ["an integer-like key", () => of({ a: u8, 1: u8 })],
  ["a reserved key", () => of({ $x: u8 })],
  ["a key with a dot", () => of({ "a.b": u8 })],
  ["an empty name", () => of({}, "")],
  ["a name of more than 255 bytes", () => of({}, "é".repeat(128))],
  ["a minimum version above the version", () => vmstate({ name: "d", version: 1, minimumVersion: 2, fields: {} })],
  ["a broken version", () => vmstate({ name: "d", version: 1.5, fields: {} })],
  ["padding under a name of its own", () => of({ pad: unused(1) })],
  ["a field under a name for padding", () => of({ _x: u8 })],
  ["a negative count", () => of({ f: array(u8, -1) })],
  ["a broken count", () => of({ f: buffer(1.5) })],
  ["a count that is not there", () => of({ f: varray("n", u8) })],
  ["a count that comes later", () => of({ f: vbuffer("n"), n: u8 })],
  ["a count that is no number", () => of({ n: u64, f: varray("n", u8) })],
  ["a count that is a boolean", () => of({ n: bool, f: array(array(u16, "n"), 2) })],
  [
    "two conditions",
    () =>
      of({
        f: since(
          1,
          when(() => true, u8, { absent: 0 }),
          { absent: 0 },
        ),
      }),
  ],
  ["a condition inside of an array", () => of({ f: array(until(2, u8, { absent: 0 }), 2) })],
  ["a name inside of an array", () => of({ f: pointers(named("x", u8), 2, () => false) })],
  ["padding inside of a check", () => of({ f: checked(unused(1), () => true, "") })],
  ["a condition without `absent`", () => since(2, u8, undefined as never)],
  [
    "a subsection of another name",
    () => vmstate({ name: "d", version: 1, fields: {}, subsections: { s: sub("e/s") } }),
  ],
  ["a subsection of the same name", () => vmstate({ name: "d", version: 1, fields: {}, subsections: { s: sub("d") } })],
  [
    "two subsections of one name",
    () => vmstate({ name: "d", version: 1, fields: {}, subsections: { s: sub("d/s"), t: sub("d/s") } }),
  ],
  [
    "a key for a field and a subsection",
    () => vmstate({ name: "d", version: 1, fields: { s: u8 }, subsections: { s: sub("d/s") } }),
  ],
  [
    "a subsection that the one before it would take for its own",
    () => vmstate({ name: "d", version: 1, fields: {}, subsections: { s: sub("d/s"), t: sub("d/s2") } }),
  ],
  [
    "a subsection that a nested body at the end would take for its own",
    () =>
      vmstate({
        name: "poin",
        version: 1,
        fields: { p: struct(of({ x: u8 }, "poin")) },
        subsections: { s: sub("point/s") },
      }),
  ],
  [
    "the same behind fields that may be empty",
    () =>
      vmstate({
        name: "d",
        version: 1,
        fields: { n: u8, p: array(struct(of({}, "d/")), 2), b: vbuffer("n"), e: struct(empty) },
        subsections: { s: sub("d/s") },
      }),
  ],
  [
    "elements whose subsections cannot be told apart",
    () => {
      const element = vmstate({ name: "el", version: 1, fields: {}, subsections: { s: sub("el/s") } });
      return of({ all: array(struct(element), 2) });
    },
  ],
  [
    "neighbours whose subsections cannot be told apart",
    () => {
      const element = vmstate({ name: "el", version: 1, fields: {}, subsections: { s: sub("el/s") } });
      return of({ a: struct(element), b: struct(empty), c: struct(element) });
    },
  ],
];

describe("a description", () => {
  it.each(bad)("is refused with %s", (_, define) => {
    let code: unknown;
    try {
      define();
    } catch (error) {
      code = isMigrationError(error) ? [error.code, error.location.side] : error;
    }
    expect(code).toEqual(["DEFINITION_INVALID", "define"]);
  });

  it("may have nested bodies and subsections that only look alike", () => {
    const inner = vmstate({ name: "d/in", version: 1, fields: { x: u8 }, subsections: { s: sub("d/in/s") } });
    vmstate({
      name: "d",
      version: 1,
      // Behind the nested body comes a byte that is no subsection's.
      fields: { first: struct(inner), rows: array(struct(inner), 2), last: u8 },
      subsections: { t: sub("d/s2"), s: sub("d/s"), u: sub("d/inner") },
    });
    const element = vmstate({ name: "el", version: 1, fields: { n: u8 }, subsections: { s: sub("el/s") } });
    of({ all: array(struct(element), 2), one: struct(element), point: struct(point) });
  });

  it("holds for the descriptions that core makes for itself without being checked", () => {
    for (const own of [timerDescription, configuration]) {
      const { subsections, ...rest } = own;
      for (const { description } of Object.values(subsections as Description["subsections"])) {
        expect(() => vmstate(description as never)).not.toThrow();
      }
      expect(vmstate({ ...rest, subsections } as never)).toEqual(own);
    }
  });

  it("is frozen data, and no instance of anything", () => {
    const description = vmstate({ name: "d", version: 1, fields: { a: u8 } });
    expect(Object.isFrozen(description) && Object.isFrozen(description.fields)).toBe(true);
    expect(Object.getPrototypeOf(description)).toBe(Object.prototype);
    expect(Object.getPrototypeOf(description.fields["a"])).toBe(Object.prototype);
  });
});
