// The pieces of an edit by themselves: splices over any chunks, the vmdesc's text, values as they are written, names that
// are nearest, and versions.
import { u8, u16, vmstate } from "@godwit/core";
import { vmdescText } from "@godwit/core/stream";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { prepareEdits, writeVerified } from "../src/edit/apply.ts";
import { editByDescription } from "../src/edit/by-description.ts";
import { readDevicePart } from "../src/edit/device-part.ts";
import type { Edit } from "../src/edit/edit.ts";
import { editsOf, parsedValue } from "../src/edit/edit-text.ts";
import type { EditDone } from "../src/edit/plan.ts";
import { reportLines } from "../src/edit/report.ts";
import { openSource } from "../src/edit/source.ts";
import { type Splice, spliced } from "../src/edit/splice.ts";
import { editVmdescText } from "../src/edit/vmdesc-text.ts";
import type { Input } from "../src/io/input.ts";
import { silent, type Terminal } from "../src/io/terminal.ts";
import { type Catalogue, catalogueWith } from "../src/model/catalogue.ts";
import { nearest } from "../src/model/nearest.ts";
import type { Section } from "../src/model/read-stream.ts";
import { expectVmdescToTile, same, sectionOf, workshop } from "./edit-support.ts";

describe("what is told of edits", () => {
  it("are lines that a terminal holds; what is left out is told by its length", () => {
    const long = "x".repeat(500);
    const key = "0000:00:01.0/virtio-net/0";
    const done: EditDone[] = [
      { kind: "set", section: key, path: "config", before: long, after: long, offset: 123_456_789, by: "description" },
      { kind: "set", section: key, path: "isr", before: 1, after: 2, offset: 1, by: "description" },
      { kind: "drop-subsection", section: key, path: "virtio.started", before: [long], offset: 1, by: "vmdesc" },
      { kind: "add-subsection", section: key, path: "virtio.started", after: long, offset: 1, by: "vmdesc" },
      { kind: "drop-section", section: key, before: Buffer.alloc(4711).toString("base64"), offset: 1 },
      { kind: "drop-command", path: "PING", before: "AAAAAQ==", offset: 1 },
    ];
    const lines = [...reportLines({ done, notes: [], bytes: 1 }, "out", true)];
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(120);
    expect(lines[0]).toMatch(/^byte 123456789: set .*#config: x{20,}\.\.\. -> x{20,}\.\.\.$/);
    expect(lines[1]).toBe(`byte 1: set ${key}#isr: 1 -> 2`);
    expect(lines[2]).toMatch(/: was \["x+\.\.\.$/);
    expect(lines.slice(4)).toEqual([
      `byte 1: drop-section ${key}: 4711 bytes`,
      "byte 1: drop-command PING: 4 bytes",
      "out: 1 B",
    ]);
  });
});

describe("splices", () => {
  it("give the same bytes however the stream is cut into chunks; a chunk may be written over", async () => {
    const cases = fc.record({
      bytes: fc.uint8Array({ minLength: 0, maxLength: 60 }),
      cuts: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 }),
      /** Each: how far behind the one before, how much goes, what comes. */
      steps: fc.array(fc.tuple(fc.nat(9), fc.nat(7), fc.uint8Array({ maxLength: 5 })), { maxLength: 8 }),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ bytes, cuts, steps }) => {
        const splices: Splice[] = [];
        let expected: number[] = [];
        let at = 0;
        for (const [gap, remove, insert] of steps) {
          const offset = at + gap;
          if (offset + remove > bytes.length) break;
          splices.push({ offset, removeBytes: remove, insert });
          expected = [...expected, ...bytes.subarray(at, offset), ...insert];
          at = offset + remove;
        }
        expected.push(...bytes.subarray(at));
        async function* chunks(): AsyncIterable<Uint8Array> {
          const buffer = new Uint8Array(9);
          for (let from = 0, i = 0; from < bytes.length; i++) {
            const piece = bytes.subarray(from, from + (cuts[i % cuts.length] as number));
            buffer.fill(0xee);
            buffer.set(piece);
            yield buffer.subarray(0, piece.length);
            from += piece.length;
          }
        }
        const found: number[] = [];
        // In another order than that of the stream.
        for await (const chunk of spliced({ chunks } as Input, splices.toReversed())) found.push(...chunk);
        // Of two at one place, the order is that in which they are given.
        if (new Set(splices.map(({ offset }) => offset)).size === splices.length) expect(found).toEqual(expected);
        else expect(found.length).toBe(expected.length);
      }),
      { seed: 20, numRuns: 400 },
    );
  });

  it("that meet, or reach beyond the end, are a mistake", async () => {
    const input = {
      async *chunks() {
        yield new Uint8Array(10);
      },
    } as unknown as Input;
    const all = async (splices: Splice[]) => {
      for await (const _ of spliced(input, splices));
    };
    const splice = (offset: number, removeBytes: number): Splice => ({
      offset,
      removeBytes,
      insert: new Uint8Array(1),
    });
    await expect(all([splice(2, 3), splice(4, 1)])).rejects.toThrow(/two edits meet at byte 2/);
    await expect(all([splice(8, 3)])).rejects.toThrow(/changed while it was edited/);
    await expect(all([splice(11, 0)])).rejects.toThrow(/changed while it was edited/);
    await all([splice(10, 0), splice(2, 3), splice(5, 1)]);
  });
});

