// An access or an interrupt that fails: the error that a device sees, with what the unit needs to record it.
import { MigrationError } from "@godwit/core";
import { formatSourceId } from "./source-id.ts";

/** Fault reasons of legacy mode. Source: VT-d specification, "Fault Reason Encodings". */
export const faultReason = {
  ROOT_NOT_PRESENT: 0x1,
  CONTEXT_NOT_PRESENT: 0x2,
  CONTEXT_INVALID: 0x3,
  ADDRESS_TOO_LARGE: 0x4,
  WRITE_DENIED: 0x5,
  READ_DENIED: 0x6,
  PAGE_TABLE_UNREADABLE: 0x7,
  ROOT_UNREADABLE: 0x8,
  CONTEXT_UNREADABLE: 0x9,
  ROOT_RESERVED: 0xa,
  CONTEXT_RESERVED: 0xb,
  PAGE_TABLE_RESERVED: 0xc,
} as const;

/** Fault reasons of interrupt remapping, from the same place. */
export const interruptFaultReason = {
  REQUEST_RESERVED: 0x20,
  INDEX_TOO_LARGE: 0x21,
  ENTRY_NOT_PRESENT: 0x22,
  TABLE_UNREADABLE: 0x23,
  ENTRY_RESERVED: 0x24,
  COMPATIBILITY_BLOCKED: 0x25,
  SOURCE_DENIED: 0x26,
} as const;

/** What the unit writes into a fault record. */
export interface FaultRecord {
  readonly sourceId: number;
  readonly reason: number;
  /** FI in two halves: the page of an access, or an interrupt's index in bits 63 to 48. */
  readonly low: number;
  readonly high: number;
  /** T: a read. */
  readonly read: boolean;
  /** FPD: the fault is not recorded. */
  readonly silent: boolean;
}

/** One access by a device: who, where, and whether it writes. */
export interface Request {
  readonly sourceId: number;
  /** Device-visible address. */
  readonly iova: number;
  readonly write: boolean;
}

export interface FaultInit {
  readonly reason: number;
  /** What is missing, where. */
  readonly what: string;
  readonly expected?: string;
  readonly found?: string;
  /** FPD: the context entry asks for faults not to be recorded. */
  readonly silent?: boolean;
  readonly cause?: unknown;
}

/** `TRANSLATION_FAULT`. Callers see a MigrationError; only the unit looks at the rest, to fill its fault record. */
export class TranslationFault extends MigrationError {
  readonly reason: number;
  readonly record: FaultRecord;

  constructor(request: Request, { reason, what, silent = false, ...more }: FaultInit) {
    super("TRANSLATION_FAULT", `${describe(request)}: ${what}`, more);
    const { sourceId, iova, write } = request;
    this.reason = reason;
    this.record = {
      sourceId,
      reason,
      low: iova & 0xffff_f000,
      high: Math.floor(iova / 2 ** 32),
      read: !write,
      silent,
    };
  }
}

/** One interrupt message by a device. */
export interface InterruptRequest {
  readonly sourceId: number;
  readonly address: number;
  readonly data: number;
}

/** `TRANSLATION_FAULT`: the interrupt is blocked. `index` is that of its entry, where it has one. */
export class InterruptFault extends MigrationError {
  readonly reason: number;
  readonly record: FaultRecord;

  constructor(request: InterruptRequest, index: number, { reason, what, silent = false, ...more }: FaultInit) {
    super("TRANSLATION_FAULT", `${describeInterrupt(request)}: ${what}`, more);
    this.reason = reason;
    this.record = { sourceId: request.sourceId, reason, low: 0, high: (index << 16) >>> 0, read: false, silent };
  }
}

function describeInterrupt({ sourceId, address, data }: InterruptRequest): string {
  return `device ${formatSourceId(sourceId)} interrupts with ${hex(data)} at ${hex(address)}`;
}

/** The reason where an access lacks a permission, or what it reaches is not there. */
export function denied(request: Request): number {
  return request.write ? faultReason.WRITE_DENIED : faultReason.READ_DENIED;
}

export function describe({ sourceId, iova, write }: Request): string {
  return `device ${formatSourceId(sourceId)} ${write ? "writes" : "reads"} ${hex(iova)}`;
}

export function hex(value: number): string {
  return value < 0 || !Number.isInteger(value) ? String(value) : `0x${value.toString(16)}`;
}
