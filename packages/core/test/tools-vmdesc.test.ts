// What a vmdesc says of each section of each real stream, laid over the section's bytes: every byte is in one leaf or one
// subsection's header, and every value gives its bytes back.
import { haveStreams, manifest, readStream } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { MigrationError } from "../src/index.ts";
import { findVmdesc, type VmdescDevice, type VmdescField } from "../src/stream/index.ts";
import {
  elementsOf,
  encodeByVmdesc,
  layoutByVmdesc,
  leafAt,
  type VmdescLayout,
  type VmdescLeafValue,
  type VmdescValue,
  valuesByVmdesc,
} from "../src/tools/index.ts";
import { bodyOf } from "./tools/sections.ts";

const streams = haveStreams()
  ? manifest()
      .flatMap(({ files }) => files.map(({ raw }) => raw))
      .filter((raw) => raw.endsWith(".stream"))
  : [];

/** What the layout says, written again. A byte that it says twice, or never, is an error. */
function rewritten({ values, subsections }: VmdescLayout): Uint8Array {
  const parts = [
    ...values.map((leaf) => ({ offset: leaf.offset, bytes: encodeByVmdesc(leaf, leaf.value) })),
    ...subsections.map(({ name, version, offset, headerBytes }) => ({
      offset,
      bytes: header(name, version, headerBytes),
    })),
  ].sort((a, b) => a.offset - b.offset || a.bytes.length - b.bytes.length);
  let end = 0;
  for (const { offset, bytes } of parts) {
    if (offset !== end) expect.unreachable(`a part begins at ${offset} and the one before ends at ${end}`);
    end = offset + bytes.length;
  }
  return new Uint8Array(Buffer.concat(parts.map(({ bytes }) => bytes)));
}

function header(name: string, version: number, bytes = name.length + 6): Uint8Array {
  const out = new Uint8Array(bytes);
  out.set([5, bytes - 6, ...new TextEncoder().encode(name)]);
  new DataView(out.buffer).setUint32(bytes - 4, version);
  return out;
}

interface Found {
  readonly device: VmdescDevice;
  readonly body: Uint8Array;
}

/** Met on the way through all streams: unpacking one takes seconds on a runtime without zstd. */
const met = new Map<string, Found>();

function sectionOf(file: string, name: string): Found {
  const known = met.get(`${file} ${name}`);
  if (known !== undefined) return known;
  const stream = readStream(file);
  const device = findVmdesc(stream)?.vmdesc.devices.find((one) => one.name === name) ?? expect.unreachable(name);
  return { device, body: bodyOf(stream, device) ?? expect.unreachable(name) };
}

function refusal(act: () => unknown): MigrationError {
  try {
    act();
  } catch (error) {
    if (error instanceof MigrationError) return error;
    throw error;
  }
  return expect.unreachable("nothing was refused");
}