describe("the vmdesc's text", () => {
  const odd =
    '{"name": "a\\"}],{", "instance_id": 0, "fields": [{"name": "x", "type": "qtailq", "version": 1, "version": 2, "size": 4}]}';
  const plain = '{"name": "b", "instance_id": 1, "size": 3}';
  const text = `{"page_size": 4096, "devices": [${odd}, ${plain}], "godwit": {"x": [1, 2]}}`;
  const kept = new Map();

  it("keeps what is not touched to the byte", () => {
    expect(editVmdescText(text, { devices: kept })).toBe(text);
    expect(editVmdescText(text, { devices: new Map([["b/1", "drop"]]), drop: ["godwit"] })).toBe(
      `{"page_size": 4096, "devices": [${odd}]}`,
    );
    expect(editVmdescText(text, { devices: new Map([["b/0", "drop"]]) })).toBe(text);
  });

  it("prints what is changed as QEMU does, and keeps the parts of it that are not", () => {
    const device = { ...JSON.parse(odd), subsections: [{ vmsd_name: "é", version: 1, fields: [] }] };
    const changed = editVmdescText(text, { devices: new Map([['a"}],{/0', device]]) });
    expect(changed).toBe(
      text.replace(
        '"size": 4}]}',
        '"size": 4}], "subsections": [{"vmsd_name": "\\u00E9", "version": 1, "fields": []}]}',
      ),
    );
    expect(vmdescText(device)).not.toContain('"version": 1, "version": 2');
  });

  it("keeps a list's other elements, where one is added, those of arrays too", () => {
    const element = (index: number) =>
      `{"name": "x", "index": ${index}, "type": "qtailq", "version": 1, "version": 2, "size": 4}`;
    const fields = `${element(0)}, ${element(1)}`;
    const device = `{"name": "c", "instance_id": 0, "fields": [${fields}]}`;
    const added = { name: "y", type: "uint8", size: 1 };
    const longer = { ...JSON.parse(device), fields: [added, ...JSON.parse(device).fields] };
    const changed = editVmdescText(`{"page_size": 1, "devices": [${device}]}`, { devices: new Map([["c/0", longer]]) });
    const first = '{"name": "y", "type": "uint8", "size": 1}';
    expect(changed).toBe(
      `{"page_size": 1, "devices": [{"name": "c", "instance_id": 0, "fields": [${first}, ${fields}]}]}`,
    );
  });
});

describe("what reads back as something else", () => {
  it("is refused: one field may say how the others are to be read", () => {
    const one = vmstate({ name: "mode", version: 1, fields: { mode: u8, value: u16 } });
    const two = vmstate({ name: "mode", version: 1, fields: { mode: u8, high: u8, low: u8 } });
    const catalogue: Catalogue = {
      knows: () => "test",
      describe: ({ bytes }) => ({ plugin: "test", description: bytes[0] === 1 ? one : two, parameters: undefined }),
    };
    const head = { sectionId: 1, idstr: "mode", instance: 0, version: 1 };
    const section = { head, key: "mode/0", bodyOffset: 100, listed: undefined } as unknown as Section;
    const body = new Uint8Array([1, 2, 3]);
    const described = catalogue.describe({ ...head, bytes: body, vmdesc: undefined }) ?? expect.unreachable();
    const set = (path: string, value: number) =>
      editByDescription(section, body, described, [{ kind: "set", section: "mode/0", path, value }], catalogue);
    expect([...set("value", 0x405).body]).toEqual([1, 4, 5]);
    expect(() => set("mode", 2)).toThrow(expect.objectContaining({ code: "EDIT_READ_BACK", exit: 1 }));
  });
});

