// @godwit/virtio-net/ccw: the network device on a channel of a machine.
import type { DescriptionFamily, Plugin } from "@godwit/core";
import {
  type VirtioCcwDescription,
  type VirtioCcwOffer,
  type VirtioCcwOptions,
  type VirtioCcwParameters,
  virtioCcw,
  virtioCcwFamily,
} from "@godwit/virtio-ccw";
import type { NoData } from "@godwit/virtio-core";
import type { VirtioNetState } from "./device-state.ts";
import { type VirtioNetModel, type VirtioNetOptions, virtioNet } from "./model.ts";
import { type VirtioNetParameters, virtioNetClass } from "./section.ts";
import { version } from "./version.ts";

export interface VirtioNetCcwOptions
  extends VirtioNetOptions,
    Omit<VirtioCcwOptions<VirtioNetState, NoData>, "model"> {}

export interface VirtioNetCcwOffer extends VirtioCcwOffer {
  readonly net: VirtioNetModel;
}

/** Registers the section `/cssid.ssid.devno/virtio-net`. */
export function virtioNetCcw(options: VirtioNetCcwOptions): Plugin<VirtioNetCcwOffer> {
  const net = virtioNet(options);
  const plugin = virtioCcw({ ...options, model: net });
  return { ...plugin, name: "@godwit/virtio-net", version, setup: (kernel) => ({ ...plugin.setup(kernel), net }) };
}

/** The sections "virtio-net" v11 over channel I/O, for tools and for the codec; a device builds its own from its options. */
export const virtioNetCcwFamily: DescriptionFamily<
  VirtioNetParameters & VirtioCcwParameters,
  VirtioCcwDescription<VirtioNetState, NoData>
> = virtioCcwFamily(virtioNetClass);
