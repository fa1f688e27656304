// The reference machine, assembled: RAM, one hart, interrupt controller, timer, VT-d, and PCI with a disk and a network
// card that reach memory through it. Whoever assembles hands instances to each other; plugins never look for them.
import { createKernel, type Dependency, type Kernel, timerQueue, virtualClock } from "@godwit/core";
import { vtdIommu } from "@godwit/iommu-vtd";
import { barrierTracker, type RamStatistics, ram, ramBlock } from "@godwit/ram-dirty-tracker";
import type { BlockBackend } from "@godwit/virtio-blk";
import { virtioBlkPci } from "@godwit/virtio-blk/pci";
import { virtioNetPci } from "@godwit/virtio-net/pci";
import { type BootParameters, writeBootBlock } from "../guest/boot-block.ts";
import { guestImage } from "../guest/load-image.ts";
import { Hart } from "../hart/hart.ts";
import { BOOT_BLOCK_OFFSET, INTERRUPT_BASE, INTERRUPT_DOORBELL, RAM_BASE } from "../memory-map.ts";
import { consoleRegion } from "./console.ts";
import { checkHart, hartDescription } from "./hart-device.ts";
import { InterruptController, interruptControllerDescription } from "./interrupt-controller.ts";
import { PciBus } from "./pci-bus.ts";
import { Runner } from "./runner.ts";
import { systemBus } from "./system-bus.ts";
import { Timer, timerDescription } from "./timer.ts";

const machineType = "godwit-reference-1.0";
const diskSlot = "00:02.0";
const networkSlot = "00:03.0";
/** The network card's address; packets are checked against it. */
export const macAddress: Uint8Array = Uint8Array.of(0x52, 0x54, 0x00, 0x67, 0x64, 0x77);

export interface ReferenceMachineOptions {
  /** Whole 4 KiB pages. */
  readonly memoryBytes: number;
  readonly disk: BlockBackend;
  /** Takes a frame that the guest sent; its bytes are the receiver's own. */
  readonly send: (frame: Uint8Array) => void;
  /** Monotonic host time, nanoseconds. */
  readonly hostNow: () => bigint;
  readonly onConsoleLine?: (line: string) => void;
  /** The machine met an error of its own and stands. */
  readonly onFailure?: (error: unknown) => void;
  /**
   * Checks and loads the IOMMU after the PCI devices behind it. That is the wrong way round as soon as the guest has
   * switched translation on: the devices' checks then meet addresses that do not translate.
   */
  readonly iommuLast?: boolean;
}

export interface ReferenceMachine {
  readonly kernel: Kernel;
  /** Puts the guest and its parameters into RAM and resets the hart. A destination does not boot. */
  boot(parameters: BootParameters): void;
  /** RAM as it is now; a migration replaces it. */
  ram(): Uint8Array;
  ramStatistics(): RamStatistics;
  /** Instructions executed here. */
  steps(): number;
}

