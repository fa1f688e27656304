// Real QEMU's descriptions as the judge of ours: descriptions are built from a stream's vmdesc, the sections decoded with
// them, written again and listed; bytes and JSON must come out the same.
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import {
  array,
  bool,
  buffer,
  type Description,
  decodeRecord,
  type Field,
  i8,
  i16,
  i32,
  i64,
  listRecord,
  named,
  type Subsection,
  struct,
  subsection,
  timer,
  u8,
  u16,
  u32,
  u64,
  unused,
  type VmdescDialect,
  vmstate,
  Writer,
} from "../src/index.ts";
import {
  findVmdesc,
  sectionBytes,
  type VmdescDevice,
  type VmdescField,
  type VmdescMembers,
  vmdescText,
} from "../src/stream/index.ts";

const integers: Record<string, Field> = {
  uint8: u8,
  uint16: u16,
  uint32: u32,
  uint64: u64,
  int8: i8,
  int16: i16,
  int32: i32,
  int64: i64,
  bool,
  timer,
};

class NotHere extends Error {}

function fieldOf(of: VmdescField): Field {
  // What stands for a list or a run of unequal elements does not say what a description of it would be.
  if (of.index !== undefined || of.fields !== undefined) throw new NotHere(of.type);
  const one =
    of.type === "struct"
      ? struct(descriptionOf(of.struct as VmdescMembers))
      : of.type === "buffer"
        ? buffer(of.size)
        : of.type === "unused_buffer"
          ? unused(of.size)
          : integers[of.type];
  if (one === undefined) throw new NotHere(of.type);
  return of.array_len === undefined ? one : array(one, of.array_len);
}

function descriptionOf(of: VmdescMembers, name = of.vmsd_name): Description {
  const fields: Record<string, Field> = {};
  // `x[0]`, `x[1]` are QEMU's way to tell fields of one name apart; an array's member keeps its own index.
  const first = new Set(
    of.fields
      .map((f) => f.name)
      .filter((n) => n.endsWith("[0]"))
      .map((n) => n.slice(0, -3)),
  );
  of.fields.forEach((field, i) => {
    const [, stem = field.name] = /^(.*)\[\d+\]$/.exec(field.name) ?? [];
    const made = fieldOf(field);
    const key = field.type === "unused_buffer" ? `_${i}` : `f${i}`;
    fields[key] = named(first.has(stem) ? stem : field.name, made);
  });
  const subsections: Record<string, Subsection> = {};
  (of.subsections ?? []).forEach((own, i) => {
    const { fields: inner, version, name: ownName } = descriptionOf(own);
    subsections[`s${i}`] = subsection({ name: ownName, version, fields: inner, absent: {} as never });
  });
  return vmstate({ name, version: of.version, fields, subsections });
}

/** Offset of the body of a section, found by the head that stands before it. */
function bodyOf(stream: Uint8Array, device: VmdescDevice): Uint8Array | undefined {
  const head = new Writer();
  head.str8(device.name);
  head.u32(device.instance_id);
  const needle = head.written();
  const bytes = sectionBytes(device) ?? expect.unreachable(device.name);
  for (let at = stream.indexOf(needle[0] as number); at >= 0; at = stream.indexOf(needle[0] as number, at + 1)) {
    if (stream[at - 5] !== 4 || !needle.every((byte, i) => stream[at + i] === byte)) continue;
    const from = at + needle.length + 4;
    if (stream[from + bytes] === 0x7e) return stream.subarray(from, from + bytes);
  }
  return undefined;
}

describe.skipIf(!haveStreams())("vmdesc of real QEMU", () => {
  it.each<[string, VmdescDialect, number]>([
    ["q35-bare-7.2.stream", "7.2", 20],
    ["i440fx-bare-10.0-m7.2.stream", "10.0", 20],
    ["q35-bare-10.0-m10.0.stream", "10.0", 20],
    ["pseries-bare-7.2.stream", "7.2", 8],
  ])("%s: same bytes, same text", (file, dialect, atLeast) => {
    const stream = readStream(file);
    const { vmdesc, at } = findVmdesc(stream) ?? expect.unreachable();
    // The text itself first: parsed and printed again, it is QEMU's to the byte.
    expect(vmdescText(vmdesc)).toBe(new TextDecoder().decode(stream.subarray(at + 5)));
    let compared = 0;
    for (const device of vmdesc.devices) {
      if (device.vmsd_name === undefined || device.fields === undefined) continue;
      let description: Description;
      try {
        description = descriptionOf(device as VmdescMembers);
      } catch (error) {
        if (error instanceof NotHere) continue;
        throw error;
      }
      const body = bodyOf(stream, device) ?? expect.unreachable(device.name);
      const out = new Writer();
      const members = listRecord(out, description, decodeRecord(description, body), dialect);
      expect(out.written()).toEqual(body);
      expect(
        vmdescText({ page_size: 0, devices: [{ name: device.name, instance_id: device.instance_id, ...members }] }),
      ).toBe(vmdescText({ page_size: 0, devices: [device] }));
      compared++;
    }
    expect(compared).toBeGreaterThanOrEqual(atLeast);
  });
});
