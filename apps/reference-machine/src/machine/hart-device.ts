// The hart's state as a section: its description, and the check that refuses what no hart can hold.
import { array, bool, type Description, MigrationError, u32, u64, vmstate } from "@godwit/core";
import { type HartState, hartStateProblem } from "../hart/state.ts";

export const hartDescription: Description<HartState> = vmstate({
  name: "riscv-hart",
  version: 1,
  fields: {
    pc: u32,
    x: array(u32, 32),
    mstatus: u32,
    mie: u32,
    mip: u32,
    mtvec: u32,
    mscratch: u32,
    mepc: u32,
    mcause: u32,
    mtval: u32,
    mcycle: u64,
    minstret: u64,
    waiting: bool,
  },
});

export function checkHart(state: HartState): undefined {
  const problem = hartStateProblem(state);
  if (problem === undefined) return undefined;
  const { field, expected, found } = problem;
  throw new MigrationError("DEVICE_CHECK", "no hart of this kind can hold this state", {
    path: field,
    expected,
    found,
  });
}
