// Streams that are built load like real ones, real ones come back byte for byte, and every change is where it is said.
import { recordDecoder } from "@godwit/core";
import { StreamReader, type Vmdesc } from "@godwit/core/stream";
import { haveStreams, manifest, readStream } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import {
  buildStream,
  cutAt,
  flip,
  reorderSections,
  type StreamInit,
  sectionKeys,
  streamOf,
  type TestStream,
  withoutFooter,
  withoutSection,
  withoutVmdesc,
  withSection,
} from "../src/streams.ts";
import { codeOf, pic, saved, twoDevices, uart } from "./machine.ts";

const uartState = { count: 3, fifo: Uint8Array.of(1, 2, 3), divisor: 9, timeout: { ticks: 0 } };
const init: StreamInit = {
  machineType: "two-devices",
  sections: [
    { idstr: "timer", version: 2, body: new Uint8Array(24) },
    { idstr: "uart", description: uart, state: uartState },
    { idstr: "pic", instance: 1, description: pic, state: { pending: 0x01020304 } },
  ],
};

const load = async (bytes: Uint8Array) => {
  const target = twoDevices();
  const report = await target.kernel.load(bytes);
  return { ...target, report };
};

function vmdescOf(bytes: Uint8Array): Vmdesc | undefined {
  const reader = new StreamReader({ open: () => undefined, footerScan: true });
  const events = [...reader.push(bytes), ...reader.end()];
  return events.find((event) => event.type === "vmdesc")?.vmdesc;
}

const devicesIn = (stream: TestStream) =>
  vmdescOf(stream.bytes)?.devices.map((one) => `${one.name}/${one.instance_id}`);

describe("a stream that is built", () => {
  it("loads", async () => {
    const { uart: got, pic: other } = await load(buildStream(init).bytes);
    expect(got).toEqual(uartState);
    expect(other).toEqual({ pending: 0x01020304 });
  });

  it("is what a kernel writes of the same machine, but for its manifest", async () => {
    const devices = twoDevices();
    const real = streamOf(await saved(devices.kernel));
    const built = buildStream({
      machineType: "two-devices",
      sections: [
        { idstr: "timer", version: 2, body: new Uint8Array(24) },
        { idstr: "uart", description: uart, state: devices.uart },
        { idstr: "pic", instance: 1, description: pic, state: devices.pic },
      ],
    });
    const withoutIds = (stream: TestStream) =>
      stream.parts.body.map((part) => (part.type === "raw" ? part : { ...part, sectionId: 0, device: undefined }));
    expect(withoutIds(built)).toEqual(withoutIds(real));
    expect(built.parts.configuration).toEqual(real.parts.configuration);
    expect(vmdescOf(built.bytes)?.devices.slice(1)).toEqual(vmdescOf(real.bytes)?.devices.slice(1));
  });

  it("says where everything lies, without gaps", () => {
    const { bytes, elements } = buildStream(init);
    let at = 0;
    for (const element of elements) {
      expect(element.offset).toBe(at);
      at += element.bytes;
    }
    expect(at).toBe(bytes.length);
    const last = elements.find(({ section }) => section?.idstr === "pic");
    const offset = last?.bodyOffset ?? 0;
    expect([...bytes.subarray(offset, offset + 4)]).toEqual([1, 2, 3, 4]);
    expect(bytes[offset + 4]).toBe(0x7e);
    expect(elements.map(({ type }) => type)).toEqual([
      ...["header", "configuration", "section", "section", "section", "eof", "vmdesc"],
    ]);
  });

  it("has the phases of an iterable under one id, and no footers where none are wanted", () => {
    const body = Uint8Array.of(1);
    const { parts, bytes } = buildStream({
      footers: false,
      vmdesc: false,
      sections: [
        { idstr: "x", sectionId: 7, body },
        { idstr: "ram", phase: "start", body },
        { idstr: "y", body },
        { idstr: "ram", phase: "part", body },
        { idstr: "ram", phase: "end", body, footer: true },
      ],
    });
    const ids = parts.body.map((part) => (part.type === "section" ? part.sectionId : -1));
    expect(ids).toEqual([7, 8, 9, 8, 8]);
    expect([...bytes.subarray(-17)]).toEqual([2, 0, 0, 0, 8, 1, 3, 0, 0, 0, 8, 1, 0x7e, 0, 0, 0, 8, 0].slice(1));
  });
});

