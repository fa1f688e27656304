// The hart as a described device: what is saved of it, and how it waits.
import { array, type DeviceInit, i32, MigrationError, type StateOf, u8, u32, u64n, vmstate } from "@godwit/core";
import type { RemoteCpu } from "./remote-cpu.ts";

export const hartDescription = vmstate({
  name: "worker-hart",
  version: 1,
  fields: {
    x: array(i32, 32),
    pc: u32,
    /** Instructions retired since reset. */
    instret: u64n,
    /** 0 or 1. */
    halted: u8,
    /** mcause of the trap that halted it. */
    cause: u8,
  },
});

export type HartState = StateOf<typeof hartDescription>;

/** `save` and `load` never wait: `quiesce` has brought the registers here, and `ready` takes them to the worker. */
export function hartDevice(cpu: RemoteCpu): DeviceInit<HartState> {
  return {
    quiesce: () => cpu.stop(),
    save() {
      const { x, pc, instret, halted, cause } = cpu.registers;
      return { x, pc, instret, halted: halted ? 1 : 0, cause };
    },
    check({ x, halted }) {
      if (x[0] !== 0) throw refused("x[0]", "0", x[0]);
      if (halted > 1) throw refused("halted", "0 or 1", halted);
      return undefined;
    },
    load({ x, pc, instret, halted, cause }) {
      cpu.registers = { x, pc, instret, halted: halted === 1, cause };
    },
    ready: () => cpu.give(),
    resumed: () => cpu.run(),
  };
}

function refused(path: string, expected: string, found: unknown): MigrationError {
  return new MigrationError("DEVICE_CHECK", "no hart can be in this state", { path, expected, found: String(found) });
}
