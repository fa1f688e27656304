// The shape of the invalidation queue: how wide its descriptors are, which the state does not say of itself.
import { capabilityOf } from "./capability.ts";
import type { VtdState } from "./description.ts";
import { type RegisterFile, register, WIDE_DESCRIPTORS } from "./registers.ts";

/** Bytes of a descriptor. Only a unit that offers scalable mode heeds IQA.DW, for the wide ones. */
export type DescriptorBytes = 16 | 32;

/** As IQA says. A queue takes it over when it is enabled. */
function writtenDescriptorBytes(registers: RegisterFile): DescriptorBytes {
  return registers.has(register.IQA, WIDE_DESCRIPTORS) && capabilityOf(registers).scalableMode ? 32 : 16;
}

/** How many descriptors a queue holds that is enabled now. */
export function writtenQueueSize(registers: RegisterFile): number {
  return 2 ** ((registers.get(register.IQA) & 0x7) + (writtenDescriptorBytes(registers) === 32 ? 7 : 8));
}

/**
 * The width that a queue at work was enabled with: IQA may have been written again since, but IQH, which only the unit
 * writes, tells where the head stands in bytes.
 */
export function descriptorBytesOf(state: VtdState, registers: RegisterFile): DescriptorBytes {
  const head = registers.get(register.IQH);
  if (state.qi_enabled && state.iq_head !== 0) return head === state.iq_head * 32 ? 32 : 16;
  return writtenDescriptorBytes(registers);
}