describe("a stream that is taken apart", () => {
  it("is written again as it was, with footers, without, and with commands", () => {
    for (const footers of [true, false]) {
      const built = buildStream({ ...init, footers });
      const open = ({ idstr }: { idstr: string }) => {
        const described = { uart, pic }[idstr];
        return described && recordDecoder(described, described.version);
      };
      const again = streamOf(built.bytes, { footers, open });
      expect(again.bytes).toEqual(built.bytes);
      expect(again.elements.map(({ offset }) => offset)).toEqual(built.elements.map(({ offset }) => offset));
    }
    const ping = Uint8Array.of(8, 0, 2, 0, 4, 1, 2, 3, 4);
    const built = buildStream(init);
    const at = built.elements.find(({ type }) => type === "section")?.offset ?? 0;
    const bytes = Uint8Array.from([...built.bytes.subarray(0, at), ...ping, ...built.bytes.subarray(at)]);
    const again = streamOf(bytes);
    expect(again.bytes).toEqual(bytes);
    expect(again.parts.body[0]).toEqual({ type: "raw", bytes: ping });
  });
});

describe("a stream that is changed", () => {
  const stream = buildStream(init);

  it("is cut where it is said, and then is truncated", async () => {
    for (const { type, offset, bytes } of stream.elements) {
      if (type === "eof" || type === "vmdesc") continue;
      const cut = cutAt(stream, offset + bytes - 1);
      expect(cut).toEqual(stream.bytes.subarray(0, offset + bytes - 1));
      expect(await codeOf(() => load(cut))).toBe("STREAM_TRUNCATED");
    }
    expect(() => cutAt(stream, stream.bytes.length + 1)).toThrow(RangeError);
  });

  it("has one bit turned over", () => {
    const changed = flip(stream, 11, 6);
    const differs = [...changed.entries()].filter(([i, byte]) => byte !== stream.bytes[i]);
    expect(differs).toEqual([[11, (stream.bytes[11] as number) ^ 0x40]]);
    expect(() => flip(stream, 0, 8)).toThrow(RangeError);
  });

  it("has its sections in another order, its vmdesc as well, and loads", async () => {
    const changed = reorderSections(stream, ["pic/1", "timer/0", "uart/0"]);
    expect(sectionKeys(changed)).toEqual(["pic/1", "timer/0", "uart/0"]);
    expect(devicesIn(changed)).toEqual(["pic/1", "timer/0", "uart/0"]);
    const { uart: got, report } = await load(changed.bytes);
    expect(got).toEqual(uartState);
    expect(report.sections.map(({ idstr }) => idstr)).toEqual(["pic", "timer", "uart"]);
    expect(() => reorderSections(stream, ["pic/1", "uart/0"])).toThrow(RangeError);
  });

  it("lacks a section, or has one more, and its vmdesc with it", async () => {
    const without = withoutSection(stream, "pic/1");
    expect([sectionKeys(without), devicesIn(without)]).toEqual([
      ["timer/0", "uart/0"],
      ["timer/0", "uart/0"],
    ]);
    expect(await codeOf(() => load(without.bytes))).toBe("SECTION_MISSING");
    const again = withSection(without, { idstr: "pic", instance: 1, description: pic, state: { pending: 8 } });
    expect((await load(again.bytes)).pic).toEqual({ pending: 8 });
    const strange = withSection(stream, { idstr: "strange", body: new Uint8Array(3) }, { before: "uart/0" });
    expect(devicesIn(strange)).toEqual(["timer/0", "strange/0", "uart/0", "pic/1"]);
    expect(await codeOf(() => load(strange.bytes))).toBe("SECTION_UNKNOWN");
    expect(() => withoutSection(stream, "pic/0")).toThrow(RangeError);
  });

  it("lacks a footer, or its description", async () => {
    const without = withoutFooter(stream, "uart/0");
    expect(without.bytes.length).toBe(stream.bytes.length - 5);
    expect(await codeOf(() => load(without.bytes))).toBe("FOOTER_MISSING");
    const bare = withoutVmdesc(stream);
    expect(vmdescOf(bare.bytes)).toBeUndefined();
    expect((await load(bare.bytes)).pic).toEqual({ pending: 0x01020304 });
  });

  it("leaves the one that it was made of as it was", () => {
    expect(stream.bytes).toEqual(buildStream(init).bytes);
  });
});

/** Those of which a test can afford to take every one apart. Bytes. */
const smallBytes = 400_000;

describe.skipIf(!haveStreams())("real streams", () => {
  it("come back byte for byte up to their description, which says the same", { timeout: 240_000 }, () => {
    const small = manifest()
      .flatMap(({ files }) => files)
      .filter(({ bytes, stream }) => bytes < smallBytes && stream !== undefined);
    expect(small.length).toBeGreaterThan(5);
    for (const { raw } of small) {
      const bytes = readStream(raw);
      const again = streamOf(bytes, { footerScan: true });
      const eof = again.elements.find(({ type }) => type === "eof")?.offset ?? 0;
      expect(Buffer.compare(again.bytes.subarray(0, eof), bytes.subarray(0, eof)), raw).toBe(0);
      expect(vmdescOf(again.bytes), raw).toEqual(vmdescOf(bytes));
    }
  });
});
