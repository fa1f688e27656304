// The devices that nothing here describes (VGA, disks, PCI, ...), as v86 itself saves them: one section, opaque, whose
// name says so. What is described elsewhere is not in it.
import {
  type Description,
  isMigrationError,
  type KernelForPlugins,
  MigrationError,
  u32,
  vbuffer,
  vmstate,
} from "@godwit/core";
import type { V86Device, V86Engine, V86SaveTarget } from "../emulator/v86-objects.ts";

export interface RestState {
  size: number;
  /** v86's own format: a header, JSON, buffers. */
  blob: Uint8Array;
}

export const rest: Description<RestState> = vmstate({
  name: "v86-rest",
  version: 1,
  fields: { size: u32, blob: vbuffer("size", { max: 64 * 1024 * 1024 }) },
});

/** In the order in which v86 restores them. */
const names = ["acpi", "vga", "ps2", "fdc", "ide", "pci", "net", "sb16", "vmware", "parallel0"] as const;

export function restDevice(kernel: KernelForPlugins, engine: V86Engine): void {
  const devices = names.flatMap((name) => {
    const device = engine.cpu.devices[name] as V86Device | undefined;
    return device === undefined ? [] : [{ name, device }];
  });
  kernel.device(rest, {
    after: ["dma"],
    save: () => {
      const blob = engine.save_state.call(new Slots(devices.map(({ name, device }) => [name, device])));
      return { size: blob.byteLength, blob: new Uint8Array(blob) };
    },
    // v86 restores in place, so what can be seen to be wrong is seen before.
    check: ({ blob }) => {
      const arrived = slotsOf(engine, blob);
      const expected = devices.map(({ name }) => name).join();
      const found = arrived.map(([name]) => String(name)).join();
      if (found !== expected) {
        throw new MigrationError("DEVICE_CHECK", "other devices than here", { path: "blob", expected, found });
      }
      for (const [index, { name, device }] of devices.entries()) {
        checkKinds(name, device.get_state(), arrived[index]?.[1]);
      }
      return undefined;
    },
    load: ({ blob }) => {
      for (const [index, [, state]] of slotsOf(engine, blob).entries()) {
        devices[index]?.device.set_state(state as unknown[]);
      }
    },
  });
}

/** In the place of a CPU: v86 writes and reads what this says. */
class Slots implements V86SaveTarget {
  readonly cpu: V86SaveTarget["cpu"] = this as unknown as V86SaveTarget["cpu"];
  #slots: unknown[];
  constructor(slots: unknown[] = []) {
    this.#slots = slots;
  }
  get_state(): unknown[] {
    return this.#slots;
  }
  set_state(slots: unknown[]): void {
    this.#slots = slots;
  }
}

/** Fresh each time: v86's devices keep the arrays that they are given. */
function slotsOf(engine: V86Engine, blob: Uint8Array): [name: unknown, state: unknown][] {
  const slots = new Slots();
  try {
    engine.restore_state.call(slots, new Uint8Array(blob).buffer);
    return slots.get_state().map((slot) => {
      if (Array.isArray(slot) && slot.length === 2) return [slot[0], slot[1]];
      throw new Error("a slot is not a name and a state");
    });
  } catch (error) {
    if (isMigrationError(error)) throw error;
    const found = (error as { message?: string }).message ?? String(error);
    throw new MigrationError("DEVICE_CHECK", "v86 cannot read its own format here", { path: "blob", found });
  }
}

/** As many slots as here, arrays and buffers where they are here. */
function checkKinds(name: string, local: unknown[], arrived: unknown): void {
  const path = `blob.${name}`;
  if (!Array.isArray(arrived)) throw unlike(path, "slots", kindOf(arrived));
  if (arrived.length !== local.length) throw unlike(path, `${local.length} slots`, `${arrived.length}`);
  for (const [index, slot] of local.entries()) {
    const expected = kindOf(slot);
    const found = kindOf(arrived[index]);
    if (expected !== "value" && found !== expected) throw unlike(`${path}[${index}]`, expected, found);
  }
}

function unlike(path: string, expected: string, found: string): MigrationError {
  return new MigrationError("DEVICE_CHECK", "not the state of this device", { path, expected, found });
}

/** An object with slots of its own is an array once it is saved. */
function kindOf(slot: unknown): string {
  if (ArrayBuffer.isView(slot)) return slot.constructor.name.replace("bound ", "");
  if (Array.isArray(slot) || (typeof slot === "object" && slot !== null && "get_state" in slot)) return "slots";
  return "value";
}
