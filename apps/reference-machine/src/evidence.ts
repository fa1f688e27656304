/**
 * What the guest leaves behind, made and checked on the host: numbered blocks and packets, marked pages.
 * The formats are those of `guest/evidence.c`; a test runs that code and compares. Nothing here does I/O.
 */
import type { GuestStatus } from "./guest/status-block.ts";
import { PAGE_BYTES, RAM_BASE } from "./memory-map.ts";

export const BLOCK_BYTES = 512;
const ETHERNET_HEADER_BYTES = 14;
const MAC_BYTES = 6;
const PACKET_WORDS = 36;
/** A packet as the network sees it: from the Ethernet header on, without the virtio header. */
export const PACKET_BYTES: number = ETHERNET_HEADER_BYTES + 4 * PACKET_WORDS;

/** "BLK!" */
const BLOCK_MAGIC = 0x214b_4c42;
/** "PKT!" */
const PACKET_MAGIC = 0x2154_4b50;
const BLOCK_SPREAD = 0x9e37_79b9;
const PACKET_SPREAD = 0x85eb_ca6b;
const ETHERTYPE = 0x88b5;
/** Where a marked page holds words that depend on its header. */
const PAGE_MARK_OFFSETS: readonly number[] = [0x400, 0x800, 0xffc];

/** FNV-1a, 32 bits. */
export function checksum(bytes: Uint8Array): number {
  let hash = 0x811c_9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x0100_0193);
  return hash >>> 0;
}

/** {magic, number, seed, xorshift32 payload, checksum of all before} from `start` to the end of `bytes`. */
function fill(bytes: Uint8Array, start: number, magic: number, number: number, seed: number, spread: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.byteLength - 4;
  view.setUint32(start, magic, true);
  view.setUint32(start + 4, number, true);
  view.setUint32(start + 8, seed, true);
  let word = (seed ^ Math.imul(number, spread)) | 0;
  if (word === 0) word = BLOCK_SPREAD;
  for (let at = start + 12; at < end; at += 4) {
    word ^= word << 13;
    word ^= word >>> 17;
    word ^= word << 5;
    view.setUint32(at, word, true);
  }
  view.setUint32(end, checksum(bytes.subarray(0, end)), true);
}

/** Block `number` (from 1) as the guest writes it to sector `(number - 1) % sectors`. */
export function expectedBlock(number: number, seed: number): Uint8Array {
  const block = new Uint8Array(BLOCK_BYTES);
  fill(block, 0, BLOCK_MAGIC, number, seed, BLOCK_SPREAD);
  return block;
}

/** Packet `number` (from 1) as the guest with that MAC address sends it. */
export function expectedPacket(number: number, seed: number, mac: Uint8Array): Uint8Array {
  const packet = new Uint8Array(PACKET_BYTES);
  packet.fill(0xff, 0, MAC_BYTES);
  packet.set(mac.subarray(0, MAC_BYTES), MAC_BYTES);
  packet[2 * MAC_BYTES] = ETHERTYPE >> 8;
  packet[2 * MAC_BYTES + 1] = ETHERTYPE & 0xff;
  fill(packet, ETHERNET_HEADER_BYTES, PACKET_MAGIC, number, seed, PACKET_SPREAD);
  return packet;
}

/** What one block or packet turned out to be. */
export type Finding =
  | { kind: "intact"; number: number }
  /** A sector that nobody has written. */
  | { kind: "empty" }
  /** `number` is what it calls itself: a torn one may lie. */
  | { kind: "torn"; number: number; reason: "length" | "magic" | "seed" | "checksum" | "content" };

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

function examine(
  bytes: Uint8Array,
  start: number,
  magic: number,
  seed: number,
  expected: (number: number) => Uint8Array,
): Finding {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.byteLength - 4;
  const number = view.getUint32(start + 4, true);
  if (view.getUint32(start, true) !== magic) return { kind: "torn", number, reason: "magic" };
  if (view.getUint32(start + 8, true) !== seed) return { kind: "torn", number, reason: "seed" };
  if (view.getUint32(end, true) !== checksum(bytes.subarray(0, end)))
    return { kind: "torn", number, reason: "checksum" };
  // A right checksum over wrong bytes: made whole by somebody who is not the guest.
  if (!equal(bytes, expected(number))) return { kind: "torn", number, reason: "content" };
  return { kind: "intact", number };
}

