// Descriptions for people and other tools: dumps in QEMU's form, JSON Schemas, reference pages.
import { faultsOf } from "@godwit/test-support/json-schema";
import { markedList, samples, simples } from "@godwit/test-support/plans";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  array,
  atMost,
  bitmap,
  bool,
  buffer,
  checked,
  customField,
  type Description,
  encodeState,
  equal,
  type Fields,
  i64,
  mustExist,
  named,
  pointers,
  range,
  since,
  struct,
  subsection,
  timer,
  tmp,
  u8,
  u16,
  u32,
  u64,
  until,
  unused,
  validate,
  varray,
  vbuffer,
  vmstate,
  vstruct,
  when,
} from "../src/index.ts";
import {
  dumpOf,
  dumpSectionOfVmdesc,
  type JsonValue,
  jsonSchemaOf,
  markdownOf,
  stateToJson,
} from "../src/tools/index.ts";

const seed = 20_261_121;
const through = (json: unknown): JsonValue => JSON.parse(JSON.stringify(json));

const port = vmstate({ name: "uart/port", version: 2, minimumVersion: 1, fields: { lcr: u8, divisor: u16 } });
const uart = vmstate({
  name: "uart",
  version: 3,
  minimumVersion: 1,
  priority: "iommu",
  earlySetup: true,
  fields: {
    ident: equal(u32, 7),
    level: range(u8, 1, 16),
    _pad: unused(2),
    _old: until(2, unused(4)),
    added: since(3, u64, { absent: 0n }),
    ports: array(struct(port), 2),
    exact: vstruct(port, 1),
    count: atMost(u32, 8) as typeof u32,
    list: varray("count", u16),
    text: vbuffer("count"),
    sparse: pointers(u8, 2, (i) => i === 0),
    flag: bool,
    maybe: when((r) => r["flag"], u8, { absent: 0 }),
    must: mustExist(() => true, u8),
    _test: validate(() => true),
    renamed: named("parent_obj.config", buffer(3)),
    events: markedList(struct(port)),
    sum: checked(
      u8,
      () => true,
      ({ record }) => `at most ${record["count"]}`,
    ),
    deadline: timer,
    bits: bitmap(70),
  },
  subsections: {
    late: subsection({ name: "uart/late", version: 1, fields: { at: i64 }, absent: { at: 0n } }),
  },
}) as unknown as Description;

