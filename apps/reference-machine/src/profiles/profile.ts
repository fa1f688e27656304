// What a profile is given, and what it is called: each puts other buses and devices on the same platform.
import type { BlockBackend } from "@godwit/virtio-blk";
import type { Platform } from "../machine/platform.ts";
import { PROFILE_Q35 } from "../memory-map.ts";

/** In the order in which help lists them. */
export const profileNames = ["q35"] as const;
export type ProfileName = (typeof profileNames)[number];

/** What the boot block tells the guest. */
export const profileNumbers: Readonly<Record<ProfileName, number>> = {
  q35: PROFILE_Q35,
};

/** What stands behind the devices. */
export interface DeviceOptions {
  readonly disk: BlockBackend;
  /** Takes a frame that the guest sent; its bytes are the receiver's own. */
  readonly send: (frame: Uint8Array) => void;
  /**
   * Checks and loads the IOMMU after the PCI devices behind it. That is the wrong way round as soon as the guest has
   * switched translation on: the devices' checks then meet addresses that do not translate.
   */
  readonly iommuLast?: boolean;
}

/** Puts its devices on the platform. */
export type Profile = (platform: Platform, options: DeviceOptions) => void;

/** The network card's address; packets are checked against it. */
export const macAddress: Uint8Array = Uint8Array.of(0x52, 0x54, 0x00, 0x67, 0x64, 0x77);
