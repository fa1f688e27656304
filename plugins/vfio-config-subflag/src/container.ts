// All VFIO devices of a machine: they stop and start together, and several of them need the P2P states.
import { isMigrationError, type MigrationError } from "@godwit/core";
import { vfioError } from "./codes.ts";
import type { DeviceState } from "./device-state.ts";
import type { MigrationDevice } from "./migration-device.ts";

/** What a container knows of a device. */
export interface ContainedDevice {
  /** The section's idstr. */
  readonly idstr: string;
  /** The device that is the machine's now; a load brings another one. */
  readonly device: MigrationDevice;
  /** It is being sent: it stops into STOP_COPY. */
  readonly isSending: boolean;
}

/** Migration capabilities that a machine with a VFIO device does not have (wire reference 15.5). */
export const blockedCapabilities = ["postcopy-ram", "background-snapshot"] as const;

/** One a machine. Its assembler makes it and hands it to every VFIO device. */
export interface VfioContainer {
  /**
   * The machine stops: all devices first cease to start peer-to-peer accesses, then all stop. For `Machine.pause`; a save
   * does it by itself. `VFIO_DRIVER`.
   */
  stop(): void;
  /** The machine goes on, in the opposite order. For `Machine.resume`; the kernel's `resumed` does it by itself. */
  start(): void;
  /** `VFIO_POSTCOPY` for a capability that cannot be served while there is a device. */
  checkCapabilities(capabilities: readonly string[]): void;
  /** For the devices: takes one in, and gives what takes it out. */
  add(device: ContainedDevice): () => void;
  /** For the devices: one of them is no longer being sent. When none is, those that stand start, as `start` does. */
  sent(): void;
  /** For the devices: `VFIO_P2P` where there are several and one of them has no P2P states. */
  checkPeers(): void;
}

export function vfioContainer(): VfioContainer {
  const devices = new Set<ContainedDevice>();
  const each = (work: (one: ContainedDevice) => void): void => {
    for (const one of devices) at(one, () => work(one));
  };
  const start = (): void => {
    each(({ device }) => {
      if (device.state === "STOP" && device.driver.features.p2p) device.setState("RUNNING_P2P");
    });
    each(({ device }) => {
      if (device.state === "STOP" || device.state === "RUNNING_P2P") device.setState("RUNNING");
    });
  };
  return {
    stop() {
      each(({ device }) => goes(device, quietState[device.state]));
      each(({ device, isSending }) => {
        if (device.isRunning) device.setState(isSending && device.isPreCopying ? "STOP_COPY" : "STOP");
      });
    },
    start,
    sent() {
      for (const { isSending } of devices) if (isSending) return;
      start();
    },
    checkCapabilities(capabilities) {
      const blocked = capabilities.find((one) => (blockedCapabilities as readonly string[]).includes(one));
      const [first] = devices;
      if (blocked === undefined || first === undefined) return;
      throw vfioError("VFIO_POSTCOPY", `${blocked} is refused with a VFIO device: its state cannot follow on demand`, {
        section: `${first.idstr}/0`,
        found: blocked,
      });
    },
    add(device) {
      devices.add(device);
      return () => void devices.delete(device);
    },
    checkPeers() {
      if (devices.size < 2) return;
      for (const one of devices) if (!one.device.driver.features.p2p) throw withoutPeers(one, devices.size);
    },
  };
}

/** Running, but starting no peer-to-peer access. */
const quietState: Readonly<Partial<Record<DeviceState, DeviceState>>> = {
  RUNNING: "RUNNING_P2P",
  PRE_COPY: "PRE_COPY_P2P",
};

function goes(device: MigrationDevice, to: DeviceState | undefined): void {
  if (to !== undefined && device.driver.features.p2p) device.setState(to);
}

function withoutPeers({ idstr }: ContainedDevice, count: number): MigrationError {
  return vfioError("VFIO_P2P", "several VFIO devices can migrate only if each has the P2P states", {
    section: `${idstr}/0`,
    expected: "P2P",
    found: `none, in a machine of ${count} VFIO devices`,
  });
}

function at({ idstr }: ContainedDevice, work: () => void): void {
  try {
    work();
  } catch (error) {
    throw isMigrationError(error) ? error.at({ section: `${idstr}/0` }) : error;
  }
}
