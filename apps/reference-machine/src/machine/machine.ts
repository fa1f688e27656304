// The reference machine, assembled: a platform, and a profile's devices on it. Whoever assembles hands instances to each
// other; plugins never look for them.
import type { Kernel } from "@godwit/core";
import type { RamOffer, RamStatistics } from "@godwit/ram-dirty-tracker";
import { type BootParameters, writeBootBlock } from "../guest/boot-block.ts";
import { guestImage } from "../guest/load-image.ts";
import type { Peripherals } from "../profiles/peripherals.ts";
import { type DeviceOptions, type Profile, type ProfileName, profileNumbers } from "../profiles/profile.ts";
import { type Hotplug, pseries } from "../profiles/pseries.ts";
import { q35 } from "../profiles/q35.ts";
import { s390Ccw } from "../profiles/s390-ccw.ts";
import type { ChannelSubsystem } from "./channel-subsystem.ts";
import { type PlatformOptions, platform } from "./platform.ts";

const profiles: Readonly<Record<ProfileName, Profile>> = { q35, "s390-ccw": s390Ccw, pseries };

export interface ReferenceMachineOptions extends Omit<PlatformOptions, "machineType">, DeviceOptions {
  /** The default is q35. */
  readonly profile?: ProfileName;
}

export interface ReferenceMachine {
  readonly kernel: Kernel;
  readonly memory: RamOffer;
  /** Of a profile to which devices can be plugged while it runs. */
  readonly hotplug?: Hotplug;
  /** Of a profile that has balloon, serial port and accelerator. */
  readonly peripherals?: Peripherals;
  /** s390-ccw: where the guest's I/O instructions arrive, and its interruptions wait. */
  readonly channels?: ChannelSubsystem;
  /** Puts the guest and its parameters into RAM and resets the hart. A destination does not boot. */
  boot(parameters: BootParameters): void;
  /** RAM as it is now; a migration replaces it. */
  ram(): Uint8Array;
  ramStatistics(): RamStatistics;
  /** Instructions executed here. */
  steps(): number;
}

export function referenceMachine(options: ReferenceMachineOptions): ReferenceMachine {
  const { profile = "q35" } = options;
  const on = platform({ ...options, machineType: `godwit-${profile}-1.0` });
  const { hotplug, peripherals, channels } = profiles[profile](on, options);
  return {
    kernel: on.kernel,
    memory: on.memory,
    ...(hotplug && { hotplug }),
    ...(peripherals && { peripherals }),
    ...(channels && { channels }),
    boot(parameters) {
      const ram = on.ram();
      ram.set(guestImage());
      writeBootBlock(ram, parameters, profileNumbers[profile]);
      on.kernel.machine.reset();
    },
    ram: on.ram,
    ramStatistics: () => on.memory.statistics(),
    steps: on.steps,
  };
}
