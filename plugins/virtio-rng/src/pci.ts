// @godwit/virtio-rng/pci: the entropy device as a PCI function of a machine.
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
import { type VirtioRngModel, type VirtioRngOptions, virtioRng } from "./model.ts";
import { virtioRngClass } from "./section.ts";
import { version } from "./version.ts";

export interface VirtioRngPciOptions extends VirtioRngOptions, Omit<VirtioPciOptions<NoData, NoData>, "model"> {}

export interface VirtioRngPciOffer extends VirtioPciOffer {
  readonly rng: VirtioRngModel;
}

/** Registers the section `0000:bus:slot.function/virtio-rng`. */
export function virtioRngPci(options: VirtioRngPciOptions): Plugin<VirtioRngPciOffer> {
  const rng = virtioRng(options);
  const plugin = virtioPci({ ...options, model: rng });
  return { ...plugin, name: "@godwit/virtio-rng", version, setup: (kernel) => ({ ...plugin.setup(kernel), rng }) };
}

/** The sections "virtio-rng" v1 over PCI, for tools and for the codec; a device builds its own from its options. */
export const virtioRngPciFamily: DescriptionFamily<
  NoData & VirtioPciParameters,
  VirtioPciDescription<NoData, NoData>
> = virtioPciFamily(virtioRngClass);
