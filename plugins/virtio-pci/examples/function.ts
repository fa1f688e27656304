import type { Kernel } from "@godwit/core";
import type { Dma, VirtioModel } from "@godwit/virtio-core";
import { virtioPci } from "@godwit/virtio-pci";

export interface Machine {
  readonly kernel: Kernel;
  readonly dma: Dma;
  readonly signalMsi: (address: number, data: number) => void;
  readonly setIntx: (level: boolean) => void;
}

/** Puts a device into slot 2, for drivers of any age; gives the machine's way to its registers. */
export function addFunction<S, L>({ kernel, ...wiring }: Machine, model: VirtioModel<S, L>) {
  const { function: pci } = kernel.use(
    virtioPci({ slot: "00:02.0", model, mode: "transitional", msixVectors: 3, ...wiring }),
  );
  return {
    readConfig: (offset: number, size: number) => pci.configRead(offset, size),
    writeConfig: (offset: number, size: number, value: number) => pci.configWrite(offset, size, value),
    /** A guest's read of memory or of a port: the BAR that the guest has put there answers. */
    read(address: number, size: number): number | undefined {
      for (const bar of pci.bars) {
        const at = bar.address();
        if (at !== undefined && address >= at && address + size <= at + bar.size) return bar.read(address - at, size);
      }
      return undefined;
    },
  };
}
