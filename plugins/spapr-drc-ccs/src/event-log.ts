// A hot-plug event as the guest reads it: an RTAS error log with an extended log of version 6.
// Source: PAPR 10.3.2 (tables of the version 6 sections); compared byte by byte with QEMU 7.2's.
import { Writer } from "@godwit/core";
import { type DrcType, drcType } from "./drc-index.ts";

/** One pending event, as it travels (QEMU: SpaprEventLogEntry, less what its parts mean). */
export interface EventLogEntry {
  /** The first word of the RTAS error log: version, severity, disposition, type. */
  summary: number;
  extended_length: number;
  extended_log: Uint8Array;
}

/** Which connectors an event is about. */
export type HotplugTarget =
  | { readonly index: number }
  | { readonly count: number; readonly type: DrcType }
  /** `count` connectors, the first of which is `index`. */
  | { readonly index: number; readonly count: number };

export interface HotplugEvent {
  readonly action: "add" | "remove";
  readonly target: HotplugTarget;
  /** Numbers the events that a machine made: the platform log id. */
  readonly logId: number;
  /** Nanoseconds since the Epoch, by the guest's real-time clock. */
  readonly time: bigint;
}

const hotplugTypes: Readonly<Record<DrcType, number>> = { cpu: 1, lmb: 2, phb: 4, pci: 5, pmem: 6 };
const actions = { add: 1, remove: 2 } as const;
const identifiers = { index: 2, count: 3, countAndIndex: 4 } as const;

/** Version 6, severity "event", fully recovered, with an extended log, of type hot-plug. */
const summaryOfHotplug = 0x0634_60e5;
/** An error log's two words, which stand before the extended log. Bytes. */
const logHeadBytes = 8;
const partBytes = { extended: 16, mainA: 48, mainB: 24, hotplug: 20 } as const;
const extendedBytes = partBytes.extended + partBytes.mainA + partBytes.mainB + partBytes.hotplug;

/** The log of one event. */
export function hotplugLog(event: HotplugEvent): EventLogEntry {
  const out = new Writer(extendedBytes);
  writeExtendedHead(out);
  writeMainA(out, event);
  writeMainB(out);
  writeHotplug(out, event);
  return { summary: summaryOfHotplug, extended_length: extendedBytes, extended_log: out.flush() };
}

/** What the guest's buffer gets. */
export function logBytes({ summary, extended_length, extended_log }: EventLogEntry): Uint8Array {
  const out = new Writer(logHeadBytes + extended_log.length);
  out.u32(summary);
  out.u32(extended_length);
  out.raw(extended_log);
  return out.flush();
}

function writeExtendedHead(out: Writer): void {
  out.u32(0x8600_8e00); // valid and new; big-endian, PowerPC format, version 6
  out.u64(0n);
  out.u32(0x4942_4d00); // "IBM"
}

/** Of every part: two letters, its length, version, subtype, creator component. */
function writePartHead(out: Writer, letters: string, bytes: number, version: number): void {
  for (const letter of letters) out.u8(letter.charCodeAt(0));
  out.u16(bytes);
  out.u8(version);
  out.u8(0);
  out.u16(0);
}

function writeMainA(out: Writer, { logId, time }: HotplugEvent): void {
  const now = new Date(Number(time / 1_000_000n));
  writePartHead(out, "PH", partBytes.mainA, 0);
  for (const two of [Math.floor(now.getUTCFullYear() / 100), now.getUTCFullYear() % 100]) out.u8(bcd(two));
  for (const two of [now.getUTCMonth() + 1, now.getUTCDate()]) out.u8(bcd(two));
  for (const two of [now.getUTCHours(), now.getUTCMinutes(), now.getUTCSeconds(), 0]) out.u8(bcd(two));
  out.u64(0n);
  out.u32(0x4800_0003); // by the hypervisor; three parts
  out.u64(0n);
  out.u32(0);
  // QEMU leaves its counter in the host's byte order, which on all that it was seen on is little-endian.
  for (let at = 0; at < 4; at++) out.u8((logId >>> (8 * at)) & 0xff);
  out.u32(0);
}

function writeMainB(out: Writer): void {
  writePartHead(out, "UH", partBytes.mainB, 0);
  out.u32(0x8000_0000); // subsystem: external environment
  out.u64(0n);
  out.u32(0);
}

function writeHotplug(out: Writer, { action, target }: HotplugEvent): void {
  const byIndex = "index" in target;
  const byCount = "count" in target;
  const type = "type" in target ? target.type : drcType(target.index);
  writePartHead(out, "HP", partBytes.hotplug, 1);
  out.u8(hotplugTypes[type]);
  out.u8(actions[action]);
  out.u8(byIndex && byCount ? identifiers.countAndIndex : byCount ? identifiers.count : identifiers.index);
  out.u8(0);
  const words = [...(byCount ? [target.count] : []), ...(byIndex ? [target.index] : []), 0];
  for (const word of words.slice(0, 2)) out.u32(word);
}

function bcd(two: number): number {
  return (Math.floor(two / 10) << 4) | (two % 10);
}
