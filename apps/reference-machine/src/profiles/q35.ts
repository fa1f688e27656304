// q35: PCI behind VT-d.
import type { Dependency } from "@godwit/core";
import { vtdIommu } from "@godwit/iommu-vtd";
import { virtioBlkPci } from "@godwit/virtio-blk/pci";
import { virtioNetPci } from "@godwit/virtio-net/pci";
import { PciBus } from "../machine/pci-bus.ts";
import type { Platform } from "../machine/platform.ts";
import { ECAM_BASE, ECAM_BYTES, PCI_WINDOW_BASE, PCI_WINDOW_BYTES, VTD_BASE, VTD_BYTES } from "../memory-map.ts";
import { type DeviceOptions, macAddress } from "./profile.ts";

const diskSlot = "00:02.0";
const networkSlot = "00:03.0";

export function q35({ kernel, bus, memory, signalMsi, resets }: Platform, options: DeviceOptions): void {
  const { iommuLast = false } = options;
  const pci = new PciBus();
  // The only difference between the right order and the wrong one: who says that it comes after whom.
  const behindIommu: Dependency[] = [`0000:${diskSlot}/virtio-blk`, `0000:${networkSlot}/virtio-net`];
  const iommu = kernel.use(vtdIommu({ memory, signalMsi, ...(iommuLast ? { after: behindIommu } : {}) }));
  const dmaFor = (slot: string) => iommu.dmaFor(slot, { ordered: !iommuLast });
  const disk = kernel.use(
    virtioBlkPci({ slot: diskSlot, dma: dmaFor(diskSlot), signalMsi, backend: options.disk, serial: "godwit-disk" }),
  );
  const network = kernel.use(
    virtioNetPci({ slot: networkSlot, dma: dmaFor(networkSlot), signalMsi, mac: macAddress, send: options.send }),
  );
  pci.add(disk.function);
  pci.add(network.function);
  for (const part of [disk, network, iommu]) resets(part);

  bus.addOpen(PCI_WINDOW_BASE, PCI_WINDOW_BYTES, {
    read: (offset, size) => pci.memoryRead(offset, size),
    write: (offset, size, value) => pci.memoryWrite(offset, size, value),
  });
  bus.addOpen(VTD_BASE, VTD_BYTES, iommu.mmio);
  bus.addOpen(ECAM_BASE, ECAM_BYTES, {
    read: (offset, size) => pci.configRead(offset, size),
    write: (offset, size, value) => pci.configWrite(offset, size, value),
  });
}
