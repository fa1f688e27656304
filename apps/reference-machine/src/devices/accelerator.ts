// The accelerator: a VFIO-like device. Its work, its memory and its migration are a modelled vendor driver's; this is the
// PCI function that the guest sees of it.
import { isMigrationError, type Kernel } from "@godwit/core";
import type { Dma } from "@godwit/iommu-vtd";
import {
  type ModelDriver,
  modelDriver,
  type VfioContainer,
  type VfioFunction,
  vfioPci,
} from "@godwit/vfio-config-subflag";
import type { PciBar, PciFunction } from "@godwit/virtio-pci";
import {
  ACCELERATOR_DEVICE,
  ACCELERATOR_DOORBELL,
  ACCELERATOR_JOBS,
  ACCELERATOR_MEMORY_BYTES,
  ACCELERATOR_VENDOR,
} from "../memory-map.ts";
import type { AcceleratorView } from "../profiles/peripherals.ts";

export interface AcceleratorInit {
  /** `00:08.0` */
  readonly slot: string;
  readonly container: VfioContainer;
  readonly dma: Dma;
  readonly signalMsi: (address: number, data: number) => void;
  /** What interrupts need beside the DMA's way. */
  readonly interruptController: string;
}

export interface Accelerator extends AcceleratorView {
  readonly function: PciFunction;
  reset(): void;
}

const registers = {
  vendor: 0x00,
  device: 0x02,
  command: 0x04,
  status: 0x06,
  class: 0x08,
  bar0: 0x10,
  list: 0x34,
} as const;
const command = { memory: 0x2, busMaster: 0x4 } as const;
const msix = { at: 0x40, id: 0x11, bar: 4, pbaOffset: 0x800 } as const;
const resultBytes = 8;
const barBytes = { 0: ACCELERATOR_MEMORY_BYTES, 2: 0x1000, 4: 0x1000 } as const;

/** As after a reset: a processing accelerator with capability list, one MSI-X vector and three BARs. */
function configSpace(): Uint8Array {
  const config = new Uint8Array(256);
  const view = new DataView(config.buffer);
  view.setUint16(registers.vendor, ACCELERATOR_VENDOR, true);
  view.setUint16(registers.device, ACCELERATOR_DEVICE, true);
  view.setUint16(registers.status, 0x0010, true);
  view.setUint32(registers.class, 0x1200_0001, true);
  config[registers.list] = msix.at;
  config[msix.at] = msix.id;
  view.setUint32(msix.at + 4, msix.bar, true);
  view.setUint32(msix.at + 8, msix.pbaOffset | msix.bar, true);
  return config;
}

export function accelerator(kernel: Kernel, init: AcceleratorInit): Accelerator {
  const { slot, container, dma, signalMsi } = init;
  const routes = new Map<number, { readonly address: number; readonly data: number }>();
  const offer = kernel.use(
    vfioPci<ModelDriver>({
      path: `0000:${slot}`,
      container,
      dialect: "proposal",
      config: { config: configSpace(), barBytes },
      driver: modelDriver({ memoryBytes: ACCELERATOR_MEMORY_BYTES, configOrder: "needed" }),
      interrupts: {
        attach: (vector, address, data) => routes.set(vector, { address, data }),
        detach: (vector) => routes.delete(vector),
        signal(vector) {
          const route = routes.get(vector);
          if (route !== undefined && isMaster()) signalMsi(route.address, route.data);
        },
      },
      after: [init.interruptController, ...dma.after],
    }),
  );
  const own: VfioFunction<ModelDriver> = offer.function;
  const isMaster = (): boolean => (own.configRead(registers.command, 2) & command.busMaster) !== 0;

  /**
   * Does the next job, and says where the guest wants it said. `PAGE_ABSENT` where that memory has not come: nothing is
   * done, and the guest's store is begun anew.
   */
  function work(address: number): void {
    if (dma.postcopy?.active && isMaster()) dma.postcopy.demand(address, resultBytes, true);
    if (own.driver.work(1) === 0) return;
    const result = new DataView(new ArrayBuffer(resultBytes));
    result.setUint32(0, Number(own.driver.jobs & 0xffff_ffffn), true);
    result.setUint32(4, own.driver.checksum, true);
    try {
      if (isMaster()) dma.write(address, new Uint8Array(result.buffer));
    } catch (error) {
      // The IOMMU has recorded the fault; a device has nobody to tell of it.
      if (!isMigrationError(error)) throw error;
    }
  }

  function bar(index: keyof typeof barBytes, access: Pick<PciBar, "read" | "write">): PciBar {
    return {
      index,
      size: barBytes[index],
      address() {
        const base = own.configRead(registers.bar0 + 4 * index, 4) & ~0xf;
        return base === 0 || (own.configRead(registers.command, 2) & command.memory) === 0 ? undefined : base >>> 0;
      },
      ...access,
    };
  }

  const bars = [
    bar(0, { read: (offset, size) => littleEndian(own.driver.memory(), offset, size), write: () => {} }),
    bar(2, {
      read: (offset) => (offset === ACCELERATOR_JOBS ? Number(own.driver.jobs & 0xffff_ffffn) : 0),
      write(offset, _, value) {
        if (offset === ACCELERATOR_DOORBELL) work(value);
      },
    }),
    bar(4, {
      read: (offset, size) =>
        offset < msix.pbaOffset
          ? littleEndian(own.interrupts.table, offset, size)
          : littleEndian(own.interrupts.pba, offset - msix.pbaOffset, size),
      write: (offset, size, value) => own.msixWrite(offset, size, value),
    }),
  ];
  return {
    function: {
      bdf: slot,
      configRead: (offset, size) => own.configRead(offset, size),
      configWrite: (offset, size, value) => own.configWrite(offset, size, value),
      bars,
    },
    get jobs() {
      return own.driver.jobs;
    },
    get checksum() {
      return own.driver.checksum;
    },
    memory: () => own.driver.memory(),
    reset() {
      own.driver.reset();
      own.reset();
    },
  };
}

/** Behind the end there are zeros. */
function littleEndian(bytes: Uint8Array, offset: number, size: number): number {
  let value = 0;
  for (let i = size - 1; i >= 0; i--) value = value * 256 + (bytes[offset + i] ?? 0);
  return value;
}
