// @godwit/virtio-console/ccw: the console device behind a subchannel of a machine.
import type { DescriptionFamily, Plugin } from "@godwit/core";
import {
  type VirtioCcwDescription,
  type VirtioCcwOffer,
  type VirtioCcwOptions,
  type VirtioCcwParameters,
  virtioCcw,
  virtioCcwFamily,
} from "@godwit/virtio-ccw";
import { feature, type NoData } from "@godwit/virtio-core";
import { type VirtioConsoleModel, type VirtioConsoleOptions, virtioConsole } from "./model.ts";
import { virtioConsoleClass } from "./section.ts";
import type { SerialParameters, VirtioSerialState } from "./serial-state.ts";
import { version } from "./version.ts";

export interface VirtioConsoleCcwOptions
  extends Omit<VirtioConsoleOptions, "packed">,
    Omit<VirtioCcwOptions<NoData, VirtioSerialState>, "model"> {}

export interface VirtioConsoleCcwOffer extends VirtioCcwOffer {
  readonly serial: VirtioConsoleModel;
}

/** Registers the section `/cssid.ssid.devno/virtio-console`. */
export function virtioConsoleCcw(options: VirtioConsoleCcwOptions): Plugin<VirtioConsoleCcwOffer> {
  const packed = ((options.ringFeatures ?? 0n) & feature.RING_PACKED) !== 0n;
  const serial = virtioConsole({ ...options, packed });
  const plugin = virtioCcw({ ...options, model: serial });
  return {
    ...plugin,
    name: "@godwit/virtio-console",
    version,
    setup: (kernel) => ({ ...plugin.setup(kernel), serial }),
  };
}

/** The sections "virtio-console" v3 over channel I/O, for tools and for the codec; a device builds its own from its options. */
export const virtioConsoleCcwFamily: DescriptionFamily<
  SerialParameters & VirtioCcwParameters,
  VirtioCcwDescription<NoData, VirtioSerialState>
> = virtioCcwFamily(virtioConsoleClass);
