// A machine of ours around one channel-attached device of a stream that QEMU saved: its memory is the guest's, and the
// device under test is given the section as it was on the wire.
import { createKernel, type Kernel, type Plugin, virtualClock } from "@godwit/core";
import { barrierTracker, type Dma, directDma, ram, ramBlock } from "@godwit/ram-dirty-tracker";
import type { VirtioCcwOffer } from "@godwit/virtio-ccw";
import type { CcwWiring } from "./ccw-machine.ts";
import { sectionOf } from "./pci-machine.ts";
import type { CutStream } from "./qemu-machine.ts";

export interface QemuCcwMachine<Offer> {
  readonly kernel: Kernel;
  readonly offer: Offer;
  /** Guest-physical memory. */
  readonly dma: Dma;
  /** Subclasses of adapter interruptions, in order. */
  readonly adapterInterrupts: number[];
  /** Numbers of subchannels that asked for an interruption, in order. */
  readonly ioInterrupts: number[];
  /** The device's section as it is saved now. */
  section(): Promise<Uint8Array>;
}

/** The machine, with the stream loaded; it does not run yet. The main memory is the largest block, at address 0. */
export async function qemuCcwMachine<Offer extends VirtioCcwOffer>(
  cut: CutStream,
  plugin: (wiring: CcwWiring) => Plugin<Offer>,
): Promise<QemuCcwMachine<Offer>> {
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
  const dma = directDma(kernel.use(ram({ blocks })));
  const adapterInterrupts: number[] = [];
  const ioInterrupts: number[] = [];
  const offer: Offer = kernel.use(
    plugin({
      dma,
      ioInterrupt: ({ schid }) => ioInterrupts.push(schid),
      adapterInterrupt: (isc) => adapterInterrupts.push(isc),
    }),
  );
  await kernel.load(cut.bytes);
  return {
    kernel,
    offer,
    dma,
    adapterInterrupts,
    ioInterrupts,
    async section() {
      const chunks: Uint8Array[] = [];
      for await (const chunk of kernel.save()) chunks.push(chunk.slice());
      const bytes = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
      let at = 0;
      for (const chunk of chunks) {
        bytes.set(chunk, at);
        at += chunk.length;
      }
      return sectionOf(bytes, cut.section.idstr).bytes;
    },
  };
}
