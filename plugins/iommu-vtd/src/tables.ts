// The guest's tables: root entry, context entry, second-level page tables, read from guest memory in legacy mode.
// Source: VT-d specification, "Root Entry", "Context Entry", "Second-Level Paging Entries".
import { isMigrationError } from "@godwit/core";
import type { Capability } from "./capability.ts";
import { denied, faultReason, hex, type Request, TranslationFault } from "./fault.ts";
import { pageAddress } from "./registers.ts";

/** Guest memory as far as tables need it. Throws `MEMORY_UNMAPPED` where there is none. */
export interface TableMemory {
  /** `length` bytes at a guest-physical address; a view or a copy, not kept. */
  read(gpa: number, length: number): Uint8Array;
}

/** The root table that is in use. */
export interface Root {
  readonly table: number;
  /** What else is worth knowing of it where its entry is at fault; may be empty. */
  readonly note: string;
}

/** What a context entry says of a device. */
export interface Context {
  readonly domainId: number;
  readonly passThrough: boolean;
  /** Levels of the page tables: 3, 4 or 5. */
  readonly levels: number;
  /** Guest-physical address of the topmost page table. */
  readonly table: number;
  /** FPD: faults of this device are not recorded. */
  readonly silent: boolean;
}

/** One page of the page tables. */
export interface Mapping {
  /** Guest-physical address of the page's first byte. */
  readonly gpa: number;
  readonly pageBytes: number;
  /** What every level of the walk allows. */
  readonly read: boolean;
  readonly write: boolean;
}

interface Entry {
  readonly address: number;
  readonly low: number;
  readonly high: number;
}

const present = 0x1;
const reservedAbove = 0xfff0_0000; // bits 63 to 52 of a pointer

/** Finds the device's context entry. `TRANSLATION_FAULT` names the entry that is missing or wrong, and its address. */
export function readContext(memory: TableMemory, root: Root, capability: Capability, request: Request): Context {
  const bus = request.sourceId >>> 8;
  const rootName = `root entry of bus ${bus}${root.note}`;
  const [rootEntry, rootUpper] = readPair(
    memory,
    root.table + 16 * bus,
    request,
    faultReason.ROOT_UNREADABLE,
    rootName,
  );
  if ((rootEntry.low & present) === 0) throw missing(request, faultReason.ROOT_NOT_PRESENT, rootName, rootEntry);
  if ((rootEntry.low & 0xffe) !== 0 || (rootEntry.high & reservedAbove) !== 0 || !isZero(rootUpper)) {
    throw reserved(request, faultReason.ROOT_RESERVED, rootName, rootEntry);
  }

  const at = pageAddress(rootEntry.low, rootEntry.high) + 16 * (request.sourceId & 0xff);
  const [entry, upper] = readPair(memory, at, request, faultReason.CONTEXT_UNREADABLE, contextName);
  const silent = (entry.low & 0x2) !== 0;
  if ((entry.low & present) === 0) {
    throw missing(request, faultReason.CONTEXT_NOT_PRESENT, contextName, entry, silent);
  }
  if (
    (entry.low & 0xff0) !== 0 ||
    (entry.high & reservedAbove) !== 0 ||
    (upper.low & 0xff00_0080) !== 0 ||
    upper.high !== 0
  ) {
    throw reserved(request, faultReason.CONTEXT_RESERVED, contextName, entry, silent);
  }
  const type = (entry.low >>> 2) & 0x3;
  checkType(capability, request, entry, type, silent);
  const width = upper.low & 0x7;
  checkWidth(capability, request, entry, width, silent);
  return {
    domainId: (upper.low >>> 8) & 0xffff,
    passThrough: type === passThrough,
    levels: width + 2,
    table: pageAddress(entry.low, entry.high),
    silent,
  };
}

const contextName = "context entry";
const passThrough = 2;

/** The translation type must be one that the unit offers: 0, 1 with a device TLB, 2 pass-through. */
function checkType(capability: Capability, request: Request, entry: Entry, type: number, silent: boolean): void {
  const offered = [0, ...(capability.deviceTlb ? [1] : []), ...(capability.passThrough ? [passThrough] : [])];
  if (offered.includes(type)) return;
  throw new TranslationFault(request, {
    reason: faultReason.CONTEXT_INVALID,
    what: `the context entry at ${hex(entry.address)} has a translation type (TT) that the unit does not offer`,
    expected: offered.join(" or "),
    found: String(type),
    silent,
  });
}

