// A machine of ours around one device of a stream that QEMU saved: its memory and its IOMMU are the guest's, and the
// device under test is given the section as it was on the wire.
import { createKernel, decodeState, type Kernel, type Plugin, type SectionSample, virtualClock } from "@godwit/core";
import { type Configuration, findVmdesc, type SectionRead, StreamReader } from "@godwit/core/stream";
import { optionsFor, vtd, vtdIommu } from "@godwit/iommu-vtd";
import {
  barrierTracker,
  type Dma,
  directDma,
  type RamPhase,
  type RamSection,
  ram,
  ramBlock,
  ramWalker,
} from "@godwit/ram-dirty-tracker";
import type { VirtioPciOffer } from "@godwit/virtio-pci";
import type { Wiring } from "./pci-machine.ts";
import { sectionOf } from "./pci-machine.ts";

/** A stream with all its sections but those of RAM, the clock, the IOMMU and one device cut out. */
export interface CutStream {
  readonly configuration: Configuration;
  readonly bytes: Uint8Array;
  /** Length of each block. */
  readonly blocks: ReadonlyMap<string, number>;
  readonly section: SectionSample;
  /** Undefined: the machine has no IOMMU. */
  readonly iommu: Uint8Array | undefined;
}

/** Sections that every machine of ours has. */
const kernelsOwn: ReadonlySet<string> = new Set(["ram", "timer"]);
const iommuIdstr = "iommu-intel";
const vmdescTailBytes = 1 << 20;

/** `idstr` is the device's. The parts that stay are the stream's own bytes. */
export function cutStream(stream: Uint8Array, idstr: string): CutStream {
  const blocks = new Map<string, number>();
  const walker = ramWalker({ onBlock: ({ idstr: block, length }) => blocks.set(block, length) });
  const reader = new StreamReader({
    vmdesc: findVmdesc(stream.subarray(-vmdescTailBytes))?.vmdesc,
    footerScan: true,
    open: (head, phase, previous) =>
      head.idstr === "ram" ? walker.decoder(phase as RamPhase, previous as RamSection | undefined) : undefined,
  });
  let configuration: Configuration | undefined;
  let end = 0;
  const kept: Uint8Array[] = [];
  const found = new Map<string, SectionRead>();
  /** From the end of what was cut out before. */
  let from = 0;
  for (const event of [...reader.push(stream), ...reader.end()]) {
    if (event.type === "configuration") configuration = event.configuration;
    if (event.type === "eof") end = event.offset;
    if (event.type !== "section") continue;
    const { head, offset, bytes } = event;
    if (head.idstr === idstr || head.idstr === iommuIdstr) found.set(head.idstr, event);
    else if (!kernelsOwn.has(head.idstr)) {
      kept.push(stream.subarray(from, offset));
      from = offset + bytes;
    }
  }
  kept.push(stream.subarray(from, end + 1));
  const section = found.get(idstr);
  if (configuration === undefined || section === undefined) throw new Error(`there is no section ${idstr}`);
  const { instance, version } = section.head;
  return {
    configuration,
    bytes: joined(kept),
    blocks,
    section: { idstr, instance, version, bytes: section.value as Uint8Array },
    iommu: found.get(iommuIdstr)?.value as Uint8Array | undefined,
  };
}

export interface QemuMachine<Offer> {
  readonly kernel: Kernel;
  readonly offer: Offer;
  /** As the device sees it, by the guest's own tables. */
  readonly dma: Dma;
  /** Messages that the function has sent: address and data. */
  readonly messages: (readonly [address: number, data: number])[];
  /** The device's section as it is saved now. */
  section(): Promise<Uint8Array>;
}

/**
 * The machine, with the stream loaded; it does not run yet. The main memory is the largest block, at address 0. With
 * `bypass` the device has no part in the IOMMU, and its addresses are the memory's own.
 */
export async function qemuMachine<Offer extends VirtioPciOffer>(
  cut: CutStream,
  slot: string,
  plugin: (wiring: Wiring) => Plugin<Offer>,
  { bypass = false }: { readonly bypass?: boolean } = {},
): Promise<QemuMachine<Offer>> {
  let time = 0n;
  const kernel = createKernel({
    machineType: cut.configuration.machineType,
    machine: { pause() {}, resume() {}, reset: () => offer.reset() },
    clock: virtualClock(() => time++),
  });
  const main = [...cut.blocks].sort(([, a], [, b]) => b - a)[0]?.[0];
  const blocks = [...cut.blocks].map(([idstr, length]) => {
    let memory = new Uint8Array(length);
    return ramBlock({
      idstr,
      bytes: () => memory,
      adopt: (bytes) => {
        memory = bytes as typeof memory;
      },
      tracker: barrierTracker(length),
      ...(idstr === main ? { map: [{ gpa: 0, offset: 0, length }] } : {}),
    });
  });
  const memory = kernel.use(ram({ blocks }));
  const iommu =
    cut.iommu === undefined ? undefined : kernel.use(vtdIommu({ memory, ...optionsFor(decodeState(vtd, cut.iommu)) }));
  const dma = iommu === undefined || bypass ? directDma(memory) : iommu.dmaFor(slot);
  const messages: (readonly [number, number])[] = [];
  const offer: Offer = kernel.use(plugin({ dma, signalMsi: (address, data) => messages.push([address, data]) }));
  await kernel.load(cut.bytes);
  return {
    kernel,
    offer,
    dma,
    messages,
    async section() {
      const chunks: Uint8Array[] = [];
      for await (const chunk of kernel.save()) chunks.push(chunk.slice());
      return sectionOf(joined(chunks), cut.section.idstr).bytes;
    },
  };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
