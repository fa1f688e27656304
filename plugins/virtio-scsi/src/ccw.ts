// @godwit/virtio-scsi/ccw: the host adapter on a channel of a machine, with its disks.
import type { DescriptionFamily, Plugin, Registration } from "@godwit/core";
import {
  type VirtioCcwDescription,
  type VirtioCcwOffer,
  type VirtioCcwOptions,
  type VirtioCcwParameters,
  virtioCcw,
  virtioCcwFamily,
} from "@godwit/virtio-ccw";
import { feature, type NoData } from "@godwit/virtio-core";
import { registerDisks } from "./disk-sections.ts";
import { type VirtioScsiModel, type VirtioScsiOptions, virtioScsi } from "./model.ts";
import { virtioScsiClass } from "./section.ts";
import { version } from "./version.ts";

export interface VirtioScsiCcwOptions extends VirtioScsiOptions, Omit<VirtioCcwOptions<NoData, NoData>, "model"> {}

export interface VirtioScsiCcwOffer extends VirtioCcwOffer {
  readonly adapter: VirtioScsiModel;
  /** Of the disks' sections, in the order of the disks. */
  readonly disks: readonly Registration[];
}

/** Registers the section `/cssid.ssid.devno/virtio-scsi`, and `.../0:target:lun/scsi-disk` for each disk. */
export function virtioScsiCcw(options: VirtioScsiCcwOptions): Plugin<VirtioScsiCcwOffer> {
  const adapter = virtioScsi(options);
  const packed = ((options.ringFeatures ?? 0n) & feature.RING_PACKED) !== 0n;
  const plugin = virtioCcw({ ...options, model: adapter });
  return {
    ...plugin,
    name: "@godwit/virtio-scsi",
    version,
    setup(kernel) {
      const offer = plugin.setup(kernel);
      const disks = registerDisks(kernel, `/${options.busId}`, adapter, [offer.registration.idstr], packed);
      return { ...offer, adapter, disks };
    },
  };
}

/** The sections "virtio-scsi" v1 over channel I/O, for tools and for the codec; a device builds its own from its options. */
export const virtioScsiCcwFamily: DescriptionFamily<
  NoData & VirtioCcwParameters,
  VirtioCcwDescription<NoData, NoData>
> = virtioCcwFamily(virtioScsiClass);
