// What the unit tells its guest of faults: the fault records, and the fault status register.
import type { VtdState } from "./description.ts";
import type { EventMessage } from "./events.ts";
import type { FaultRecord } from "./fault.ts";
import { faultRecord, faultRecords, faultStatus, type RegisterFile, register } from "./registers.ts";

const anyStatus = faultStatus.OVERFLOW | faultStatus.PENDING | faultStatus.QUEUE_ERROR;

/** Sets status bits. Only the first reason to look interrupts; the guest finds the others when it looks. */
export function raiseFaultStatus(registers: RegisterFile, event: EventMessage, bits: number): void {
  const quiet = !registers.has(register.FSTS, anyStatus);
  registers.raise(register.FSTS, bits);
  if (quiet) event.raise(registers);
}

/** Fills the next fault record. While it is still full, or an overflow is not cleared, faults are only counted as lost. */
export function recordFault(
  state: VtdState,
  registers: RegisterFile,
  event: EventMessage,
  { sourceId, reason, low, high, read, silent }: FaultRecord,
): void {
  if (silent || registers.has(register.FSTS, faultStatus.OVERFLOW)) return;
  const index = state.next_frcd_reg;
  const at = register.FRCD + faultRecord.bytes * index;
  if (registers.has(at + 12, faultRecord.VALID)) {
    raiseFaultStatus(registers, event, faultStatus.OVERFLOW);
    return;
  }
  registers.set(at, low);
  registers.set(at + 4, high);
  registers.set(at + 8, sourceId);
  registers.set(at + 12, faultRecord.VALID | (read ? faultRecord.READ : 0) | reason);
  if (!registers.has(register.FSTS, faultStatus.PENDING)) {
    registers.lower(register.FSTS, faultStatus.RECORD_MASK);
    registers.raise(register.FSTS, index << faultStatus.RECORD_SHIFT);
  }
  state.next_frcd_reg = (index + 1) % faultRecords;
  raiseFaultStatus(registers, event, faultStatus.PENDING);
}

/** After the guest cleared a record or a status bit: PPF follows the records, a pending message its reasons. */
export function settleFaultStatus(registers: RegisterFile, event: EventMessage): void {
  let full = false;
  for (let i = 0; i < faultRecords; i++) {
    full ||= registers.has(register.FRCD + faultRecord.bytes * i + 12, faultRecord.VALID);
  }
  if (!full) registers.lower(register.FSTS, faultStatus.PENDING);
  if (!registers.has(register.FSTS, anyStatus)) event.withdraw(registers);
}
