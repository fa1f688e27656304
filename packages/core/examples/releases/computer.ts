// What every release of the home computer has: its kernel, and how a described object becomes a device.
import {
  type Capturable,
  capture,
  createKernel,
  type Description,
  type DeviceInit,
  type Kernel,
  type Restorable,
  restore,
  type StateOf,
  virtualClock,
} from "@godwit/core";

/** `hostNow` gives monotonic host time in nanoseconds. */
export function computerKernel(version: string, hostNow: () => bigint): Kernel {
  return createKernel({
    machineType: "home-computer",
    producer: { name: "home-computer", version },
    clock: virtualClock(hostNow),
    machine: { pause() {}, resume() {}, reset() {} },
  });
}

/** The object has the described names; they are its state. */
export function described<D extends Description>(
  description: D,
  object: Capturable<StateOf<D>> & Restorable<StateOf<D>>,
): Pick<DeviceInit<StateOf<D>>, "save" | "load"> {
  return {
    save: () => capture(description, object),
    load: (state) => restore(description, object, state),
  };
}