export function checkBlock(block: Uint8Array, seed: number): Finding {
  if (block.length !== BLOCK_BYTES) return { kind: "torn", number: 0, reason: "length" };
  if (block.every((byte) => byte === 0)) return { kind: "empty" };
  return examine(block, 0, BLOCK_MAGIC, seed, (number) => expectedBlock(number, seed));
}

export function checkPacket(packet: Uint8Array, seed: number, mac: Uint8Array): Finding {
  if (packet.length !== PACKET_BYTES) return { kind: "torn", number: 0, reason: "length" };
  return examine(packet, ETHERNET_HEADER_BYTES, PACKET_MAGIC, seed, (number) => expectedPacket(number, seed, mac));
}

/** Something torn: where it was (arrival, sector or page, each from 0), and what it calls itself. */
interface TornItem {
  at: number;
  number: number;
  reason: string;
}

/** What was wrong with a disk, a sequence or a pool; each list is empty if nothing was. */
export interface Verdict {
  /** How many are as they should be. */
  intact: number;
  /** Numbers (of a pool: page indices) that should be there and are not. */
  missing: number[];
  /** Numbers (of a pool: page indices) that came more often than once, or to a place that is not theirs. */
  repeated: number[];
  torn: TornItem[];
  /** Numbers that the guest has not submitted yet (of a pool: indices of pages that hold such a number). */
  unexpected: number[];
}

export function emptyVerdict(): Verdict {
  return { intact: 0, missing: [], repeated: [], torn: [], unexpected: [] };
}

export function isClean(verdict: Verdict): boolean {
  return (
    verdict.missing.length === 0 &&
    verdict.repeated.length === 0 &&
    verdict.torn.length === 0 &&
    verdict.unexpected.length === 0
  );
}

/** What the guest says it has done, by number: all up to `completed`, nothing beyond `submitted`. */
export interface Progress {
  completed: number;
  submitted: number;
}

/** Numbers `first` to `last` that have not arrived although a later one has. */
export interface Gap {
  first: number;
  last: number;
}

/**
 * The numbers that arrived one after another: packets on the wire, or blocks in the order in which they were written.
 */
export interface SequenceTally {
  /** Items seen, whatever they were. */
  arrivals: number;
  intact: number;
  /** The highest number that has arrived. */
  highest: number;
  /** In ascending order, all below `highest`. */
  gaps: Gap[];
  repeated: number[];
  torn: TornItem[];
}

export function emptyTally(): SequenceTally {
  return { arrivals: 0, intact: 0, highest: 0, gaps: [], repeated: [], torn: [] };
}

/** Takes `number` out of the gap that it is in; `false` if it is in none. */
function closeGap(gaps: Gap[], number: number): boolean {
  const index = gaps.findIndex((gap) => gap.first <= number && number <= gap.last);
  const gap = gaps[index];
  if (gap === undefined) return false;
  const rest = [
    { first: gap.first, last: number - 1 },
    { first: number + 1, last: gap.last },
  ].filter(({ first, last }) => first <= last);
  gaps.splice(index, 1, ...rest);
  return true;
}

/** Adds one arrival to the tally. */
export function tallyArrival(tally: SequenceTally, finding: Finding): void {
  const at = tally.arrivals++;
  if (finding.kind === "empty") {
    tally.torn.push({ at, number: 0, reason: "empty" });
  } else if (finding.kind === "torn") {
    tally.torn.push({ at, number: finding.number, reason: finding.reason });
  } else if (finding.number > tally.highest) {
    if (finding.number > tally.highest + 1) tally.gaps.push({ first: tally.highest + 1, last: finding.number - 1 });
    tally.highest = finding.number;
    tally.intact++;
  } else if (closeGap(tally.gaps, finding.number)) {
    tally.intact++;
  } else {
    tally.repeated.push(finding.number);
  }
}

/** Numbers from `first` to `last`, neither below 1. */
function range(first: number, last: number): number[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index);
}

