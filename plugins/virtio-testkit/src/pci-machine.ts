// A machine of the real parts, without a CPU: kernel, RAM, one virtio PCI function; and a driver's way to it through
// configuration space and BARs.
import { createKernel, type Kernel, type Plugin, type SectionSample, virtualClock } from "@godwit/core";
import { findVmdesc, StreamReader } from "@godwit/core/stream";
import { type Dma, type RamPhase, type RamSection, ramWalker } from "@godwit/ram-dirty-tracker";
import type { VirtioPciOffer } from "@godwit/virtio-pci";
import type { Bench } from "./guest.ts";
import { legacyRegisters } from "./legacy-registers.ts";
import { testRam } from "./test-ram.ts";

/** What the plugin under test is given by the machine. */
export interface Wiring {
  readonly dma: Dma;
  readonly signalMsi: (address: number, data: number) => void;
  readonly setIntx?: (level: boolean) => void;
}

export interface PciMachine<Offer> extends Bench {
  readonly kernel: Kernel;
  readonly offer: Offer;
  /** Data of the messages that the function has sent, in order. */
  readonly messages: number[];
  /** Levels of the interrupt line, in order. */
  readonly lines: boolean[];
  save(): Promise<Uint8Array>;
}

export interface PciMachineOptions {
  readonly legacy?: boolean;
  readonly msix?: boolean;
  readonly bigEndian?: boolean;
}

/** Where messages go. */
export const messageAddress = 0xfee0_0000;

/** What a machine is made of beside its kernel. */
export type PciParts<Offer> = Pick<PciMachine<Offer>, "offer" | "messages" | "lines" | "ram">;

/** RAM and a function; `use` takes the plugin in. Nothing is programmed. */
export function pciParts<Offer extends VirtioPciOffer>(
  kernel: Kernel,
  plugin: (wiring: Wiring) => Plugin<Offer>,
  use: (plugin: Plugin<Offer>) => Offer = (one) => kernel.use(one),
): PciParts<Offer> {
  const lines: boolean[] = [];
  const messages: number[] = [];
  const { ram: memory, dma } = testRam(kernel);
  const offer = use(
    plugin({
      dma,
      setIntx: (level) => lines.push(level),
      signalMsi: (address, data) => {
        if (address !== messageAddress) throw new Error(`a message to 0x${address.toString(16)}`);
        messages.push(data);
      },
    }),
  );
  return { offer, messages, lines, ram: memory };
}

/** With `legacy` its driver uses the ports of BAR 0 and, as some do, no MSI-X; with `bigEndian` its rings are so. */
export function pciMachine<Offer extends VirtioPciOffer>(
  plugin: (wiring: Wiring) => Plugin<Offer>,
  { legacy = false, msix = true, bigEndian = false }: PciMachineOptions = {},
): PciMachine<Offer> {
  let time = 0n;
  const kernel = createKernel({
    machineType: "virtio-test",
    machine: { pause() {}, resume() {}, reset: () => parts.offer.reset() },
    clock: virtualClock(() => time++),
  });
  const parts = pciParts(kernel, plugin);
  kernel.resume();
  return {
    ...parts,
    kernel,
    legacy,
    bigEndian,
    device: legacy ? legacyRegisters(parts.offer.function, msix) : pciRegisters(parts.offer),
    async save() {
      const chunks: Uint8Array[] = [];
      for await (const chunk of kernel.save()) chunks.push(chunk);
      return Uint8Array.from(chunks.flatMap((chunk) => [...chunk]));
    },
  };
}

/** The driver's side of virtio 1.2, section 4.1: every access is one of configuration space or a BAR. */
export function pciRegisters(offer: VirtioPciOffer): Bench["device"] {
  const { function: pci } = offer;
  const find = (id: number, type?: number): number => {
    for (let at = pci.configRead(0x34, 1); at !== 0; at = pci.configRead(at + 1, 1)) {
      if (pci.configRead(at, 1) === id && (type === undefined || pci.configRead(at + 3, 1) === type)) return at;
    }
    throw new Error(`no capability ${id}/${type}`);
  };
  const barOf = (index: number) => {
    const bar = pci.bars.find((one) => one.index === index);
    if (bar === undefined) throw new Error(`no BAR ${index}`);
    return bar;
  };
  const structure = (type: number) => {
    const at = find(9, type);
    const [bar, base] = [barOf(pci.configRead(at + 4, 1)), pci.configRead(at + 8, 4)];
    return {
      at,
      read: (offset: number, size: number) => bar.read(base + offset, size),
      write: (offset: number, size: number, value: number) => bar.write(base + offset, size, value),
    };
  };
  const [common, notify] = [structure(1), structure(2)];
  const halves = (value: bigint): [number, number] => [Number(value & 0xffff_ffffn), Number(value >> 32n)];

  // Memory and bus mastering on; one message for each vector, which is its number.
  pci.configWrite(4, 2, 6);
  const msix = find(0x11);
  pci.configWrite(msix + 2, 2, pci.configRead(msix + 2, 2) | 0x8000);
  const table = pci.configRead(msix + 4, 4);
  const vectors = (pci.configRead(msix + 2, 2) & 0x7ff) + 1;
  for (let i = 0; i < vectors; i++) {
    const words = [messageAddress, 0, i, 0];
    words.forEach((word, k) => {
      barOf(table & 7).write((table & ~7) + 16 * i + 4 * k, 4, word);
    });
  }
  common.write(0x10, 2, 0);
  const select = (index: number): void => common.write(0x16, 2, index);
  return {
    get hostFeatures() {
      return [0, 1].reduce((sum, word) => {
        common.write(0x00, 4, word);
        return sum | (BigInt(common.read(0x04, 4)) << BigInt(32 * word));
      }, 0n);
    },
    get queues() {
      return Array.from({ length: common.read(0x12, 2) }, (_, index) => {
        select(index);
        return { index, size: common.read(0x18, 2) };
      });
    },
    setFeatures(features) {
      halves(features).forEach((half, word) => {
        common.write(0x08, 4, word);
        common.write(0x0c, 4, half);
      });
      return true;
    },
    setStatus(status) {
      common.write(0x14, 1, status);
      if (common.read(0x14, 1) !== status) throw new Error(`status ${status} was refused`);
    },
    setRings(index, ...rings) {
      select(index);
      common.write(0x1a, 2, index + 1);
      rings.forEach((address, i) => {
        const [low, high] = halves(address);
        common.write(0x20 + 8 * i, 4, low);
        common.write(0x24 + 8 * i, 4, high);
      });
      common.write(0x1c, 2, 1);
    },
    kick(index) {
      select(index);
      notify.write(common.read(0x1e, 2) * pci.configRead(notify.at + 16, 4), 2, index);
    },
  };
}

/** A section of a stream, delimited by the stream's own description. */
export function sectionOf(stream: Uint8Array, idstr: string): SectionSample {
  const walker = ramWalker();
  const reader = new StreamReader({
    vmdesc: findVmdesc(stream)?.vmdesc,
    open: (head, phase, previous) =>
      head.idstr === "ram" ? walker.decoder(phase as RamPhase, previous as RamSection | undefined) : undefined,
  });
  for (const event of [...reader.push(stream), ...reader.end()]) {
    if (event.type !== "section" || event.head.idstr !== idstr) continue;
    const { instance, version } = event.head;
    return { idstr, instance, version, bytes: event.value as Uint8Array };
  }
  throw new Error(`no section ${idstr}`);
}
