// virtio-rng as a class of sections, whatever the transport.
import { type NoData, noData, type VirtioClass } from "@godwit/virtio-core";

/** virtio-rng adds nothing to the common part: no field, no parameter, no configuration space (wire reference 13.8). */
export const virtioRngClass: VirtioClass<NoData, NoData> = {
  name: "virtio-rng",
  version: 1,
  minimumVersion: 1,
  deviceId: 4,
  description: () => noData,
  infer: () => ({}),
};