describe("dumpOf", () => {
  it("is QEMU's form: what it does not know is not in it", () => {
    const portOf = { name: "uart/port", version_id: 2, minimum_version_id: 1 };
    const portFields = [
      { field: "lcr", version_id: 0, field_exists: false, size: 1 },
      { field: "divisor", version_id: 0, field_exists: false, size: 2 },
    ];
    const at = (field: string, size: number, more: object = {}) => ({
      field,
      version_id: 0,
      field_exists: false,
      ...more,
      size,
    });
    const dump = dumpOf([uart], "m-1", { more: false });
    expect(dump).toEqual({
      vmschkmachine: { Name: "m-1" },
      uart: {
        Name: "uart",
        version_id: 3,
        minimum_version_id: 1,
        Description: {
          name: "uart",
          version_id: 3,
          minimum_version_id: 1,
          Fields: [
            at("ident", 4),
            at("level", 1),
            at("unused", 2),
            at("unused", 4, { field_exists: true }),
            at("added", 8, { version_id: 3 }),
            { ...at("ports", 3, { num: 2 }), Description: { ...portOf, Fields: portFields } },
            { ...at("exact", 3), Description: { ...portOf, Fields: portFields } },
            at("count", 4),
            at("list", 2),
            at("text", 0),
            at("sparse", 1, { num: 2 }),
            at("flag", 1),
            at("maybe", 1, { field_exists: true }),
            at("must", 1, { field_exists: true }),
            at("parent_obj.config", 3),
            { ...at("events", 0), Description: { ...portOf, Fields: portFields } },
            at("sum", 1),
            at("deadline", 8),
            at("bits", 16),
          ],
          Subsections: [
            {
              name: "uart/late",
              version_id: 1,
              minimum_version_id: 1,
              Fields: [at("at", 8)],
            },
          ],
        },
      },
    });
    // QEMU's order of keys, for tools that print and compare texts.
    expect(JSON.stringify(dump)).toContain(
      '{"field":"ports","version_id":0,"field_exists":false,"num":2,"size":3,"Description":{"name":"uart/port"',
    );
  });

  it("says behind one key what QEMU's form lacks, and why a size is not there", () => {
    const section = dumpOf([uart], "m-1")["uart"];
    if (section === undefined || !("Description" in section)) return expect.unreachable();
    const { godwit, Fields = [], Subsections = [] } = section.Description;
    expect(godwit).toEqual({ priority: "iommu", earlySetup: true, sent: "always" });
    expect(Subsections[0]?.godwit?.sent).toBe("record");
    const more = Fields.map((one) => one.godwit);
    expect(more).toEqual([
      { type: "uint32 equal", bytes: 4, checks: ["7"] },
      { type: "uint8", bytes: 1, checks: ["1 to 16"] },
      { key: "_pad", type: "unused_buffer", bytes: 2 },
      { key: "_old", type: "unused_buffer", until: 2, bytes: 4 },
      { type: "uint64", since: 3, bytes: 8 },
      { type: "struct", count: 2, bytes: 3 },
      { type: "vstruct", bytes: 3, version: 1 },
      { type: "uint32 le", bytes: 4, checks: ["0 to 8"] },
      { type: "uint16", count: { field: "count" }, bytes: 2 },
      { type: "buffer", bytes: { field: "count" } },
      { type: "uint8", count: 2, bytes: 1, nulls: true },
      { type: "bool", bytes: 1 },
      { type: "uint8", bytes: 1 },
      { type: "uint8", mustExist: true, bytes: 1 },
      { key: "renamed", type: "buffer", bytes: 3 },
      { type: "marked", bytes: "record" },
      { type: "uint8", bytes: 1 },
      { type: "timer", bytes: 8 },
      { type: "bitmap", bytes: 16 },
    ]);
  });

  it("a struct has its size where that is the same for every record, and none where it is not", () => {
    const inner = (name: string, fields: Fields) =>
      struct(vmstate({ name, version: 2, fields }) as unknown as Description);
    const outer = vmstate({
      name: "outer",
      version: 1,
      fields: {
        versions: inner("a", { x: u8, y: since(2, u16, { absent: 0 }), z: until(2, u32, { absent: 0 }) }),
        tested: inner("b", { x: u8, y: when((r) => r["x"] > 0, u16, { absent: 0 }) }),
        must: inner("c", { x: u8, y: mustExist(() => true, u16) }),
        counted: inner("d", { x: u8, y: varray("x", u16) }),
      },
    }) as unknown as Description;
    const section = dumpOf([outer], "m")["outer"];
    if (section === undefined || !("Description" in section)) return expect.unreachable();
    expect(section.Description.Fields?.map(({ field, size, godwit }) => [field, size, godwit?.bytes])).toEqual([
      ["versions", 3, 3],
      ["tested", 0, "record"],
      ["must", 3, 3],
      ["counted", 0, "record"],
    ]);
  });

  it("two of one name stand once where they are alike, else apart", () => {
    const other = vmstate({ name: "uart", version: 4, fields: {} });
    expect(Object.keys(dumpOf([uart, uart, other, other], "m"))).toEqual(["vmschkmachine", "uart", "uart~2"]);
  });

  it("a name that every object answers to is a name like others", () => {
    const of = (name: string) => vmstate({ name, version: 1, fields: { a: u8 } });
    expect(Object.keys(dumpOf([of("constructor"), of("toString")], "m"))).toEqual([
      "vmschkmachine",
      "constructor",
      "toString",
    ]);
  });

  it("a description that holds itself is spelled out once", () => {
    const tree: Description = vmstate({
      name: "tree",
      version: 1,
      fields: {
        leaf: u8,
        children: customField<unknown[], null>({
          kind: "list",
          begin: () => null,
          next: () => undefined,
          take: () => undefined,
          end: () => [],
          encode: () => [],
          get elements() {
            return tree;
          },
        }),
      },
    }) as unknown as Description;
    const section = dumpOf([tree], "m")["tree"];
    if (section === undefined || !("Description" in section)) return expect.unreachable();
    expect(section.Description.Fields?.[1]?.Description).toEqual({
      name: "tree",
      version_id: 1,
      minimum_version_id: 1,
      godwit: { priority: "default", earlySetup: false, sent: "always", recursive: true },
    });
    expect(markdownOf(tree).match(/^#/gm)).toHaveLength(1);
    expect(jsonSchemaOf(tree)).toMatchObject({ properties: { children: { description: "list" } } });
  });

  it("a name that a dump keeps for itself is refused", () => {
    const machine = vmstate({ name: "vmschkmachine", version: 1, fields: {} }) as unknown as Description;
    expect(() => dumpOf([machine], "m")).toThrow(expect.objectContaining({ code: "DEFINITION_INVALID" }));
  });
});

describe("jsonSchemaOf", () => {
  it("every state of every random description is valid", () => {
    fc.assert(
      fc.property(fc.oneof(samples(), simples()), ({ description, state }) => {
        const schema = jsonSchemaOf(description);
        expect(faultsOf(schema, through(stateToJson(description, state)))).toEqual([]);
      }),
      { seed, numRuns: 200 },
    );
  });

  const fields = {
    id: equal(u32, 7),
    wide: equal(u64, 1n << 60n),
    low: u8,
    signed: i64,
    bytes: buffer(4),
    table: array(u16, 2),
    when: timer,
    sparse: pointers(u8, 2, (i) => i === 0),
    list: markedList(struct(port)),
  };
  const description = vmstate({ name: "d", version: 1, fields }) as unknown as Description;
  const good = {
    id: 7,
    wide: String(1n << 60n),
    low: 255,
    signed: "-5",
    bytes: "AAECAw==",
    table: [1, 2],
    when: null,
    sparse: [null, 3],
    list: [{ lcr: 1, divisor: 2 }],
  };

  it("a state is valid, and each change that makes it none is seen where it is", () => {
    const schema = jsonSchemaOf(description);
    expect(faultsOf(schema, good)).toEqual([]);
    const spoiled: [string, unknown, string][] = [
      ["id", 8, ".id const"],
      ["wide", "7", ".wide const"],
      ["low", 256, ".low maximum"],
      ["low", -1, ".low minimum"],
      ["low", "1", ".low type"],
      ["signed", "-05", ".signed pattern"],
      ["signed", 5, ".signed type"],
      ["bytes", "AAEC", ".bytes minLength"],
      ["bytes", "AAEC*w==", ".bytes contentEncoding"],
      ["table", [1], ".table minItems"],
      ["table", [1, 65536], ".table[1] maximum"],
      ["when", 5, ".when anyOf"],
      ["sparse", [null, -1], ".sparse[1] anyOf"],
      ["list", [{ lcr: 1 }], ".list[0] required"],
      ["list", [{ lcr: 1, divisor: 2, more: 3 }], ".list[0] additionalProperties"],
    ];
    for (const [key, value, fault] of spoiled) {
      expect(faultsOf(schema, { ...good, [key]: value } as JsonValue)).toContain(fault);
    }
    const { low: _, ...without } = good;
    expect(faultsOf(schema, without)).toEqual([" required"]);
    expect(faultsOf(schema, { ...good, _pad: 0 })).toEqual([" additionalProperties"]);
  });

  it("two nested descriptions of one name are told apart", () => {
    const a = vmstate({ name: "x/y z~", version: 1, fields: { a: u8 } });
    const b = vmstate({ name: "x/y z~", version: 1, fields: { b: u16 } });
    const both = vmstate({ name: "d", version: 1, fields: { a: struct(a), b: struct(b), again: struct(a) } });
    const schema = jsonSchemaOf(both as unknown as Description);
    expect(Object.keys(schema["$defs"] as object)).toEqual(["x/y z~", "x/y z~~2"]);
    expect(faultsOf(schema, { a: { a: 1 }, b: { b: 1 }, again: { a: 2 } })).toEqual([]);
    expect(faultsOf(schema, { a: { a: 1 }, b: { a: 1 }, again: { a: 2 } })).toEqual([
      ".b required",
      ".b additionalProperties",
    ]);
  });
});

describe("markdownOf", () => {
  it("is a page: every field in the order of the wire, with offsets as long as they are certain", () => {
    expect(markdownOf(uart)).toBe(`# \`uart\`

Version 3; read from 1 on; its size depends on the record. Priority \`iommu\`. Sent before the first page.

| offset | field | type | bytes | there | notes |
| --: | --- | --- | --: | --- | --- |
| 0 | \`ident\` | \`uint32 equal\` | 4 | always | must be 7 |
| 4 | \`level\` | \`uint8\` | 1 | always | 1 to 16 |
| 5 | \`unused\` | \`unused_buffer\` | 2 | always | means nothing |
| 7 | \`unused\` | \`unused_buffer\` | 4 | before version 2 | means nothing |
| 7 | \`added\` | \`uint64\` | 8 | from version 3 on |  |
| 15 | \`ports\` | \`struct\` × 2 | 6 | always | see \`uart/port\` |
| 21 | \`exact\` | \`vstruct\` | 3 | always | see \`uart/port\` |
| 24 | \`count\` | \`uint32 le\` | 4 | always | 0 to 8 |
| 28 | \`list\` | \`uint16\` × \`count\` | varies | always |  |
|  | \`text\` | \`buffer\` | \`count\` | always |  |
|  | \`sparse\` | \`uint8\` × 2, some null | varies | always |  |
|  | \`flag\` | \`bool\` | 1 | always |  |
|  | \`maybe\` | \`uint8\` | 1 | as the record says |  |
|  | \`must\` | \`uint8\` | 1 | must be |  |
|  | \`_test\` |  | 0 |  | a test of the fields before it |
|  | \`parent_obj.config\` | \`buffer\` | 3 | always | \`renamed\` in a state |
|  | \`events\` | \`marked\` | varies | always | see \`uart/port\` |
|  | \`sum\` | \`uint8\` | 1 | always | checked against the record |
|  | \`deadline\` | \`timer\` | 8 | always |  |
|  | \`bits\` | \`bitmap\` | 16 | always |  |

## \`uart/late\`

Version 1; 8 bytes. Subsection \`late\` of \`uart\`; comes only where it is needed.

| offset | field | type | bytes | there | notes |
| --: | --- | --- | --: | --- | --- |
| 0 | \`at\` | \`int64\` | 8 | always |  |

## \`uart/port\`

Version 2; read from 1 on; 3 bytes. Stands inside of other descriptions, without a header.

| offset | field | type | bytes | there | notes |
| --: | --- | --- | --: | --- | --- |
| 0 | \`lcr\` | \`uint8\` | 1 | always |  |
| 1 | \`divisor\` | \`uint16\` | 2 | always |  |
`);
  });

  it("says what stands in a table's way otherwise", () => {
    const odd = vmstate({
      name: "a|b",
      version: 1,
      unmigratable: "it holds a mouse",
      fields: {
        t: tmp(port, { save: (v: number) => ({ lcr: v, divisor: 0 }), load: ({ lcr }) => lcr }),
      },
    }) as unknown as Description;
    const page = markdownOf(odd, { level: 3 });
    expect(page).toContain("### `a|b`\n\nVersion 1; 3 bytes. Priority `default`. Cannot migrate: it holds a mouse.");
    expect(page).toContain("#### `uart/port`");
    expect(markdownOf(vmstate({ name: "e", version: 1, fields: {} }) as unknown as Description)).toBe(
      "# `e`\n\nVersion 1; 0 bytes. Priority `default`.\n\nNo fields.\n",
    );
  });

  it("random descriptions have every field in their page and their dump, structs with the bytes that they have", () => {
    fc.assert(
      fc.property(simples(), ({ description, state }) => {
        const section = dumpOf([description], "m")["holder"];
        if (section === undefined || !("Description" in section)) return expect.unreachable();
        const { Fields = [] } = section.Description;
        expect(Fields.map(({ field }) => field)).toEqual(["n", "counted", "listed", "fixed", "one"]);
        const nested = (description.fields["one"] as unknown as { description: Description }).description;
        const { length } = encodeState(nested, state["one"]);
        expect(Fields.map(({ size }) => size)).toEqual([1, length, 0, length, length]);
        const page = markdownOf(description);
        const inner = page.split("\n#").find((one) => one.includes(`# \`${nested.name}\``)) ?? expect.unreachable();
        expect(inner.match(/^\| \d+ \| `/gm)).toHaveLength(Object.keys(nested.fields).length);
      }),
      { seed, numRuns: 100 },
    );
  });
});

describe("dumpSectionOfVmdesc", () => {
  it("says what came, and that it knows no more", () => {
    const device = {
      name: "00:01/uart",
      instance_id: 0,
      vmsd_name: "uart",
      version: 3,
      fields: [
        { name: "ports", array_len: 2, type: "struct", struct: { vmsd_name: "p", version: 1, fields: [] }, size: 0 },
        { name: "cells", index: 4, type: "uint16", size: 2 },
        { name: "none", type: "struct", struct: {}, size: 1 },
      ],
      subsections: [{ vmsd_name: "uart/late", version: 1, fields: [{ name: "at", type: "int64", size: 8 }] }],
    };
    const godwit = { by: "vmdesc" };
    const of = (field: string, type: string, size: number, more: object = {}) => ({
      field,
      version_id: 0,
      field_exists: false,
      size,
      godwit: { ...godwit, type, bytes: size },
      ...more,
    });
    expect(dumpSectionOfVmdesc(device)).toEqual({
      Name: "00:01/uart",
      version_id: 3,
      minimum_version_id: 3,
      Description: {
        name: "uart",
        version_id: 3,
        minimum_version_id: 3,
        Fields: [
          of("ports", "struct", 0, {
            num: 2,
            Description: { name: "p", version_id: 1, minimum_version_id: 1, godwit },
            godwit: { ...godwit, type: "struct", bytes: 0, count: 2 },
          }),
          of("cells[4]", "uint16", 2),
          of("none", "struct", 1),
        ],
        Subsections: [
          { name: "uart/late", version_id: 1, minimum_version_id: 1, Fields: [of("at", "int64", 8)], godwit },
        ],
        godwit,
      },
    });
  });
});