/** The address width (AW n: n + 2 levels) must be one that the unit offers. */
function checkWidth(capability: Capability, request: Request, entry: Entry, width: number, silent: boolean): void {
  if ((capability.tableWidths & (1 << width)) !== 0) return;
  throw new TranslationFault(request, {
    reason: faultReason.CONTEXT_INVALID,
    what: `the context entry at ${hex(entry.address)} has an address width (AW) that the unit does not offer`,
    expected: [1, 2, 3].filter((n) => (capability.tableWidths & (1 << n)) !== 0).join(" or "),
    found: String(width),
    silent,
  });
}

/** Walks the page tables for one address. `TRANSLATION_FAULT` names the level, and the address of the entry. */
export function walkPages(memory: TableMemory, context: Context, capability: Capability, request: Request): Mapping {
  const { silent, levels } = context;
  const bits = Math.min(12 + 9 * levels, capability.addressBits);
  if (request.iova >= 2 ** bits) {
    throw new TranslationFault(request, {
      reason: faultReason.ADDRESS_TOO_LARGE,
      what: `the address is beyond the ${bits} bits that the device's tables cover`,
      expected: `below ${hex(2 ** bits)}`,
      found: hex(request.iova),
      silent,
    });
  }
  let table = context.table;
  let read = true;
  let write = true;
  for (let level = levels; ; level--) {
    const pageBytes = 2 ** (12 + 9 * (level - 1));
    const name = `page-table entry of level ${level}`;
    const at = table + 8 * (Math.floor(request.iova / pageBytes) % 512);
    const entry = readEntry(memory, at, request, faultReason.PAGE_TABLE_UNREADABLE, name, silent);
    const readable = (entry.low & 0x1) !== 0;
    const writable = (entry.low & 0x2) !== 0;
    if (!readable && !writable) throw missing(request, denied(request), name, entry, silent);
    const leaf = level === 1 || (entry.low & 0x80) !== 0;
    const gpa = pageAddress(entry.low, entry.high);
    if (reservedBits(capability, entry, level, leaf) || (leaf && gpa % pageBytes !== 0)) {
      throw reserved(request, faultReason.PAGE_TABLE_RESERVED, name, entry, silent);
    }
    if (!(request.write ? writable : readable)) {
      throw new TranslationFault(request, {
        reason: denied(request),
        what: `the ${name} at ${hex(at)} does not allow it`,
        expected: request.write ? "writable" : "readable",
        found: readable ? "read-only" : "write-only",
        silent,
      });
    }
    read &&= readable;
    write &&= writable;
    if (leaf) return { gpa, pageBytes, read, write };
    table = gpa;
  }
}

/** Bits that must be zero: SNP and TM where they are not offered, and the page-size bit where no such pages are. */
function reservedBits(capability: Capability, entry: Entry, level: number, leaf: boolean): boolean {
  if ((entry.low & 0x800) !== 0 && !(leaf && capability.snoopControl)) return true;
  if ((entry.high & 0x4000_0000) !== 0 && !(leaf && capability.deviceTlb)) return true;
  if (level === 1 || !leaf) return false;
  return (capability.largePages & (1 << (level - 2))) === 0;
}

function readEntry(
  memory: TableMemory,
  address: number,
  request: Request,
  reason: number,
  name: string,
  silent = false,
): Entry {
  try {
    const bytes = memory.read(address, 8);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return { address, low: view.getUint32(0, true), high: view.getUint32(4, true) };
  } catch (cause) {
    // Anything else (a page that post-copy still owes, say) is no fault of the tables.
    if (!isMigrationError(cause) || cause.code !== "MEMORY_UNMAPPED") throw cause;
    const what = `the ${name} at ${hex(address)} is not in memory`;
    throw new TranslationFault(request, { reason, what, silent, cause });
  }
}

/** Root and context entries: two halves of 64 bits. */
function readPair(
  memory: TableMemory,
  address: number,
  request: Request,
  reason: number,
  name: string,
): [lower: Entry, upper: Entry] {
  const lower = readEntry(memory, address, request, reason, name);
  return [lower, readEntry(memory, address + 8, request, reason, name)];
}

function isZero(entry: Entry): boolean {
  return entry.low === 0 && entry.high === 0;
}

function missing(request: Request, reason: number, name: string, entry: Entry, silent = false): TranslationFault {
  const what = `the ${name} at ${hex(entry.address)} is not present`;
  return new TranslationFault(request, { reason, what, expected: "present", found: showEntry(entry), silent });
}

function reserved(request: Request, reason: number, name: string, entry: Entry, silent = false): TranslationFault {
  const what = `the ${name} at ${hex(entry.address)} has reserved bits set`;
  return new TranslationFault(request, { reason, what, found: showEntry(entry), silent });
}

function showEntry(entry: Entry): string {
  return `0x${((BigInt(entry.high) << 32n) | BigInt(entry.low)).toString(16)}`;
}
