// @godwit/virtio-blk/ccw: the block device on a channel of a machine.
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
import { type VirtioBlkModel, type VirtioBlkOptions, virtioBlk } from "./model.ts";
import type { CarriedRequest, RequestListParameters } from "./request-list.ts";
import { virtioBlkClass } from "./section.ts";
import { version } from "./version.ts";

export interface VirtioBlkCcwOptions
  extends VirtioBlkOptions,
    Omit<VirtioCcwOptions<NoData, CarriedRequest[]>, "model"> {}

export interface VirtioBlkCcwOffer extends VirtioCcwOffer {
  readonly disk: VirtioBlkModel;
}

/** Registers the section `/cssid.ssid.devno/virtio-blk`. */
export function virtioBlkCcw(options: VirtioBlkCcwOptions): Plugin<VirtioBlkCcwOffer> {
  const disk = virtioBlk(options);
  const plugin = virtioCcw({ ...options, model: disk });
  return { ...plugin, name: "@godwit/virtio-blk", version, setup: (kernel) => ({ ...plugin.setup(kernel), disk }) };
}

/** The sections "virtio-blk" v2 over channel I/O, for tools and for the codec; a device builds its own from its options. */
export const virtioBlkCcwFamily: DescriptionFamily<
  RequestListParameters & VirtioCcwParameters,
  VirtioCcwDescription<NoData, CarriedRequest[]>
> = virtioCcwFamily(virtioBlkClass);
