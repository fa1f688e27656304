// A guest out of a stream that QEMU saved: its memory, its IOMMU, the sections of its devices, and their rings.
import { recordDecoder, type SectionSample, toState } from "@godwit/core";
import { findVmdesc, StreamReader } from "@godwit/core/stream";
import { type Translator, translator, type VtdState, vtd } from "@godwit/iommu-vtd";
import { type RamPhase, type RamSection, ramWalker } from "@godwit/ram-dirty-tracker";
import {
  type AnyVirtioState,
  type DmaReader,
  type RingAddresses,
  type RingContent,
  readRing,
  ringOf,
  ringRules,
} from "@godwit/virtio-core";

export interface QemuGuest {
  readonly vtd: VtdState;
  /** Through the guest's own tables, in the memory that migrated. */
  readonly translator: Translator;
  section(idstr: string): SectionSample;
  /** What a device sees of memory. With translation off, as a unit that is off does it. */
  memoryOf(bdf: string, by?: Translator): DmaReader;
  /** The same memory behind a unit of another state. */
  translatorOf(state: VtdState): Translator;
}

const pageBytes = 4096;
// The longest description of these streams has 60 kB.
const vmdescTailBytes = 1 << 20;

/** Guests of up to 2 GiB, whose `pc.ram` stands at guest-physical 0. */
export function qemuGuest(bytes: Uint8Array): QemuGuest {
  let ram = new Uint8Array(0);
  const walker = ramWalker({
    onBlock: ({ idstr, length }) => {
      if (idstr === "pc.ram") ram = new Uint8Array(length);
    },
    page: (block, offset, content) => {
      if (block.idstr === "pc.ram") ram.set(content, offset);
    },
    onRecord: (record) => {
      if (record.kind === "zero" && record.block.idstr === "pc.ram") {
        ram.fill(record.fill, record.offset, record.offset + pageBytes);
      }
    },
  });
  const reader = new StreamReader({
    vmdesc: findVmdesc(bytes.subarray(-vmdescTailBytes))?.vmdesc,
    open: ({ idstr, version }, phase, previous) => {
      if (idstr === "ram") return walker.decoder(phase as RamPhase, previous as RamSection | undefined);
      return idstr === vtd.name ? recordDecoder(vtd, version) : undefined;
    },
  });
  const sections = new Map(
    [...reader.push(bytes), ...reader.end()].flatMap((event) =>
      event.type === "section" ? [[event.head.idstr, event] as const] : [],
    ),
  );
  const found = (idstr: string) => {
    const section = sections.get(idstr);
    if (section === undefined) throw new Error(`there is no section ${idstr}`);
    return section;
  };
  const memory = {
    read(gpa: number, length: number): Uint8Array {
      if (gpa + length > ram.length) throw new RangeError(`0x${gpa.toString(16)} is no RAM`);
      return ram.subarray(gpa, gpa + length);
    },
  };
  const state = toState(vtd, found(vtd.name).value as Record<string, unknown>);
  const own = translator(state, memory);
  return {
    vtd: state,
    translator: own,
    section(idstr) {
      const { head, value } = found(idstr);
      return { idstr, instance: head.instance, version: head.version, bytes: value as Uint8Array };
    },
    memoryOf: (bdf, by = own) => ({
      read(address, length) {
        const copy = new Uint8Array(length);
        for (let done = 0; done < length; ) {
          const at = address + done;
          const { gpa } = by.translate(bdf, at, false);
          const size = Math.min(length - done, pageBytes - (at % pageBytes));
          copy.set(memory.read(gpa, size), done);
          done += size;
        }
        return copy;
      },
    }),
    translatorOf: (other) => translator(other, memory),
  };
}

/** One virtqueue: what the device said of it, and what stands in the guest's memory. */
export interface Queue {
  readonly ring: RingAddresses;
  readonly content: RingContent;
  /** The device's `last_avail_idx`. */
  readonly last: number;
}

export function queuesOf(state: AnyVirtioState, memory: DmaReader): Queue[] {
  return state.vqs.map(({ last_avail_idx: last }, index) => {
    const ring = ringOf(state, index);
    if (ring === undefined) throw new Error(`queue ${index} is not set up`);
    return { ring, last, content: readRing(memory, ring, ringRules(state)) };
  });
}

export const descriptorFlag = { write: 2, indirect: 4 } as const;

export function descriptor(memory: DmaReader, { desc }: RingAddresses, index: number) {
  const bytes = memory.read(Number(desc) + 16 * index, 16);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return {
    address: Number(view.getBigUint64(0, true)),
    length: view.getUint32(8, true),
    flags: view.getUint16(12, true),
  };
}

/** Device addresses of all parts of the rings. */
export function ringAddresses(queues: readonly Queue[]): number[] {
  return queues.flatMap(({ ring: { desc, avail, used } }) => [desc, avail, used].map(Number));
}
