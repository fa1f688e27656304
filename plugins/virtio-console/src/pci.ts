// @godwit/virtio-console/pci: the console device as a PCI function of a machine.
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
import { type VirtioConsoleModel, type VirtioConsoleOptions, virtioConsole } from "./model.ts";
import { virtioConsoleClass } from "./section.ts";
import type { SerialParameters, VirtioSerialState } from "./serial-state.ts";
import { version } from "./version.ts";

export interface VirtioConsolePciOptions
  extends Omit<VirtioConsoleOptions, "packed">,
    Omit<VirtioPciOptions<NoData, VirtioSerialState>, "model"> {}

export interface VirtioConsolePciOffer extends VirtioPciOffer {
  readonly serial: VirtioConsoleModel;
}

/** Registers the section `0000:bus:slot.function/virtio-console`. */
export function virtioConsolePci(options: VirtioConsolePciOptions): Plugin<VirtioConsolePciOffer> {
  const packed = ((options.ringFeatures ?? 0n) & feature.RING_PACKED) !== 0n;
  const serial = virtioConsole({ ...options, packed });
  const plugin = virtioPci({ ...options, model: serial });
  return {
    ...plugin,
    name: "@godwit/virtio-console",
    version,
    setup: (kernel) => ({ ...plugin.setup(kernel), serial }),
  };
}

/** The sections "virtio-console" v3 over PCI, for tools and for the codec; a device builds its own from its options. */
export const virtioConsolePciFamily: DescriptionFamily<
  SerialParameters & VirtioPciParameters,
  VirtioPciDescription<NoData, VirtioSerialState>
> = virtioPciFamily(virtioConsoleClass);
