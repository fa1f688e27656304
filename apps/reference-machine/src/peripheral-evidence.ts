/**
 * What the guest leaves behind with the devices beside disk and network card, made and checked on the host: pieces of
 * entropy, lines, pages of the balloon, jobs. The formats are those of `guest/evidence.c`. Nothing here does I/O.
 */
import { checkPage, checksum, emptyVerdict, type Progress, type Verdict } from "./evidence.ts";
import type { GuestStatus } from "./guest/status-block.ts";
import { ACCELERATOR_PAGE_BYTES, PAGE_BYTES, RAM_BASE } from "./memory-map.ts";
import type { AcceleratorView } from "./profiles/peripherals.ts";

export const PIECE_BYTES = 16;
/** "RNG!" */
const PIECE_MAGIC = 0x2147_4e52;
export const LINE_BYTES = 33;
/** The blocks of the SCSI disk are made of another seed, so that none passes for one of the other disk. */
const SCSI_SEED_SPREAD = 0x4953_4353;

export function scsiSeed(seed: number): number {
  return (seed ^ SCSI_SEED_SPREAD) >>> 0;
}

/** Piece `number` (from 1): {magic, number, seed, checksum of all before}. */
export function expectedPiece(number: number, seed: number): Uint8Array {
  const piece = new Uint8Array(PIECE_BYTES);
  const view = new DataView(piece.buffer);
  view.setUint32(0, PIECE_MAGIC, true);
  view.setUint32(4, number, true);
  view.setUint32(8, seed, true);
  view.setUint32(12, checksum(piece.subarray(0, 12)), true);
  return piece;
}