describe.skipIf(!haveStreams())("leaves by vmdesc of real QEMU", () => {
  let described = 0;
  const open: string[] = [];

  it.each(streams)("%s: leaves and headers of subsections are the body, byte for byte", (file) => {
    const stream = readStream(file);
    for (const device of findVmdesc(stream)?.vmdesc.devices ?? []) {
      const body = bodyOf(stream, device) ?? expect.unreachable(device.name);
      met.set(`${file} ${device.name}`, { device, body: body.slice() });
      const layout = layoutByVmdesc(device, body);
      const { values, complete } = layout;
      expect(Buffer.compare(rewritten(layout), body)).toBe(0);
      const seen = new Set<string>();
      expect(values.filter(({ path }) => seen.size === seen.add(path).size)).toEqual([]);
      expect(values.every(({ offset }, i) => i === 0 || offset >= (values[i - 1]?.offset ?? 0))).toBe(true);
      for (const leaf of values.filter(({ count = 0 }) => count > 0 && count <= 1024)) {
        const elements = elementsOf(leaf);
        const last = elements.at(-1) ?? expect.unreachable();
        expect(leafAt(values, last.path)).toEqual(last);
        const again = Buffer.concat(elements.map((one) => encodeByVmdesc(one, one.value)));
        expect(Buffer.compare(again, body.subarray(leaf.offset, leaf.offset + leaf.bytes))).toBe(0);
      }
      if (!complete) open.push(`${file} ${device.name}`);
      described++;
    }
  });

  it("were all sections of all streams, and one of 7.2 is left open", () => {
    expect(described).toBe(651);
    expect(open).toEqual(["s390-ccw-virtio-7.2.stream s390_css"]);
  });

  it("a field that QEMU names like another's element has a path of its own", () => {
    const { device, body } = sectionOf("q35-bare-7.2.stream", "i8254");
    const values = valuesByVmdesc(device, body);
    const alike = values.filter(({ path }) => path.startsWith("channels[0].next_transition_time"));
    expect(alike.map(({ path, offset }) => [path, offset])).toEqual([
      ["channels[0].next_transition_time", 28],
      ["channels[0].next_transition_time~2", 100],
    ]);
    expect(alike[0]?.value).toBe(new DataView(body.buffer, body.byteOffset).getBigInt64(28));
  });

  it("elements that are not all alike are numbered through, the last as well, which 10.0 does not number", () => {
    for (const file of ["q35-bare-7.2.stream", "q35-bare-10.0-m10.0.stream"]) {
      const { device, body } = sectionOf(file, "0000:00:1f.2/ich9_ahci");
      const numbers = valuesByVmdesc(device, body).flatMap(({ path }) => /^ahci\.dev\[(\d+)\]/.exec(path)?.[1] ?? []);
      expect([...new Set(numbers)]).toEqual(["0", "1", "2", "3", "4", "5"]);
    }
  });

  it("a subsection's fields have its name in their path, and its header is where it says", () => {
    const { device, body } = sectionOf("q35-bare-7.2.stream", "cpu");
    const { values, subsections } = layoutByVmdesc(device, body);
    const [first] = subsections;
    expect(first?.name).toMatch(/^cpu\//);
    expect(first?.path).toBe(first?.name);
    for (const { offset, headerBytes, bytes, name, version, path } of subsections) {
      expect(body.subarray(offset, offset + headerBytes)).toEqual(header(name, version));
      const own = values.filter((leaf) => leaf.path.startsWith(`${path}.`));
      expect(own[0]?.offset).toBe(offset + headerBytes);
      expect((own.at(-1)?.offset ?? 0) + (own.at(-1)?.bytes ?? 0)).toBe(offset + bytes);
    }
  });

  it("nulls: 10.0 lists them in runs, 7.2 leaves the whole array open", () => {
    const now = sectionOf("s390-ccw-5dev-10.0.stream", "s390_css");
    const values = valuesByVmdesc(now.device, now.body);
    expect(leafAt(values, "css[0]")).toMatchObject({ type: "nullptr", bytes: 1, value: null });
    expect(leafAt(values, "css[253]")).toMatchObject({ type: "nullptr", bytes: 1, value: null });
    expect(values.find(({ path }) => path.startsWith("css[254]."))).toMatchObject({ type: expect.any(String) });
    expect(leafAt(values, "css[255]")).toMatchObject({ type: "nullptr", bytes: 1, value: null });

    const before = sectionOf("s390-ccw-virtio-7.2.stream", "s390_css");
    const layout = layoutByVmdesc(before.device, before.body);
    const css = leafAt(layout.values, "css") ?? expect.unreachable();
    // 255 nulls and one image between the fields that are listed before and behind.
    expect(css).toMatchObject({ type: "rest", bytes: 255 + 768 });
    expect(css.value).toEqual(before.body.slice(css.offset, css.offset + css.bytes));
    expect(layout.values.at(-1)?.type).not.toBe("rest");
  });
});

const deviceOf = (fields: readonly VmdescField[], more: Partial<VmdescDevice> = {}): VmdescDevice => ({
  name: "d",
  instance_id: 0,
  vmsd_name: "d",
  version: 1,
  fields,
  ...more,
});
const leafOf = (type: string, size: number, more: Partial<VmdescField> = {}): VmdescField => ({
  name: "f",
  type,
  size,
  ...more,
});
const bytesOf = (n: number): Uint8Array => Uint8Array.from({ length: n }, (_, i) => 0xf0 + i);

describe("leaves by vmdesc", () => {
  it.each<[string, number, VmdescLeafValue]>([
    ["uint8", 1, 0xf0],
    ["int8", 1, -16],
    ["uint16", 2, 0xf0f1],
    ["int16", 2, -3855],
    ["uint32", 4, 0xf0f1f2f3],
    ["int32", 4, -252579085],
    ["uint64", 8, 0xf0f1f2f3f4f5f6f7n],
    ["int64", 8, -1084818905618843913n],
    ["uint8 equal", 1, 0xf0],
    ["uint16 equal", 2, 0xf0f1],
    ["uint32 equal", 4, 0xf0f1f2f3],
    ["int32 equal", 4, -252579085],
    ["int32 le", 4, -252579085],
    ["int64 equal", 8, 0xf0f1f2f3f4f5f6f7n],
    ["timer", 8, 0xf0f1f2f3f4f5f6f7n],
    ["CPU_Double_U", 8, 0xf0f1f2f3f4f5f6f7n],
    ["bool", 1, 0xf0],
    ["buffer", 3, bytesOf(3)],
    ["unused_buffer", 2, bytesOf(2)],
    ["bitmap", 8, bytesOf(8)],
    ["qtailq", 5, bytesOf(5)],
    ["somebody's own", 4, bytesOf(4)],
    ["uint32", 3, bytesOf(3)],
  ])("%s of %i bytes", (type, size, value) => {
    const body = bytesOf(size);
    const [leaf = expect.unreachable()] = valuesByVmdesc(deviceOf([leafOf(type, size)]), body);
    expect(leaf).toEqual({ path: "f", type, offset: 0, bytes: size, value });
    expect(encodeByVmdesc(leaf, leaf.value)).toEqual(body);
  });

  it.each<[string, number[], VmdescLeafValue]>([
    ["bool", [0], false],
    ["bool", [1], true],
    ["timer", new Array(8).fill(0xff), null],
    ["nullptr", [0x30], null],
    ["nullptr", [0x31], 0x31],
  ])("%s %j", (type, bytes, value) => {
    const [leaf = expect.unreachable()] = valuesByVmdesc(
      deviceOf([leafOf(type, bytes.length)]),
      Uint8Array.from(bytes),
    );
    expect(leaf.value).toBe(value);
    expect([...encodeByVmdesc(leaf, value)]).toEqual(bytes);
  });

  it("an array of integers is one typed array, of unknown elements their bytes", () => {
    const fields = [leafOf("int16", 2, { name: "a", array_len: 3 }), leafOf("fpr", 3, { name: "b", array_len: 2 })];
    const [a = expect.unreachable(), b = expect.unreachable()] = valuesByVmdesc(deviceOf(fields), bytesOf(12));
    expect(a).toMatchObject({ path: "a", count: 3, value: Int16Array.from([-3855, -3341, -2827]) });
    expect(b).toMatchObject({ path: "b", count: 2, value: bytesOf(12).slice(6) });
    expect(elementsOf(b)[1]).toEqual({ path: "b[1]", type: "fpr", offset: 9, bytes: 3, value: bytesOf(12).slice(9) });
    expect(leafAt([a, b], "a[2]")).toEqual({ path: "a[2]", type: "int16", offset: 4, bytes: 2, value: -2827 });
    expect(leafAt([a, b], "a[3]")).toBeUndefined();
  });

  it("members that do not add up to their struct are its bytes; what follows is not lost", () => {
    const struct = { vmsd_name: "s", version: 1, fields: [leafOf("uint8", 1)] };
    const fields = [leafOf("struct", 3, { name: "s", struct }), leafOf("uint8", 1, { name: "behind" })];
    expect(valuesByVmdesc(deviceOf(fields), bytesOf(4)).map(({ path, type, bytes }) => [path, type, bytes])).toEqual([
      ["s", "struct", 3],
      ["behind", "uint8", 1],
    ]);
  });

  it("two arrays that hide elements leave the rest of their struct open", () => {
    const hidden = (name: string) => leafOf("struct", 1, { name, array_len: 4, struct: {} });
    const struct = {
      vmsd_name: "s",
      version: 1,
      fields: [leafOf("uint8", 1), hidden("p"), leafOf("uint8", 1, { name: "g" }), hidden("q")],
    };
    const fields = [leafOf("struct", 12, { name: "s", struct }), leafOf("uint8", 1, { name: "behind" })];
    const layout = layoutByVmdesc(deviceOf(fields), bytesOf(13));
    expect(layout.complete).toBe(false);
    expect(layout.values.map(({ path, type, offset, bytes }) => [path, type, offset, bytes])).toEqual([
      ["s.f", "uint8", 0, 1],
      ["s.~rest", "rest", 1, 11],
      ["behind", "uint8", 12, 1],
    ]);
  });

  const part = (fields: readonly VmdescField[]) => ({ vmsd_name: "d/x", version: 2, fields });
  const withPart = (bytes: readonly number[]): Uint8Array => Uint8Array.from([7, ...header("d/x", 2), ...bytes]);

  it("a subsection's leaves stand behind its header", () => {
    const device = deviceOf([leafOf("uint8", 1)], { subsections: [part([leafOf("uint16", 2)])] });
    const { values, subsections } = layoutByVmdesc(device, withPart([1, 2]));
    expect(values.map(({ path, offset, value }) => [path, offset, value])).toEqual([
      ["f", 0, 7],
      ["d/x.f", 10, 0x0102],
    ]);
    expect(subsections).toEqual([{ path: "d/x", name: "d/x", version: 2, offset: 1, headerBytes: 9, bytes: 11 }]);
  });

  it("a subsection that holds others stands before them, and ends where they end", () => {
    const inner = { vmsd_name: "d/x/y", version: 1, fields: [leafOf("uint8", 1)] };
    const outer = { vmsd_name: "d/x", version: 2, fields: [], subsections: [inner] };
    const body = Uint8Array.from([...header("d/x", 2), ...header("d/x/y", 1), 9]);
    const { values, subsections } = layoutByVmdesc(deviceOf([], { subsections: [outer] }), body);
    expect(values.map(({ path, offset }) => [path, offset])).toEqual([["d/x.d/x/y.f", 20]]);
    expect(subsections).toEqual([
      { path: "d/x", name: "d/x", version: 2, offset: 0, headerBytes: 9, bytes: 21 },
      { path: "d/x.d/x/y", name: "d/x/y", version: 1, offset: 9, headerBytes: 11, bytes: 12 },
    ]);
  });

  it.each<[string, (body: Uint8Array) => void, string]>([
    ["mark", (body) => void body.set([6], 1), "no subsection"],
    ["length of the name", (body) => void body.set([200], 2), "no subsection"],
    ["name", (body) => void body.set([0x79], 5), '"d/y" v2'],
    ["version", (body) => void body.set([3], 9), '"d/x" v3'],
  ])("another %s than the description says is VMDESC_INVALID", (_, spoil, found) => {
    const device = deviceOf([leafOf("uint8", 1)], { subsections: [part([leafOf("uint16", 2)])] });
    const body = withPart([1, 2]);
    spoil(body);
    const { code, location, ...error } = refusal(() => valuesByVmdesc(device, body));
    expect(code).toBe("VMDESC_INVALID");
    expect(location).toMatchObject({ path: "d/x", offset: 1 });
    expect(error).toMatchObject({ expected: '"d/x" v2', found });
  });

  it.each([3, 5])("a body of %i bytes instead of 4 is VMDESC_INVALID", (bytes) => {
    const error = refusal(() => valuesByVmdesc(deviceOf([leafOf("uint32", 4)]), bytesOf(bytes)));
    expect(error).toMatchObject({ code: "VMDESC_INVALID", expected: "4 bytes", found: `${bytes} bytes` });
  });

  it.each<[string, VmdescField]>([
    ["a negative size", leafOf("uint8", -1)],
    ["a size that is no integer", leafOf("uint8", 0.5)],
    ["a size that is no number", leafOf("uint8", "1" as unknown as number)],
    ["a count beyond all numbers", leafOf("uint8", 2 ** 40, { array_len: 2 ** 40 })],
    ["a type that is no text", leafOf(1 as unknown as string, 1)],
    ["as many empty fields as it likes", leafOf("buffer", 0, { array_len: 2 })],
  ])("a hostile description: %s", (_, field) => {
    const fields = field.size === 0 ? [] : [field];
    const many = Array.from({ length: 70 }, (_, i) => ({ ...field, name: `f${i}` }));
    const struct = { vmsd_name: "s", version: 1, fields: [leafOf("uint8", 1), ...many] };
    const device = deviceOf(field.size === 0 ? [leafOf("struct", 1, { array_len: 1000, struct })] : fields);
    expect(refusal(() => valuesByVmdesc(device, new Uint8Array(1000))).code).toBe("VMDESC_INVALID");
  });

  it("a count of elements without bytes costs nothing", () => {
    const struct = { vmsd_name: "s", version: 1, fields: [leafOf("buffer", 0)] };
    const fields = [
      leafOf("struct", 0, { array_len: 2 ** 50, struct }),
      leafOf("buffer", 0, { name: "g", array_len: 2 ** 50 }),
    ];
    expect(valuesByVmdesc(deviceOf(fields), new Uint8Array(0)).map(({ path, bytes }) => [path, bytes])).toEqual([
      ["g", 0],
    ]);
  });

  it("arrays within arrays are asked once a level, not twice", () => {
    let inner = leafOf("uint8", 1);
    for (let depth = 0; depth < 60; depth++) {
      inner = leafOf("struct", 1, { array_len: 2, struct: { vmsd_name: "s", version: 1, fields: [inner] } });
    }
    expect(valuesByVmdesc(deviceOf([inner]), new Uint8Array(2)).map(({ type, bytes }) => [type, bytes])).toEqual([
      ["struct", 1],
      ["struct", 1],
    ]);
  });

  it("many elements ask once what is in them", () => {
    let asked = 0;
    const hidden = leafOf("uint8", 0);
    const inner = {
      ...{ vmsd_name: "i", version: 1 },
      get fields() {
        asked++;
        return [hidden];
      },
    };
    const struct = {
      ...{ vmsd_name: "s", version: 1 },
      fields: [leafOf("uint8", 1), leafOf("struct", 0, { name: "none", array_len: 2, struct: inner })],
    };
    const device = deviceOf([leafOf("struct", 1, { array_len: 5000, struct })]);
    expect(valuesByVmdesc(device, new Uint8Array(5000))).toHaveLength(5000);
    expect(asked).toBeLessThan(10);
  });

  const leaf = (type: string, bytes: number, count?: number): VmdescValue => ({
    path: "a.b",
    type,
    offset: 0,
    bytes,
    value: 0,
    ...(count !== undefined && { count }),
  });
  it.each<[string, VmdescValue, unknown, string]>([
    ["a byte beyond 255", leaf("uint8", 1), 256, "a.b"],
    ["a negative unsigned", leaf("uint32", 4), -1, "a.b"],
    ["a fraction", leaf("int32", 4), 0.5, "a.b"],
    ["a number for 64 bits", leaf("uint64", 8), 1, "a.b"],
    ["a bigint for 32", leaf("uint32", 4), 1n, "a.b"],
    ["2^63 signed", leaf("int64", 8), 2n ** 63n, "a.b"],
    ["2^64", leaf("uint64", 8), 2n ** 64n, "a.b"],
    ["a negative deadline", leaf("timer", 8), -1n, "a.b"],
    ["text for a boolean", leaf("bool", 1), "true", "a.b"],
    ["a longer buffer", leaf("buffer", 2), new Uint8Array(3), "a.b"],
    ["a list for a buffer", leaf("buffer", 2), [1, 2], "a.b"],
    ["a shorter array", leaf("uint16", 4, 2), [1], "a.b"],
    ["an element that does not fit", leaf("uint16", 4, 2), [1, 65536], "a.b[1]"],
  ])("encoding %s is BITS_RANGE with its path", (_, one, value, path) => {
    const error = refusal(() => encodeByVmdesc(one, value as VmdescLeafValue));
    expect(error.code).toBe("BITS_RANGE");
    expect(error.location.path).toBe(path);
  });
});