describe("values as they are written", () => {
  it.each([
    ["12", 12],
    ["-1", -1],
    ["0xff", 255],
    ["-0x10", -16],
    ["9007199254740993", "9007199254740993"],
    ["0xffffffffffffffff", "18446744073709551615"],
    ["true", true],
    ["null", null],
    ["hex:00ff", "AP8="],
    ["hex:", ""],
    ["base64:AP8=", "AP8="],
    ['[1, "0x2", {"a": false}]', [1, "0x2", { a: false }]],
    ['"12"', "12"],
  ])("%s", (text, value) => {
    expect(parsedValue(text, "/")).toEqual(value);
  });

  it("a section, then a path, then a value that may hold anything", () => {
    expect(
      editsOf(
        { set: ['pci@8:01.0/x#a.b[1]={"c=#d": 1}'], drop: ["a/b", "a/b#c/d"], dropCommand: ["ping", "0x0b"] },
        "/",
      ),
    ).toEqual([
      { kind: "drop-command", command: 2 },
      { kind: "drop-command", command: 11 },
      { kind: "drop-section", section: "a/b" },
      { kind: "drop-subsection", section: "a/b", subsection: "c/d" },
      { kind: "set", section: "pci@8:01.0/x", path: "a.b[1]", value: { "c=#d": 1 } },
    ]);
  });

  it("what was meant is told, and nothing that has nothing in common with it", () => {
    const names = ["vqs[0].last_avail_idx", "vqs[1].last_avail_idx", "queue_sel", "status"];
    expect(nearest("vqs[1].last_avial_idx", names)[0]).toBe("vqs[1].last_avail_idx");
    expect(nearest("last_avail_idx", names)).toEqual(["vqs[0].last_avail_idx", "vqs[1].last_avail_idx"]);
    expect(nearest("something else", names)).toEqual([]);
  });
});

describe.skipIf(!haveStreams())("versions", () => {
  const stream = "pseries-bare-7.2.stream";

  async function apply(name: string, folder: string, edits: readonly Edit[]): Promise<Uint8Array> {
    const terminal = { folder, progress: () => silent, note() {} } as unknown as Terminal;
    const options = { catalogue: catalogueWith(), holdBytes: 1 << 26 };
    const source = await openSource(name, undefined, terminal);
    try {
      const part = await readDevicePart(source.first, options);
      const plan = await prepareEdits(source, part, edits, options.catalogue);
      const written: Uint8Array[] = [];
      await writeVerified(source, part, plan, options, (chunk) => written.push(chunk.slice()));
      return new Uint8Array(Buffer.concat(written));
    } finally {
      source.close();
    }
  }

  it("an older one has the fields of then; back in the newer one it is what it was", async () => {
    const { put, folder, part } = workshop();
    put(stream);
    const key = "spapr/0";
    const now = sectionOf(await part(stream), key);
    expect(now.head.version).toBe(3);
    put("old", await apply(stream, folder, [{ kind: "version", section: key, version: 2 }]));
    const old = sectionOf(await part("old"), key);
    expect(old.head.version).toBe(2);
    expectVmdescToTile(await part("old"));
    // Four unused bytes and the clock's offset stand before what version 3 begins with.
    expect(same(old.body, new Uint8Array([...new Uint8Array(12), ...now.body]))).toBe(true);
    expect(same(await apply("old", folder, [{ kind: "version", section: key, version: 3 }]), readStream(stream))).toBe(
      true,
    );
  });

  it("one that the description does not have is refused, and any of what nothing describes", async () => {
    const { put, folder } = workshop();
    put(stream);
    const to = (section: string, version: number) => apply(stream, folder, [{ kind: "version", section, version }]);
    await expect(to("spapr", 4)).rejects.toThrow(expect.objectContaining({ code: "SECTION_VERSION", exit: 1 }));
    await expect(to("timer", 1)).rejects.toThrow(expect.objectContaining({ code: "EDIT_UNDESCRIBED", exit: 1 }));
  });
});
