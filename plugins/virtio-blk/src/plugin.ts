// virtioBlkPci(): the block device as a PCI function of a machine.
import type { Plugin } from "@godwit/core";
import type { NoData } from "@godwit/virtio-core";
import { type VirtioPciOffer, type VirtioPciOptions, virtioPci } from "@godwit/virtio-pci";
import { type VirtioBlkModel, type VirtioBlkOptions, virtioBlk } from "./model.ts";
import type { CarriedRequest } from "./request-list.ts";
import { version } from "./version.ts";

export interface VirtioBlkPciOptions
  extends VirtioBlkOptions,
    Omit<VirtioPciOptions<NoData, CarriedRequest[]>, "model"> {}

export interface VirtioBlkPciOffer extends VirtioPciOffer {
  readonly disk: VirtioBlkModel;
}

/** Registers the section `0000:bus:slot.function/virtio-blk`. */
export function virtioBlkPci(options: VirtioBlkPciOptions): Plugin<VirtioBlkPciOffer> {
  const disk = virtioBlk(options);
  const plugin = virtioPci({ ...options, model: disk });
  return { ...plugin, name: "@godwit/virtio-blk", version, setup: (kernel) => ({ ...plugin.setup(kernel), disk }) };
}