export function checkSequence(tally: SequenceTally, progress: Progress): Verdict {
  const missing = [
    ...tally.gaps.flatMap((gap) => range(gap.first, Math.min(gap.last, progress.completed))),
    ...range(tally.highest + 1, progress.completed),
  ];
  const unexpected = tally.highest > progress.submitted ? [tally.highest] : [];
  return { intact: tally.intact, missing, repeated: [...tally.repeated], torn: [...tally.torn], unexpected };
}

/** The last number up to `last` that belongs to `sector`; 0 or less if there is none. */
function latestOf(sector: number, sectors: number, last: number): number {
  return last - ((((last - 1 - sector) % sectors) + sectors) % sectors);
}

/**
 * Checks a whole disk. A sector must hold the last completed block that belongs to it, or one submitted since.
 * @param disk all sectors, 512 bytes each.
 */
export function checkDisk(disk: Uint8Array, seed: number, progress: Progress): Verdict {
  const sectors = disk.length / BLOCK_BYTES;
  const verdict = emptyVerdict();
  for (let sector = 0; sector < sectors; sector++) {
    const required = Math.max(0, latestOf(sector, sectors, progress.completed));
    const finding = checkBlock(disk.subarray(sector * BLOCK_BYTES, (sector + 1) * BLOCK_BYTES), seed);
    if (finding.kind === "torn") {
      verdict.torn.push({ at: sector, number: finding.number, reason: finding.reason });
    } else if (finding.kind === "empty") {
      if (required > 0) verdict.missing.push(required);
    } else if ((finding.number - 1) % sectors !== sector) {
      verdict.repeated.push(finding.number);
      if (required > 0) verdict.missing.push(required);
    } else if (finding.number < required) {
      verdict.missing.push(required);
    } else if (finding.number > progress.submitted) {
      verdict.unexpected.push(finding.number);
    } else {
      verdict.intact++;
    }
  }
  return verdict;
}

/** Times that page `index` of the pool has been marked in all after `visits` visits. */
function passesOf(index: number, pages: number, visits: number): number {
  return visits <= index ? 0 : Math.floor((visits - index - 1) / pages) + 1;
}

/** What a page of marks says; `pass` 0: nobody has marked it. */
export function checkPage(page: DataView, address: number): { pass: number; number: number; torn?: string } {
  const word = (offset: number): number => page.getUint32(offset, true);
  const pass = word(4);
  const number = word(8);
  const header = checksum(new Uint8Array(page.buffer, page.byteOffset, 12));
  const blank = [0, 4, 8, 12, ...PAGE_MARK_OFFSETS].every((offset) => word(offset) === 0);
  if (blank) return { pass: 0, number: 0 };
  if (word(0) !== address) return { pass, number, torn: "address" };
  if (word(12) !== header) return { pass, number, torn: "checksum" };
  for (const offset of PAGE_MARK_OFFSETS) {
    if (word(offset) !== (header ^ Math.imul(offset, BLOCK_SPREAD)) >>> 0) return { pass, number, torn: "mark" };
  }
  return { pass, number };
}

/**
 * Checks the page pool of a guest that does not run. `missing`: a page that lost a visit; `repeated`: one that had more
 * than the guest knows of. The page whose visit has begun but is not counted may be in any state, and is not judged.
 * @param ram the whole RAM, from which `status` was read too.
 */
export function checkPool(ram: Uint8Array, status: GuestStatus): Verdict {
  const { poolOffset, poolPages, poolVisits } = status;
  const verdict = emptyVerdict();
  if (poolOffset + poolPages * PAGE_BYTES > ram.byteLength) {
    throw new RangeError(`checkPool: ${poolPages} pages from ${poolOffset} in ${ram.byteLength} bytes of RAM`);
  }
  for (let index = 0; index < poolPages; index++) {
    if (index === poolVisits % poolPages) continue;
    const offset = poolOffset + index * PAGE_BYTES;
    const page = checkPage(new DataView(ram.buffer, ram.byteOffset + offset, PAGE_BYTES), RAM_BASE + offset);
    const passes = passesOf(index, poolPages, poolVisits);
    if (page.torn !== undefined) verdict.torn.push({ at: index, number: page.pass, reason: page.torn });
    else if (page.pass < passes) verdict.missing.push(index);
    else if (page.pass > passes) verdict.repeated.push(index);
    else if (page.number > status.blocksSubmitted) verdict.unexpected.push(index);
    else verdict.intact++;
  }
  return verdict;
}
