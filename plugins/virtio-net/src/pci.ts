// @godwit/virtio-net/pci: the network device as a PCI function of a machine.
import type { DescriptionFamily, Plugin } from "@godwit/core";
import type { NoData } from "@godwit/virtio-core";
import {
  type VirtioPciDescription,
  type VirtioPciOffer,
  type VirtioPciOptions,
  type VirtioPciParameters,
  virtioPci,
  virtioPciFamily,
} from "@godwit/virtio-pci";
import { netFeature } from "./constants.ts";
import type { VirtioNetState } from "./device-state.ts";
import { virtioNet } from "./model.ts";
import type { VirtioNetModel, VirtioNetOptions } from "./options.ts";
import { type VirtioNetParameters, virtioNetClass } from "./section.ts";
import { version } from "./version.ts";

export interface VirtioNetPciOptions
  extends VirtioNetOptions,
    Omit<VirtioPciOptions<VirtioNetState, NoData>, "model" | "legacyFeatures"> {}

export interface VirtioNetPciOffer extends VirtioPciOffer {
  readonly net: VirtioNetModel;
}

/** Offered to legacy drivers only. */
const legacyAnyLayout = 1n << 27n;

/** Registers the section `0000:bus:slot.function/virtio-net`. */
export function virtioNetPci(options: VirtioNetPciOptions): Plugin<VirtioNetPciOffer> {
  const net = virtioNet(options);
  const plugin = virtioPci({
    ...options,
    model: net,
    legacyFeatures: legacyAnyLayout | netFeature.GSO,
  });
  return { ...plugin, name: "@godwit/virtio-net", version, setup: (kernel) => ({ ...plugin.setup(kernel), net }) };
}

/** The sections "virtio-net" v11 over PCI, for tools and for the codec; a device builds its own from its options. */
export const virtioNetPciFamily: DescriptionFamily<
  VirtioNetParameters & VirtioPciParameters,
  VirtioPciDescription<VirtioNetState, NoData>
> = virtioPciFamily(virtioNetClass);
