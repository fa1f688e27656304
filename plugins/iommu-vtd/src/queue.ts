// The invalidation queue: a ring of 16-byte descriptors in guest memory, worked off whenever its tail moves.
// Source: VT-d specification, "Queued Invalidation Interface".
import { isMigrationError } from "@godwit/core";
import type { VtdState } from "./description.ts";
import type { GuestMemory } from "./dma.ts";
import { invalidateContexts, invalidateTranslations } from "./invalidation.ts";
import type { ContextCache, Iotlb } from "./iotlb.ts";
import { faultStatus, type RegisterFile, register } from "./registers.ts";

const descriptorBytes = 16;
const descriptorType = { CONTEXT: 1, IOTLB: 2, WAIT: 5 } as const;
const waitFlag = { INTERRUPT: 0x10, STATUS_WRITE: 0x20 } as const;

/** What the queue works on. */
export interface QueueUnit {
  readonly state: VtdState;
  readonly registers: RegisterFile;
  readonly memory: GuestMemory;
  readonly contexts: ContextCache;
  readonly iotlb: Iotlb;
  /** The queue cannot go on: IQE. */
  readonly onError: () => void;
  /** A wait descriptor asked for an interrupt. */
  readonly onWaitComplete: () => void;
}

/** GCMD.QIE. The queue stays on while it holds work, or its last descriptor was none to wait for. */
export function enableQueue({ state, registers }: QueueUnit, on: boolean): boolean {
  if (on) {
    state.iq = BigInt(registers.pageAddress(register.IQA));
    state.iq_size = 2 ** ((registers.get(register.IQA) & 0x7) + 8);
  } else {
    const last = state.iq_last_desc_type;
    if (state.iq_head !== state.iq_tail || (last !== 0 && last !== descriptorType.WAIT)) return false;
    registers.set(register.IQH, 0);
    state.iq_head = 0;
  }
  state.qi_enabled = on;
  return true;
}

/** Works the queue off. A descriptor that cannot be carried out stops it: the head stays there until IQE is cleared. */
export function runQueue(unit: QueueUnit): void {
  const { state, registers } = unit;
  while (
    state.qi_enabled &&
    state.iq_head !== state.iq_tail &&
    !registers.has(register.FSTS, faultStatus.QUEUE_ERROR)
  ) {
    const type = state.iq_tail < state.iq_size ? carryOut(unit) : undefined;
    if (type === undefined) {
      unit.onError();
      return;
    }
    state.iq_last_desc_type = type;
    state.iq_head = (state.iq_head + 1) % state.iq_size;
    registers.set(register.IQH, state.iq_head * descriptorBytes);
  }
}

/** Carries out the descriptor at the head and gives its type; undefined where it is not valid, or not in memory. */
function carryOut(unit: QueueUnit): number | undefined {
  const { state, memory, contexts, iotlb } = unit;
  try {
    const bytes = memory.read(Number(state.iq) + descriptorBytes * state.iq_head, descriptorBytes);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const at = (i: number) => view.getUint32(4 * i, true);
    const words: Words = [at(0), at(1), at(2), at(3)];
    const [word0, word1, word2, word3] = words;
    const type = word0 & 0xf;
    if (reservedBits(type, words)) return undefined;
    const how = (word0 >>> 4) & 0x3;
    const domainId = word0 >>> 16;
    switch (type) {
      case descriptorType.CONTEXT: {
        const target = { domainId, sourceId: word1 & 0xffff, functionMask: (word1 >>> 16) & 0x3 };
        return invalidateContexts(contexts, how, target) ? type : undefined;
      }
      case descriptorType.IOTLB:
        return invalidateTranslations(iotlb, how, domainId, word2, word3) ? type : undefined;
      case descriptorType.WAIT:
        if ((word0 & waitFlag.STATUS_WRITE) !== 0) memory.write(word3 * 2 ** 32 + word2, littleEndian(word1));
        if ((word0 & waitFlag.INTERRUPT) !== 0) unit.onWaitComplete();
        return type;
      default:
        return undefined;
    }
  } catch (error) {
    if (isMigrationError(error) && error.code === "MEMORY_UNMAPPED") return undefined;
    throw error;
  }
}

type Words = readonly [number, number, number, number];

/** Bits that must be zero in each type of descriptor; an unknown type has none to look at. */
function reservedBits(type: number, [word0, word1, word2, word3]: Words): boolean {
  switch (type) {
    case descriptorType.CONTEXT:
      return (word0 & 0xffc0) !== 0 || (word1 & 0xfffc_0000) !== 0 || word2 !== 0 || word3 !== 0;
    case descriptorType.IOTLB:
      return (word0 & 0xff00) !== 0 || word1 !== 0 || (word2 & 0xf80) !== 0;
    case descriptorType.WAIT:
      return (word0 & 0xffff_ff80) !== 0 || (word2 & 0x3) !== 0 || (word3 & 0xfff0_0000) !== 0;
    default:
      return false;
  }
}

function littleEndian(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}
