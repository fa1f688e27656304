// @godwit/virtio-scsi/pci: the host adapter as a PCI function of a machine, with its disks.
import type { DescriptionFamily, Plugin, Registration } from "@godwit/core";
import { feature, type NoData } from "@godwit/virtio-core";
import {
  type VirtioPciDescription,
  type VirtioPciOffer,
  type VirtioPciOptions,
  type VirtioPciParameters,
  virtioPci,
  virtioPciFamily,
} from "@godwit/virtio-pci";
import { registerDisks } from "./disk-sections.ts";
import { type VirtioScsiModel, type VirtioScsiOptions, virtioScsi } from "./model.ts";
import { virtioScsiClass } from "./section.ts";
import { version } from "./version.ts";

export interface VirtioScsiPciOptions extends VirtioScsiOptions, Omit<VirtioPciOptions<NoData, NoData>, "model"> {}

export interface VirtioScsiPciOffer extends VirtioPciOffer {
  readonly adapter: VirtioScsiModel;
  /** Of the disks' sections, in the order of the disks. */
  readonly disks: readonly Registration[];
}

/** Registers the section `0000:bus:slot.function/virtio-scsi`, and `.../0:target:lun/scsi-disk` for each disk. */
export function virtioScsiPci(options: VirtioScsiPciOptions): Plugin<VirtioScsiPciOffer> {
  const adapter = virtioScsi(options);
  const packed = ((options.ringFeatures ?? 0n) & feature.RING_PACKED) !== 0n;
  const plugin = virtioPci({ ...options, model: adapter });
  return {
    ...plugin,
    name: "@godwit/virtio-scsi",
    version,
    setup(kernel) {
      const offer = plugin.setup(kernel);
      const disks = registerDisks(kernel, `0000:${options.slot}`, adapter, [offer.registration.idstr], packed);
      return { ...offer, adapter, disks };
    },
  };
}

/** The sections "virtio-scsi" v1 over PCI, for tools and for the codec; a device builds its own from its options. */
export const virtioScsiPciFamily: DescriptionFamily<
  NoData & VirtioPciParameters,
  VirtioPciDescription<NoData, NoData>
> = virtioPciFamily(virtioScsiClass);