export function referenceMachine(options: ReferenceMachineOptions): ReferenceMachine {
  const { iommuLast = false } = options;
  const clock = virtualClock(options.hostNow);
  const timers = timerQueue(clock);
  const pci = new PciBus();
  const hart: Hart = new Hart({
    hartId: 0,
    bus: systemBus({
      timer: { read: (offset) => timer.read(offset), write: (offset, _size, value) => timer.write(offset, value) },
      interruptController: {
        read: (offset) => irqchip.read(offset),
        write: (offset, _size, value) => irqchip.write(offset, value),
      },
      console: consoleRegion(options.onConsoleLine ?? (() => {})),
      vtd: always(iommuRegisters()),
      pciWindow: always({
        read: (offset, size) => pci.memoryRead(offset, size),
        write: (offset, size, value) => pci.memoryWrite(offset, size, value),
      }),
      ecam: always({
        read: (offset, size) => pci.configRead(offset, size),
        write: (offset, size, value) => pci.configWrite(offset, size, value),
      }),
    }),
  });
  const timer = new Timer(timers, (level) => hart.setInterruptLine("timer", level));
  const runner = new Runner(hart, timers, (error) => {
    clock.stop();
    if (options.onFailure === undefined) throw error;
    options.onFailure(error);
  });
  const irqchip = new InterruptController((level) => {
    hart.setInterruptLine("external", level);
    if (level) runner.wake();
  });
  const signalMsi = (address: number, data: number): void => {
    if (address === INTERRUPT_BASE + INTERRUPT_DOORBELL) irqchip.raise(data);
  };

  const kernel = createKernel({
    machineType,
    clock,
    machine: {
      pause: () => runner.stop(),
      resume: () => runner.start(),
      reset: () => {
        for (const part of [disk, network, iommu, irqchip, timer]) part.reset();
        hart.reset(RAM_BASE, 0, RAM_BASE + BOOT_BLOCK_OFFSET);
      },
      throttle: (fraction) => runner.throttle(fraction),
      holdInterrupts: (held) => irqchip.hold(held),
    },
  });

  let bytes = new Uint8Array(options.memoryBytes);
  const tracker = barrierTracker(options.memoryBytes);
  const attachRam = (fresh: Uint8Array): void => {
    bytes = fresh as Uint8Array<ArrayBuffer>;
    hart.attachRam(RAM_BASE, fresh, tracker.words);
  };
  attachRam(bytes);
  const memory = kernel.use(
    ram({
      blocks: [
        ramBlock({
          idstr: "reference.ram",
          bytes: () => bytes,
          adopt: attachRam,
          tracker,
          map: [{ gpa: RAM_BASE, offset: 0, length: options.memoryBytes }],
        }),
      ],
    }),
  );

  // The only difference between the right order and the wrong one: who says that it comes after whom.
  const behindIommu: Dependency[] = [`0000:${diskSlot}/virtio-blk`, `0000:${networkSlot}/virtio-net`];
  const iommu = kernel.use(vtdIommu({ memory, signalMsi, ...(iommuLast ? { after: behindIommu } : {}) }));
  const dmaFor = (slot: string) => iommu.dmaFor(slot, { ordered: !iommuLast });

  kernel.device(hartDescription, {
    after: memory.after,
    save: () => hart.save(),
    check: checkHart,
    load: (state) => hart.load(state),
  });
  kernel.device(interruptControllerDescription, { save: () => irqchip.save(), load: (state) => irqchip.load(state) });
  kernel.device(timerDescription, { save: () => timer.save(), load: (state) => timer.load(state) });
  const disk = kernel.use(
    virtioBlkPci({ slot: diskSlot, dma: dmaFor(diskSlot), signalMsi, backend: options.disk, serial: "godwit-disk" }),
  );
  const network = kernel.use(
    virtioNetPci({ slot: networkSlot, dma: dmaFor(networkSlot), signalMsi, mac: macAddress, send: options.send }),
  );
  pci.add(disk.function);
  pci.add(network.function);

  // The hart's bus is made before what answers on it.
  function iommuRegisters() {
    return {
      read: (offset: number, size: number) => iommu.mmio.read(offset, size),
      write: (offset: number, size: number, value: number) => iommu.mmio.write(offset, size, value),
    };
  }

  return {
    kernel,
    boot(parameters) {
      bytes.set(guestImage());
      writeBootBlock(bytes, parameters);
      kernel.machine.reset();
    },
    ram: () => bytes,
    ramStatistics: () => memory.statistics(),
    steps: () => runner.steps,
  };
}

/** A region where every write is taken. */
function always(region: {
  read(offset: number, size: number): number;
  write(offset: number, size: number, value: number): void;
}) {
  return {
    read: (offset: number, size: number) => region.read(offset, size),
    write(offset: number, size: number, value: number) {
      region.write(offset, size, value);
      return true;
    },
  };
}
