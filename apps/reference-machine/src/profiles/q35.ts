// q35: PCI behind VT-d, which translates what devices address and remaps their interrupts.
import type { Dependency } from "@godwit/core";
import { vtdIommu } from "@godwit/iommu-vtd";
import { vfioContainer } from "@godwit/vfio-config-subflag";
import { virtioBalloonPci } from "@godwit/virtio-balloon/pci";
import { virtioBlkPci } from "@godwit/virtio-blk/pci";
import { virtioConsolePci } from "@godwit/virtio-console/pci";
import { virtioNetPci } from "@godwit/virtio-net/pci";
import { virtioRngPci } from "@godwit/virtio-rng/pci";
import { virtioScsiPci } from "@godwit/virtio-scsi/pci";
import { accelerator } from "../devices/accelerator.ts";
import { interruptControllerDescription } from "../machine/interrupt-controller.ts";
import { PciBus } from "../machine/pci-bus.ts";
import type { Platform } from "../machine/platform.ts";
import {
  ECAM_BASE,
  ECAM_BYTES,
  INTERRUPT_MESSAGES,
  INTERRUPT_VECTOR,
  PCI_WINDOW_BASE,
  PCI_WINDOW_BYTES,
  VTD_BASE,
  VTD_BYTES,
} from "../memory-map.ts";
import { discardIn, serialPort, serialPorts } from "./peripherals.ts";
import { type DeviceOptions, type HostSide, macAddress } from "./profile.ts";

/** By section. */
const slots = {
  "virtio-blk": "00:02.0",
  "virtio-net": "00:03.0",
  "virtio-rng": "00:04.0",
  "virtio-balloon": "00:05.0",
  "virtio-console": "00:06.0",
  "virtio-scsi": "00:07.0",
  vfio: "00:08.0",
} as const;

export function q35(on: Platform, options: DeviceOptions): HostSide {
  const { kernel, bus, memory, signalMsi, raise, resets } = on;
  const { iommuLast = false } = options;
  const pci = new PciBus();
  // The only difference between the right order and the wrong one: who says that it comes after whom.
  const behindIommu: Dependency[] = Object.entries(slots).map(([section, slot]) => `0000:${slot}/${section}`);
  const iommu = kernel.use(
    vtdIommu({
      memory,
      intremap: true,
      signalMsi: (address, data) => {
        const isRemapped = (address & 0xfff0_0000) >>> 0 === INTERRUPT_MESSAGES;
        if (isRemapped) raise((data & 0xff) - INTERRUPT_VECTOR);
        else signalMsi(address, data);
      },
      ...(iommuLast ? { after: behindIommu } : {}),
    }),
  );
  const at = (slot: string) => ({
    slot,
    dma: iommu.dmaFor(slot, { ordered: !iommuLast }),
    signalMsi: iommu.msiFor(slot),
  });
  const container = vfioContainer();
  on.beforeResume(() => container.start());

  const disk = kernel.use(virtioBlkPci({ ...at(slots["virtio-blk"]), backend: options.disk, serial: "godwit-disk" }));
  const network = kernel.use(virtioNetPci({ ...at(slots["virtio-net"]), mac: macAddress, send: options.send }));
  const rng = kernel.use(virtioRngPci({ ...at(slots["virtio-rng"]), backend: options.entropy }));
  const balloon = kernel.use(virtioBalloonPci({ ...at(slots["virtio-balloon"]), discard: discardIn(on) }));
  const serial = kernel.use(
    virtioConsolePci({ ...at(slots["virtio-console"]), ports: [serialPort(options)], maxPorts: serialPorts }),
  );
  const scsi = kernel.use(
    virtioScsiPci({ ...at(slots["virtio-scsi"]), disks: [{ backend: options.scsiDisk, serial: "godwit-scsi" }] }),
  );
  const device = accelerator(kernel, {
    ...at(slots.vfio),
    container,
    interruptController: interruptControllerDescription.name,
  });
  for (const part of [disk, network, rng, balloon, serial, scsi, device]) {
    pci.add(part.function);
    resets(part);
  }
  resets(iommu);

  bus.addOpen(PCI_WINDOW_BASE, PCI_WINDOW_BYTES, {
    read: (offset, size) => pci.memoryRead(offset, size),
    write: (offset, size, value) => pci.memoryWrite(offset, size, value),
  });
  bus.addOpen(VTD_BASE, VTD_BYTES, iommu.mmio);
  bus.addOpen(ECAM_BASE, ECAM_BYTES, {
    read: (offset, size) => pci.configRead(offset, size),
    write: (offset, size, value) => pci.configWrite(offset, size, value),
  });
  const [port] = serial.serial.ports;
  if (port === undefined) throw new Error("virtio-console has no port");
  return { peripherals: { balloon: balloon.balloon, serial: port, accelerator: device } };
}
