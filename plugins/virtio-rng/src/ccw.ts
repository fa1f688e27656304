// @godwit/virtio-rng/ccw: the entropy device behind a subchannel of a machine.
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
import { type VirtioRngModel, type VirtioRngOptions, virtioRng } from "./model.ts";
import { virtioRngClass } from "./section.ts";
import { version } from "./version.ts";

export interface VirtioRngCcwOptions extends VirtioRngOptions, Omit<VirtioCcwOptions<NoData, NoData>, "model"> {}

export interface VirtioRngCcwOffer extends VirtioCcwOffer {
  readonly rng: VirtioRngModel;
}

/** Registers the section `/cssid.ssid.devno/virtio-rng`. */
export function virtioRngCcw(options: VirtioRngCcwOptions): Plugin<VirtioRngCcwOffer> {
  const rng = virtioRng(options);
  const plugin = virtioCcw({ ...options, model: rng });
  return { ...plugin, name: "@godwit/virtio-rng", version, setup: (kernel) => ({ ...plugin.setup(kernel), rng }) };
}

/** The sections "virtio-rng" v1 over channel I/O, for tools and for the codec; a device builds its own from its options. */
export const virtioRngCcwFamily: DescriptionFamily<
  NoData & VirtioCcwParameters,
  VirtioCcwDescription<NoData, NoData>
> = virtioCcwFamily(virtioRngClass);
