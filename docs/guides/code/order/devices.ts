// A machine whose disk reads its ring through a remapper, and asks an interrupt controller for an interrupt.
import {
  capture,
  createKernel,
  type Dependency,
  type KernelForPlugins,
  MigrationError,
  type Priority,
  restore,
  u8,
  u32,
  virtualClock,
  vmstate,
} from "@godwit/core";

// #region remapper
/** What others may ask a remapper's state: where an address of the disk's lies in memory. */
type Translate = (address: number) => number | undefined;

const windowBytes = 0x1000;

/** `priority` decides the place on the wire. */
const remapperState = (priority: Priority) =>
  vmstate({ name: "remapper", version: 1, priority, fields: { window: u32, target: u32 } });

export class Remapper {
  window = 0;
  target = 0;
  constructor(kernel: KernelForPlugins, priority: Priority) {
    const description = remapperState(priority);
    kernel.device(description, {
      save: () => capture(description, this),
      offer:
        ({ window, target }): Translate =>
        (address) =>
          address >= window && address < window + windowBytes ? address - window + target : undefined,
      load: (state) => restore(description, this, state),
    });
  }
}
// #endregion

// #region disk
const disk = vmstate({ name: "disk", version: 1, fields: { ring: u32, pending: u8 } });

export class Disk {
  ring = 0;
  pending = 0;
  constructor(kernel: KernelForPlugins, raise: () => void, after: readonly Dependency[] = ["remapper"]) {
    kernel.device(disk, {
      after,
      save: () => capture(disk, this),
      check({ ring }, view) {
        if (ring === 0) return; // the guest has not set it up
        const translate = view.offer<Translate>("remapper");
        if (translate(ring) !== undefined) return;
        throw new MigrationError("TRANSLATION_FAULT", "the ring does not translate", {
          path: "ring",
          found: `0x${ring.toString(16)}`,
        });
      },
      load: (state) => {
        restore(disk, this, state);
        if (this.pending !== 0) raise();
      },
    });
  }
}
// #endregion

export interface MachineOptions {
  readonly priority?: Priority;
  readonly after?: readonly Dependency[];
}

/** What happened to the machine is in `told`. */
export function machine({ priority = "iommu", after }: MachineOptions = {}) {
  const told: string[] = [];
  let waiting = 0;
  let isHeld = false;
  // #region interrupts
  const deliver = () => {
    if (isHeld) return;
    for (; waiting > 0; waiting--) told.push("delivered");
  };
  const kernel = createKernel({
    machineType: "guide-1.0",
    clock: virtualClock(() => 0n),
    machine: {
      pause() {},
      resume() {},
      reset() {},
      holdInterrupts(held) {
        told.push(held ? "held" : "let go");
        isHeld = held;
        deliver();
      },
    },
  });
  const raise = () => {
    told.push("raised");
    waiting++;
    deliver();
  };
  // #endregion
  // The disk is registered first: that decides nothing.
  const drive = new Disk(kernel, raise, after);
  const remapper = new Remapper(kernel, priority);
  return { kernel, drive, remapper, told };
}
