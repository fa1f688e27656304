// The invalidation queue: a ring of descriptors in guest memory, worked off whenever its tail moves.
// Source: VT-d specification, "Queued Invalidation Interface".
import { isMigrationError } from "@godwit/core";
import type { VtdState } from "./description.ts";
import { carryOut, type DescriptorTargets, descriptorType, typeOf, type Words } from "./descriptor.ts";
import { descriptorBytesOf, writtenQueueSize } from "./queue-shape.ts";
import { faultStatus, type RegisterFile, register } from "./registers.ts";

/** What the queue works on. */
export interface QueueUnit extends DescriptorTargets {
  readonly state: VtdState;
  readonly registers: RegisterFile;
  /** The queue cannot go on: IQE. */
  readonly onError: () => void;
}

/** GCMD.QIE. The queue stays on while it holds work, or its last descriptor was none to wait for. */
export function enableQueue({ state, registers }: QueueUnit, on: boolean): boolean {
  if (on) {
    state.iq = BigInt(registers.pageAddress(register.IQA));
    state.iq_size = writtenQueueSize(registers);
  } else {
    const last = state.iq_last_desc_type;
    if (state.iq_head !== state.iq_tail || (last !== 0 && last !== descriptorType.WAIT)) return false;
    registers.set(register.IQH, 0);
    state.iq_head = 0;
  }
  state.qi_enabled = on;
  return true;
}

/** IQT, after it was written. A tail in the middle of a wide descriptor is not taken over, as in QEMU's unit. */
export function moveTail({ state, registers }: QueueUnit): void {
  const tail = registers.get(register.IQT) / descriptorBytesOf(state, registers);
  if (Number.isInteger(tail)) state.iq_tail = tail;
}

/** Works the queue off. A descriptor that cannot be carried out stops it: the head stays there until IQE is cleared. */
export function runQueue(unit: QueueUnit): void {
  const { state, registers } = unit;
  if (!state.qi_enabled) return;
  const descriptorBytes = descriptorBytesOf(state, registers);
  while (state.iq_head !== state.iq_tail && !registers.has(register.FSTS, faultStatus.QUEUE_ERROR)) {
    if (state.iq_tail >= state.iq_size || !step(unit, descriptorBytes)) {
      unit.onError();
      return;
    }
    state.iq_head = (state.iq_head + 1) % state.iq_size;
    registers.set(register.IQH, state.iq_head * descriptorBytes);
  }
}

/** Fetches the descriptor at the head and carries it out. False where it is not valid, or not in memory. */
function step(unit: QueueUnit, descriptorBytes: number): boolean {
  const { state, memory } = unit;
  try {
    const bytes = memory.read(Number(state.iq) + descriptorBytes * state.iq_head, descriptorBytes);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const words = Array.from({ length: descriptorBytes / 4 }, (_, i) =>
      view.getUint32(4 * i, true),
    ) as unknown as Words;
    // Also of a descriptor that then fails: it decides whether the guest may switch the queue off.
    state.iq_last_desc_type = typeOf(words);
    return carryOut(unit, words);
  } catch (error) {
    if (isMigrationError(error) && error.code === "MEMORY_UNMAPPED") return false;
    throw error;
  }
}
