// What a profile is given, and what it is called: each puts other buses and devices on the same platform.
import type { BlockBackend } from "@godwit/virtio-blk";
import type { ChannelSubsystem } from "../machine/channel-subsystem.ts";
import type { Platform } from "../machine/platform.ts";
import { PROFILE_PSERIES, PROFILE_Q35, PROFILE_S390_CCW } from "../memory-map.ts";
import type { CardName } from "./cards.ts";
import type { PeripheralOptions, Peripherals } from "./peripherals.ts";
import type { Hotplug } from "./pseries.ts";

/** In the order in which help lists them. */
export const profileNames = ["q35", "s390-ccw", "pseries"] as const;
export type ProfileName = (typeof profileNames)[number];

/** What the boot block tells the guest. */
export const profileNumbers: Readonly<Record<ProfileName, number>> = {
  q35: PROFILE_Q35,
  "s390-ccw": PROFILE_S390_CCW,
  pseries: PROFILE_PSERIES,
};

/** What stands behind the devices. */
export interface DeviceOptions extends PeripheralOptions {
  readonly disk: BlockBackend;
  /** Takes a frame that the guest sent; its bytes are the receiver's own. */
  readonly send: (frame: Uint8Array) => void;
  /**
   * Checks and loads the IOMMU after the PCI devices behind it. That is the wrong way round as soon as the guest has
   * switched translation on: the devices' checks then meet addresses that do not translate.
   */
  readonly iommuLast?: boolean;
  /** pseries: cards that are in their slots from the start, as a destination is given those that came at the source. */
  readonly present?: readonly CardName[];
  /** pseries: walks of device trees travel (`ccs` of the plugin). The default is true. */
  readonly walksTravel?: boolean;
}

/** What the host can do about a profile's devices while the machine runs. */
export interface HostSide {
  readonly hotplug?: Hotplug;
  readonly peripherals?: Peripherals;
  readonly channels?: ChannelSubsystem;
}

/** Puts its devices on the platform. */
export type Profile = (platform: Platform, options: DeviceOptions) => HostSide;

/** The network card's address; packets are checked against it. */
export const macAddress: Uint8Array = Uint8Array.of(0x52, 0x54, 0x00, 0x67, 0x64, 0x77);
