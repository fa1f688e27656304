// The guest's interrupt-remapping table: an entry of 16 bytes, read from guest memory and found to be well formed.
// Source: VT-d specification, "Interrupt Remapping Table Entry (IRTE) for Remapped Interrupts".
import { isMigrationError } from "@godwit/core";
import { hex, InterruptFault, type InterruptRequest, interruptFaultReason } from "./fault.ts";
import type { TableMemory } from "./tables.ts";

/** What an entry that is present says. */
export interface InterruptEntry {
  /** Where the entry stands in guest memory, for messages. */
  readonly gpa: number;
  readonly vector: number;
  /** DLM: 0 fixed, 1 lowest priority, 2 SMI, 4 NMI, 5 INIT, 7 ExtINT. */
  readonly deliveryMode: number;
  /** TM: level-triggered. */
  readonly level: boolean;
  /** DM: the destination is logical. */
  readonly logical: boolean;
  /** RH: redirection hint. */
  readonly redirectionHint: boolean;
  /** All 32 bits; without EIME, bits 15 to 8 are an APIC id and the others mean nothing. */
  readonly destination: number;
  /** FPD: faults of this entry are not recorded. */
  readonly silent: boolean;
  /** SVT, SQ and SID: which devices may use this entry. */
  readonly validation: { readonly type: number; readonly qualifier: number; readonly sourceId: number };
}

const entryBytes = 16;
const present = 0x1;
const faultsOff = 0x2;
// Bits 7 to 5 are the delivery mode, 11 to 8 the guest's own. Bit 15 (IM) belongs to posted interrupts, not offered.
const reservedLow = 0xff00_f000;
const reservedUpper = 0xfff0_0000;

/** Reads the entry `index`. `TRANSLATION_FAULT` where it cannot be read, is not present or has reserved bits set. */
export function readInterruptEntry(
  memory: TableMemory,
  table: { readonly root: number; readonly entries: number },
  index: number,
  request: InterruptRequest,
): InterruptEntry {
  if (index >= table.entries) {
    throw new InterruptFault(request, index, {
      reason: interruptFaultReason.INDEX_TOO_LARGE,
      what: "the interrupt-remapping table has no such entry",
      expected: `an index below ${table.entries}`,
      found: String(index),
    });
  }
  const gpa = table.root + entryBytes * index;
  const [low, destination, source, upper] = readWords(memory, gpa, index, request);
  const silent = (low & faultsOff) !== 0;
  const entry = () =>
    `${[upper, source, destination, low].map((word) => word.toString(16).padStart(8, "0")).join("_")}`;
  if ((low & present) === 0) {
    throw new InterruptFault(request, index, {
      reason: interruptFaultReason.ENTRY_NOT_PRESENT,
      what: `the entry ${index} of the interrupt-remapping table, at ${hex(gpa)}, is not present`,
      expected: "present",
      found: entry(),
      silent,
    });
  }
  const validation = { type: (source >>> 18) & 0x3, qualifier: (source >>> 16) & 0x3, sourceId: source & 0xffff };
  if ((low & reservedLow) !== 0 || (source & reservedUpper) !== 0 || upper !== 0 || validation.type === 3) {
    throw new InterruptFault(request, index, {
      reason: interruptFaultReason.ENTRY_RESERVED,
      what: `the entry ${index} of the interrupt-remapping table, at ${hex(gpa)}, has reserved bits set`,
      found: entry(),
      silent,
    });
  }
  return {
    gpa,
    vector: (low >>> 16) & 0xff,
    deliveryMode: (low >>> 5) & 0x7,
    level: (low & 0x10) !== 0,
    logical: (low & 0x4) !== 0,
    redirectionHint: (low & 0x8) !== 0,
    destination,
    silent,
    validation,
  };
}

function readWords(
  memory: TableMemory,
  gpa: number,
  index: number,
  request: InterruptRequest,
): [number, number, number, number] {
  try {
    const bytes = memory.read(gpa, entryBytes);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return [view.getUint32(0, true), view.getUint32(4, true), view.getUint32(8, true), view.getUint32(12, true)];
  } catch (cause) {
    // Anything else (a page that post-copy still owes, say) is no fault of the table.
    if (!isMigrationError(cause) || cause.code !== "MEMORY_UNMAPPED") throw cause;
    const what = `the entry ${index} of the interrupt-remapping table, at ${hex(gpa)}, is not in memory`;
    throw new InterruptFault(request, index, { reason: interruptFaultReason.TABLE_UNREADABLE, what, cause });
  }
}
