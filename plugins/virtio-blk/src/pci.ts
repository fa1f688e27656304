// @godwit/virtio-blk/pci: the block device as a PCI function of a machine.
import type { DescriptionFamily, Plugin } from "@godwit/core";
import { feature, type NoData } from "@godwit/virtio-core";
import {
  type VirtioPciDescription,
  type VirtioPciOffer,
  type VirtioPciOptions,
  type VirtioPciParameters,
  virtioPci,
  virtioPciFamily,
} from "@godwit/virtio-pci";
import { type VirtioBlkModel, type VirtioBlkOptions, virtioBlk } from "./model.ts";
import type { CarriedRequest, RequestListParameters } from "./request-list.ts";
import { virtioBlkClass } from "./section.ts";
import { version } from "./version.ts";

export interface VirtioBlkPciOptions
  extends Omit<VirtioBlkOptions, "packed">,
    Omit<VirtioPciOptions<NoData, CarriedRequest[]>, "model" | "legacyFeatures"> {}

export interface VirtioBlkPciOffer extends VirtioPciOffer {
  readonly disk: VirtioBlkModel;
}

const legacyAnyLayout = 1n << 27n;

/** Registers the section `0000:bus:slot.function/virtio-blk`. */
export function virtioBlkPci(options: VirtioBlkPciOptions): Plugin<VirtioBlkPciOffer> {
  const disk = virtioBlk({ ...options, packed: ((options.ringFeatures ?? 0n) & feature.RING_PACKED) !== 0n });
  const plugin = virtioPci({
    ...options,
    model: disk,
    // As QEMU's: a legacy disk does not offer ANY_LAYOUT, a transitional one does.
    legacyFeatures: options.mode === "legacy" ? 0n : legacyAnyLayout,
  });
  return { ...plugin, name: "@godwit/virtio-blk", version, setup: (kernel) => ({ ...plugin.setup(kernel), disk }) };
}

/** The sections "virtio-blk" v2 over PCI, for tools and for the codec; a device builds its own from its options. */
export const virtioBlkPciFamily: DescriptionFamily<
  RequestListParameters & VirtioPciParameters,
  VirtioPciDescription<NoData, CarriedRequest[]>
> = virtioPciFamily(virtioBlkClass);
