// What the tests take from a stream that QEMU saved of a Linux guest: the IOMMU's section, RAM, and where rings are.
// A plugin does not know other plugins, so the few bytes of framing that this needs are read here.
import type { SectionSample } from "@godwit/core";
import { readStream } from "@godwit/test-support/streams";
import { TestMemory } from "./support.ts";

export type Release = "7.2" | "10.0" | "10.0-retarget";

const files: Readonly<Record<Release, string>> = {
  "7.2": "q35-vtd-virtio-7.2.stream",
  "10.0": "q35-vtd-virtio-10.0.stream",
  "10.0-retarget": "q35-retarget-10.0.stream",
};

export interface RealStream {
  /** The body of the section "iommu-intel". */
  readonly section: Uint8Array;
  /** QEMU's own description of that section. */
  readonly vmdesc: NonNullable<SectionSample["vmdesc"]>;
  /** The guest's RAM, which lies at guest-physical 0. */
  readonly ram: TestMemory;
  /** The rings that are in use by a virtio device, by idstr. Addresses are the device's. */
  rings(idstr: string): { readonly avail: number; readonly used: number }[];
  /** The messages in remappable format in a PCI device's MSI-X table that are not masked. */
  messages(idstr: string): { readonly address: number; readonly data: number }[];
}

const streams = new Map<Release, RealStream>();

export function realStream(release: Release): RealStream {
  let stream = streams.get(release);
  if (stream === undefined) {
    stream = open(readStream(files[release]));
    streams.set(release, stream);
  }
  return stream;
}

function open(bytes: Uint8Array): RealStream {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { ram, end } = readRam(bytes, view);
  const bodyOf = (idstr: string) => find(bytes, `${String.fromCharCode(idstr.length)}${idstr}`, end) + 8;
  const at = bodyOf("iommu-intel");
  return {
    section: bytes.slice(at, at + 602),
    vmdesc: readVmdesc(bytes, view).devices.find(({ name }) => name === "iommu-intel") as RealStream["vmdesc"],
    ram,
    rings(idstr) {
      const queues = find(bytes, "virtio/virtqueues", bodyOf(idstr)) + 4;
      const rings = [];
      for (let i = 0; i < 1024; i++) {
        const [avail, used] = [view.getBigUint64(queues + 16 * i), view.getBigUint64(queues + 16 * i + 8)];
        if (avail !== 0n) rings.push({ avail: Number(avail), used: Number(used) });
      }
      return rings;
    },
    messages(idstr) {
      const messages = [];
      const at = bodyOf(idstr);
      for (let i = at; i < at + 1024; i++) {
        const [address, upper, data, masked] = [0, 4, 8, 12].map((offset) => view.getUint32(i + offset, true));
        const isMessage = ((address as number) & 0xfff0_0010) >>> 0 === 0xfee0_0010 && upper === 0 && masked === 0;
        if (isMessage) messages.push({ address: address as number, data: data as number });
      }
      return messages;
    },
  };
}

/** The place behind `text`. */
function find(bytes: Uint8Array, text: string, from: number): number {
  const wanted = Uint8Array.from(text, (character) => character.charCodeAt(0));
  for (let at = bytes.indexOf(wanted[0] as number, from); at >= 0; at = bytes.indexOf(wanted[0] as number, at + 1)) {
    if (wanted.every((byte, i) => bytes[at + i] === byte)) return at + wanted.length;
  }
  throw new Error(`the stream holds no ${JSON.stringify(text)}`);
}

function readVmdesc(bytes: Uint8Array, view: DataView): { devices: RealStream["vmdesc"][] } {
  for (let at = bytes.length - 7; at >= 0; at--) {
    if (bytes[at] !== 0 || bytes[at + 1] !== 6 || view.getUint32(at + 2) !== bytes.length - at - 6) continue;
    return JSON.parse(String.fromCharCode(...bytes.subarray(at + 6)));
  }
  throw new Error("the stream holds no vmdesc");
}

/** The block "pc.ram", from the stream's beginning to the END of its section "ram". */
function readRam(bytes: Uint8Array, view: DataView): { ram: TestMemory; end: number } {
  const ram = new TestMemory(96 * 1024 * 1024);
  let at = 9 + 4 + view.getUint32(9);
  const text = () => {
    const start = at + 1;
    at = start + (bytes[at] as number);
    return String.fromCharCode(...bytes.subarray(start, at));
  };
  let block = "";
  for (;;) {
    const type = bytes[at];
    if (type === 8) {
      at += 5 + view.getUint16(at + 3);
      continue;
    }
    at += 5;
    if (type === 1) {
      if (text() !== "ram") throw new Error("a START of something else than RAM");
      at += 8;
    } else if (type !== 2 && type !== 3) throw new Error(`a section of type ${type} before the END of RAM`);
    for (let flags = 0; flags !== 0x10; ) {
      const word = Number(view.getBigUint64(at));
      flags = word % 4096;
      const offset = word - flags;
      at += 8;
      if (flags === 0x04) {
        for (let left = offset; left > 0; at += 8) {
          text();
          left -= Number(view.getBigUint64(at));
        }
      } else if (flags !== 0x10) {
        if ((flags & 0x20) === 0) block = text();
        const size = (flags & 0x08) !== 0 ? 4096 : 1;
        const page = bytes.subarray(at, at + size);
        at += size;
        if (block === "pc.ram" && size === 1) ram.bytes.fill(page[0] as number, offset, offset + 4096);
        else if (block === "pc.ram") ram.bytes.set(page, offset);
      }
    }
    at += 5;
    if (type === 3) return { ram, end: at };
  }
}
