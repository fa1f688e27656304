// A translation that fails: the error that a device sees, with what the unit needs to record it.
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
  readonly request: Request;
  readonly reason: number;
  readonly silent: boolean;

  constructor(request: Request, { reason, what, silent = false, ...more }: FaultInit) {
    super("TRANSLATION_FAULT", `${describe(request)}: ${what}`, more);
    this.request = request;
    this.reason = reason;
    this.silent = silent;
  }
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
