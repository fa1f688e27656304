// @godwit/virtio-balloon/pci: the balloon as a PCI function of a machine.
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
import type { VirtioBalloonState } from "./device-state.ts";
import { type VirtioBalloonModel, type VirtioBalloonOptions, virtioBalloon } from "./model.ts";
import { virtioBalloonClass } from "./section.ts";
import { version } from "./version.ts";

export interface VirtioBalloonPciOptions
  extends VirtioBalloonOptions,
    Omit<VirtioPciOptions<VirtioBalloonState, NoData>, "model"> {}

export interface VirtioBalloonPciOffer extends VirtioPciOffer {
  readonly balloon: VirtioBalloonModel;
}

/** Registers the section `0000:bus:slot.function/virtio-balloon`. */
export function virtioBalloonPci(options: VirtioBalloonPciOptions): Plugin<VirtioBalloonPciOffer> {
  const balloon = virtioBalloon(options);
  const plugin = virtioPci({ ...options, model: balloon });
  return {
    ...plugin,
    name: "@godwit/virtio-balloon",
    version,
    setup: (kernel) => ({ ...plugin.setup(kernel), balloon }),
  };
}

/** The sections "virtio-balloon" v1 over PCI, for tools and for the codec; a device builds its own from its options. */
export const virtioBalloonPciFamily: DescriptionFamily<
  NoData & VirtioPciParameters,
  VirtioPciDescription<VirtioBalloonState, NoData>
> = virtioPciFamily(virtioBalloonClass);
