// virtio-scsi as a class of sections, whatever the transport. The host adapter keeps nothing of its own: requests in
// flight stand in the sections of the disks.
import { type NoData, noData, type VirtioClass } from "@godwit/virtio-core";
import { section } from "./constants.ts";

export const virtioScsiClass: VirtioClass<NoData, NoData> = {
  ...section,
  description: () => noData,
  infer: () => ({}),
};
