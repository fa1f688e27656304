// What virtio-balloon adds to the common state of a virtio device: QEMU's class description "virtio-balloon-device" v1
// (wire reference 13.8).
import { type Scope, type StateOf, subsection, u32, vmstate } from "@godwit/core";
import { balloonFeature, hintCommand, hintStatus } from "./constants.ts";

/** QEMU sends by what the driver accepted, not by what is offered. */
function accepted(bit: bigint): (own: unknown, scope: Scope) => boolean {
  return (_, { parent }) => {
    const features: unknown = parent?.record["guest_features"];
    return typeof features === "number" && (BigInt(features) & bit) !== 0n;
  };
}

export const virtioBalloonDevice = vmstate({
  name: "virtio-balloon-device",
  version: 1,
  minimumVersion: 1,
  fields: {
    /** Pages of 4 KiB that the host wants from the guest. */
    num_pages: u32,
    /** Pages that the guest has given up. */
    actual: u32,
  },
  subsections: {
    free_page_report: subsection({
      name: "virtio-balloon-device/free-page-report",
      version: 1,
      fields: { free_page_hint_cmd_id: u32, free_page_hint_status: u32 },
      needed: accepted(balloonFeature.FREE_PAGE_HINT),
      absent: { free_page_hint_cmd_id: hintCommand.first, free_page_hint_status: hintStatus.stop },
    }),
    page_poison: subsection({
      name: "virtio-balloon-device/page-poison",
      version: 1,
      fields: { poison_val: u32 },
      needed: accepted(balloonFeature.PAGE_POISON),
      absent: { poison_val: 0 },
    }),
  },
});

/** The state of virtio-balloon beside the common part of a virtio device. */
export type VirtioBalloonState = StateOf<typeof virtioBalloonDevice>;
