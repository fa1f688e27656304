import type { Kernel } from "@godwit/core";
import { type BlockBackend, sectorBytes } from "@godwit/virtio-blk";
import { virtioBlkPci } from "@godwit/virtio-blk/pci";
import type { Dma } from "@godwit/virtio-core";

export interface Machine {
  readonly kernel: Kernel;
  readonly dma: Dma;
  readonly signalMsi: (address: number, data: number) => void;
}

/** A disk in memory. Each method may as well answer with a promise. */
function imageOf(bytes: Uint8Array): BlockBackend {
  return {
    sizeBytes: bytes.length,
    read: (sector, into) => into.set(bytes.subarray(sector * sectorBytes, sector * sectorBytes + into.length)),
    write: (sector, data) => bytes.set(data, sector * sectorBytes),
    flush: () => {},
    writeZeroes: (sector, sectors) => void bytes.fill(0, sector * sectorBytes, (sector + sectors) * sectorBytes),
  };
}

/** A disk of two queues in slot 2, for drivers of any age. */
export function addDisk(machine: Machine, bytes: Uint8Array) {
  const { kernel, ...wiring } = machine;
  const options = { queues: 2, serial: "disk-0", mode: "transitional" } as const;
  return kernel.use(virtioBlkPci({ slot: "00:02.0", backend: imageOf(bytes), ...options, ...wiring }));
}
