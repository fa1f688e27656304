// @godwit/virtio-balloon/ccw: the balloon behind a subchannel of a machine.
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
import type { VirtioBalloonState } from "./device-state.ts";
import { type VirtioBalloonModel, type VirtioBalloonOptions, virtioBalloon } from "./model.ts";
import { virtioBalloonClass } from "./section.ts";
import { version } from "./version.ts";

export interface VirtioBalloonCcwOptions
  extends VirtioBalloonOptions,
    Omit<VirtioCcwOptions<VirtioBalloonState, NoData>, "model"> {}

export interface VirtioBalloonCcwOffer extends VirtioCcwOffer {
  readonly balloon: VirtioBalloonModel;
}

/** Registers the section `/cssid.ssid.devno/virtio-balloon`. */
export function virtioBalloonCcw(options: VirtioBalloonCcwOptions): Plugin<VirtioBalloonCcwOffer> {
  const balloon = virtioBalloon(options);
  const plugin = virtioCcw({ ...options, model: balloon });
  return {
    ...plugin,
    name: "@godwit/virtio-balloon",
    version,
    setup: (kernel) => ({ ...plugin.setup(kernel), balloon }),
  };
}

/** The sections "virtio-balloon" v1 over channel I/O, for tools and for the codec; a device builds its own from its options. */
export const virtioBalloonCcwFamily: DescriptionFamily<
  NoData & VirtioCcwParameters,
  VirtioCcwDescription<VirtioBalloonState, NoData>
> = virtioCcwFamily(virtioBalloonClass);
