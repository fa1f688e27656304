// The reference machine, assembled: RAM, one hart, interrupt controller, timer, VT-d, and PCI with a disk and a network
// card that reach memory through it. Whoever assembles hands instances to each other; plugins never look for them.
import { createKernel, type Kernel, virtualClock } from "@godwit/core";
import { vtdIommu } from "@godwit/iommu-vtd";
import { barrierTracker, type RamStatistics, ram, ramBlock } from "@godwit/ram-dirty-tracker";
import { type BlockBackend, virtioBlkPci } from "@godwit/virtio-blk";
import { virtioNetPci } from "@godwit/virtio-net";
import { guestImage } from "../guest/image.ts";
import { Hart } from "../hart/hart.ts";
import {
  BOOT_BLOCK_BLOCKS_PER_SECOND,
  BOOT_BLOCK_BYTES,
  BOOT_BLOCK_DIRTY_PAGES_PER_SECOND,
  BOOT_BLOCK_MAGIC,
  BOOT_BLOCK_MAX_BLOCKS,
  BOOT_BLOCK_OFFSET,
  BOOT_BLOCK_RAM_BYTES,
  BOOT_BLOCK_SEED,
  BOOT_BLOCK_USE_IOMMU,
  BOOT_MAGIC,
  INTERRUPT_BASE,
  INTERRUPT_DOORBELL,
  RAM_BASE,
} from "../memory-map.ts";
import { checkHart, hartDescription } from "./hart-device.ts";
import { InterruptController, interruptControllerDescription } from "./interrupt-controller.ts";
import { PciBus } from "./pci-bus.ts";
import { Runner } from "./runner.ts";
import { systemBus } from "./system-bus.ts";
import { Timer, timerDescription } from "./timer.ts";

export const machineType = "godwit-reference-1.0";
export const diskSlot = "00:02.0";
export const networkSlot = "00:03.0";

export interface ReferenceMachineOptions {
  /** Whole 4 KiB pages. */
  readonly memoryBytes: number;
  readonly disk: BlockBackend;
  /** Takes a frame that the guest sent. */
  readonly send: (frame: Uint8Array) => void;
  /** Monotonic host time, nanoseconds. */
  readonly hostNow: () => bigint;
  readonly console?: (text: string) => void;
  readonly onFailure?: (error: unknown) => void;
  /**
   * Applies the IOMMU's state after the PCI devices', which is wrong as soon as the guest has switched it on: the
   * devices' checks then see addresses that do not translate.
   */
  readonly iommuLast?: boolean;
}

/** What the guest is told at boot. */
export interface GuestOptions {
  readonly seed: number;
  readonly dirtyPagesPerSecond: number;
  readonly blocksPerSecond: number;
  readonly useIommu: boolean;
  /** 0: endless. */
  readonly maxBlocks?: number;
}

export interface ReferenceMachine {
  readonly kernel: Kernel;
  /** Puts the guest's image and its parameters into RAM. A destination does not boot. */
  boot(guest: GuestOptions): void;
  /** RAM as it is now; a migration replaces it. */
  ram(): Uint8Array;
  ramStatistics(): RamStatistics;
  /** Instructions executed here. */
  steps(): number;
}

export function referenceMachine(options: ReferenceMachineOptions): ReferenceMachine {
  const ramBytes = new Uint8Array(options.memoryBytes);
  const clock = virtualClock(options.hostNow);
  const tracker = barrierTracker(options.memoryBytes);
  const pci = new PciBus();
  const hart: Hart = new Hart({
    hartId: 0,
    bus: systemBus({
      timer: { read: (offset) => timer.read(offset), write: (offset, _, value) => timer.write(offset, value) },
      interruptController: {
        read: (offset) => irqchip.read(offset),
        write: (offset, _, value) => irqchip.write(offset, value),
      },
      console: consoleRegion(options.console),
      vtd: {
        read: (offset, size) => iommu.mmio.read(offset, size),
        write: (offset, size, value) => {
          iommu.mmio.write(offset, size, value);
          return true;
        },
      },
      pciWindow: {
        read: (offset, size) => pci.memoryRead(offset, size),
        write: (offset, size, value) => {
          pci.memoryWrite(offset, size, value);
          return true;
        },
      },
      ecam: {
        read: (offset, size) => pci.configRead(offset, size),
        write: (offset, size, value) => {
          pci.configWrite(offset, size, value);
          return true;
        },
      },
    }),
  });
  const attach = () => hart.attachRam(RAM_BASE, ramBytes, tracker.words);
  attach();

  const runner: Runner = new Runner(hart, timerOf(), options.onFailure ?? rethrow);
  const irqchip = new InterruptController((level) => {
    hart.setInterruptLine("external", level);
    if (level) runner.wake();
  });
  const kernel = createKernel({
    machineType,
    clock,
    machine: {
      pause: () => runner.stop(),
      resume: () => runner.start(),
      reset: () => {
        hart.reset(RAM_BASE, 0, RAM_BASE + BOOT_BLOCK_OFFSET);
        irqchip.reset();
        timer.reset();
      },
      throttle: (fraction) => runner.throttle(fraction),
      holdInterrupts: (held) => irqchip.hold(held),
    },
  });

  function timerOf(): Timer {
    return new Timer(clock, (level) => hart.setInterruptLine("timer", level));
  }
  const timer = timerOf();
  void timer;
  return undefined as never;
}

function rethrow(error: unknown): never {
  throw error;
}