/** Line `number` (from 1) of the guest or of the host. */
export function expectedLine(who: "guest" | "host", number: number, seed: number): Uint8Array {
  const digits = (value: number): string => (value >>> 0).toString(16).padStart(8, "0");
  const start = `${who.padEnd(6)}${digits(number)} ${digits(seed)} `;
  return ascii(`${start}${digits(checksum(ascii(start)))}\n`);
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

/**
 * Checks the bytes that came out of the serial port, all of them in their order. What follows the last whole line must be
 * the beginning of the next.
 */
export function checkLines(bytes: Uint8Array, seed: number, { completed, submitted }: Progress): Verdict {
  const verdict = emptyVerdict();
  let next = 1;
  let at = 0;
  for (let line = 0; at < bytes.length; line++) {
    const end = bytes.indexOf(0x0a, at) + 1;
    if (end === 0) break;
    const found = bytes.subarray(at, end);
    const number = numberOf(found, seed);
    at = end;
    if (number === undefined) {
      verdict.torn.push({ at: line, number: next, reason: "line" });
      // The one that it should have been is not missing as well.
      next++;
    } else if (number < next) verdict.repeated.push(number);
    else {
      for (; next < number && verdict.missing.length < 1000; next++) verdict.missing.push(next);
      next = number + 1;
      verdict.intact++;
    }
  }
  const rest = bytes.subarray(at);
  if (!equal(rest, expectedLine("guest", next, seed).subarray(0, rest.length))) {
    verdict.torn.push({ at: next - 1, number: next, reason: "beginning" });
  }
  const begun = rest.length > 0 ? next : next - 1;
  if (begun > submitted) verdict.unexpected.push(begun);
  for (; next <= completed && verdict.missing.length < 1000; next++) verdict.missing.push(next);
  return verdict;
}

function numberOf(line: Uint8Array, seed: number): number | undefined {
  const number = Number.parseInt(String.fromCharCode(...line.subarray(6, 14)), 16);
  return equal(line, expectedLine("guest", number, seed)) ? number : undefined;
}

/** As many entries as the guest has counted, up to a bound: it does not keep their numbers. */
function counted(count: number, number: number): number[] {
  return new Array<number>(Math.min(count, 1000)).fill(number);
}

function tornOf(count: number, reason: string): Verdict["torn"] {
  return counted(count, 0).map((number, at) => ({ at, number, reason }));
}

/** Entropy, as the guest found it. `handedOut`: the number of the last piece that a host has made. */
export function checkDraws(status: GuestStatus, handedOut: number): Verdict {
  const { draws, drawsLastNumber, drawsRepeated, drawsTorn } = status;
  return {
    intact: draws,
    // A piece that came while no machine ran is nobody's: numbers may be left out, but never made up.
    missing: [],
    repeated: counted(drawsRepeated, drawsLastNumber),
    torn: tornOf(drawsTorn, "piece"),
    unexpected: drawsLastNumber > handedOut || draws > drawsLastNumber ? [drawsLastNumber] : [],
  };
}

/** The host's lines, as the guest found them, after all that it was sent has been taken. `sentBytes`: what the port took. */
export function checkLinesTaken(status: GuestStatus, sentBytes: number): Verdict {
  const { linesTaken, linesLost, linesRepeated, linesTorn } = status;
  const sent = Math.floor(sentBytes / LINE_BYTES);
  return {
    intact: linesTaken,
    missing: [
      ...counted(linesLost, linesTaken),
      ...counted(Math.max(0, sent - linesTaken - linesLost - linesTorn), sent),
    ],
    repeated: counted(linesRepeated, linesTaken),
    torn: tornOf(linesTorn, "line"),
    unexpected: linesTaken > sent ? [linesTaken] : [],
  };
}

/**
 * Checks the balloon's pages of a guest that does not run: what was given up reads as zeros, what is the guest's is marked.
 * Pages of a request under way are not judged. `missing`: given up and not discarded.
 */
export function checkBalloon(ram: Uint8Array, status: GuestStatus): Verdict {
  const { balloonOffset, balloonPages, balloonActual, balloonGiven } = status;
  const verdict = emptyVerdict();
  if (balloonOffset + balloonPages * PAGE_BYTES > ram.byteLength || balloonActual > balloonGiven) {
    throw new RangeError(`checkBalloon: ${balloonActual} to ${balloonGiven} of ${balloonPages} pages`);
  }
  for (let index = 0; index < balloonPages; index++) {
    if (index >= balloonActual && index < balloonGiven) continue;
    const offset = balloonOffset + index * PAGE_BYTES;
    const bytes = ram.subarray(offset, offset + PAGE_BYTES);
    if (index < balloonActual) {
      if (bytes.every((byte) => byte === 0)) verdict.intact++;
      else verdict.missing.push(index);
      continue;
    }
    const { pass, number, torn } = checkPage(
      new DataView(ram.buffer, ram.byteOffset + offset, PAGE_BYTES),
      RAM_BASE + offset,
    );
    if (torn !== undefined || pass === 0) verdict.torn.push({ at: index, number: pass, reason: torn ?? "blank" });
    else if (number > status.blocksSubmitted) verdict.unexpected.push(index);
    else verdict.intact++;
  }
  return verdict;
}

/** Device memory after so many jobs: each has rewritten one page from its number. */
function expectedMemory(jobs: number, bytes: number): Uint8Array {
  const memory = new Uint8Array(bytes);
  const pages = bytes / ACCELERATOR_PAGE_BYTES;
  for (let job = Math.max(0, jobs - pages); job < jobs; job++) {
    const page = (job * 7) % pages;
    for (let i = 0; i < ACCELERATOR_PAGE_BYTES; i++) {
      memory[page * ACCELERATOR_PAGE_BYTES + i] = (job * 31 + i * (1 + (job & 7))) & 0xff;
    }
  }
  return memory;
}

function expectedChecksum(jobs: number): number {
  let sum = 0;
  for (let job = 0; job < jobs; job++) sum = (Math.imul(sum, 33) + job) >>> 0;
  return sum;
}

/** Checks the accelerator itself against what the guest knows of it, and takes the guest's word for results. */
export function checkJobs(device: AcceleratorView, status: GuestStatus): Verdict {
  const { jobsSubmitted, jobsCompleted, jobsWrong } = status;
  const jobs = Number(device.jobs);
  const verdict = emptyVerdict();
  verdict.intact = Math.max(0, Math.min(jobs, jobsCompleted) - jobsWrong);
  verdict.torn = tornOf(jobsWrong, "result");
  if (jobs < jobsCompleted) verdict.missing.push(jobs + 1);
  if (jobs > jobsSubmitted) verdict.repeated.push(jobs);
  if (device.checksum !== expectedChecksum(jobs)) verdict.torn.push({ at: 0, number: jobs, reason: "checksum" });
  const memory = device.memory();
  const expected = expectedMemory(jobs, memory.length);
  for (let at = 0; at < memory.length; at += ACCELERATOR_PAGE_BYTES) {
    const end = at + ACCELERATOR_PAGE_BYTES;
    if (equal(memory.subarray(at, end), expected.subarray(at, end))) continue;
    verdict.torn.push({ at: at / ACCELERATOR_PAGE_BYTES, number: jobs, reason: "device memory" });
  }
  return verdict;
}
