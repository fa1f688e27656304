// virtio-balloon as a class of sections, whatever the transport.
import type { NoData, VirtioClass } from "@godwit/virtio-core";
import { section } from "./constants.ts";
import { type VirtioBalloonState, virtioBalloonDevice } from "./device-state.ts";

/** virtio-balloon as a class of sections. Nothing decides about its bytes but the accepted features, which are in them. */
export const virtioBalloonClass: VirtioClass<NoData, VirtioBalloonState> = {
  ...section,
  description: () => virtioBalloonDevice,
  infer: () => ({}),
};
