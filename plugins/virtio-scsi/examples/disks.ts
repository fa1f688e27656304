import type { Kernel } from "@godwit/core";
import type { Dma } from "@godwit/virtio-core";
import type { ScsiBackend } from "@godwit/virtio-scsi";
import { virtioScsiPci } from "@godwit/virtio-scsi/pci";

export interface Machine {
  readonly kernel: Kernel;
  readonly dma: Dma;
  readonly signalMsi: (address: number, data: number) => void;
}

const sectorBytes = 512;

/** A disk in memory. Each method may as well answer with a promise. */
function imageOf(bytes: Uint8Array): ScsiBackend {
  return {
    sizeBytes: bytes.length,
    read: (sector, into) => into.set(bytes.subarray(sector * sectorBytes, sector * sectorBytes + into.length)),
    write: (sector, data) => bytes.set(data, sector * sectorBytes),
    flush: () => {},
  };
}

/** An adapter of two request queues in slot 6; its second disk is unit 1 of target 0, and write-protected. */
export function addDisks(machine: Machine, system: Uint8Array, media: Uint8Array) {
  const { kernel, ...wiring } = machine;
  const disks = [
    { backend: imageOf(system), serial: "system" },
    { backend: imageOf(media), lun: 1, readOnly: true },
  ];
  return kernel.use(virtioScsiPci({ slot: "00:06.0", disks, queues: 2, ...wiring }));
}
