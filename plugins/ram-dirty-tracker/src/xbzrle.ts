// XBZRLE: the delta of a page against what the other side holds of it. Source: QEMU's xbzrle encoding; wire reference 6.
import { MigrationError } from "@godwit/core";

/** A run's length takes two bytes of ULEB128 at most. */
const longestRun = 0x3fff;

/** Bytes that must be left of the output before a run is looked for: those of the longest length. */
const lengthBytes = 2;

/**
 * Writes the delta that makes `after` of `before` into `out`: pairs of an unchanged run's length and a changed run's,
 * the latter with its new bytes. Both pages are of one length. Gives the delta's length; 0 where the pages are equal,
 * and -1 where `out` is too small, as QEMU reckons it: before each run two bytes must be left, even if only an unchanged
 * tail follows, for which nothing is written. A run beyond 16383 bytes (of pages of 16 KiB and more) is -1 as well.
 */
export function xbzrleEncode(before: Uint8Array, after: Uint8Array, out: Uint8Array): number {
  const { length } = after;
  const room = out.length;
  let at = 0;
  let used = 0;
  while (at < length) {
    if (used + lengthBytes > room) return -1;
    let from = at;
    while (at < length && before[at] === after[at]) at++;
    if (at === length) return used;
    if (at - from > longestRun) return -1;
    used = writeLength(out, used, at - from);

    if (used + lengthBytes > room) return -1;
    from = at;
    while (at < length && before[at] !== after[at]) at++;
    const changed = at - from;
    if (changed > longestRun) return -1;
    used = writeLength(out, used, changed);
    if (used + changed > room) return -1;
    for (let i = from; i < at; i++) out[used++] = after[i] as number;
  }
  return used;
}

/**
 * Applies a delta to `page`, in place, and gives how many of the page's bytes it covers. `XBZRLE_INVALID`, with the run
 * as the path; the page may then be changed in part, but nothing beside it.
 */
export function xbzrleDecode(delta: Uint8Array, page: Uint8Array): number {
  let at = 0;
  let covered = 0;
  for (let run = 0; at < delta.length; run++) {
    const begin = at;
    const unchanged = readLength(delta, at, `runs[${run}].zrun`);
    at += sizeOf(delta, at);
    if (unchanged === 0 && begin > 0) {
      throw invalid(`runs[${run}].zrun`, "an unchanged run is empty, and not the first", "at least 1", "0");
    }
    covered += unchanged;
    if (covered > page.length) throw beyond(`runs[${run}].zrun`, page.length, covered);

    const path = `runs[${run}].nzrun`;
    const changed = readLength(delta, at, path);
    at += sizeOf(delta, at);
    if (changed === 0) throw invalid(path, "a changed run is empty", "at least 1", "0");
    if (covered + changed > page.length) throw beyond(path, page.length, covered + changed);
    if (at + changed > delta.length) {
      const left = delta.length - at;
      throw invalid(path, "the delta ends within a run", `at most ${left} bytes`, `${changed} bytes`);
    }
    for (let end = at + changed; at < end; at++) page[covered++] = delta[at] as number;
  }
  return covered;
}

function writeLength(out: Uint8Array, at: number, length: number): number {
  if (length < 0x80) {
    out[at] = length;
    return at + 1;
  }
  out[at] = (length & 0x7f) | 0x80;
  out[at + 1] = length >>> 7;
  return at + 2;
}

/** The bytes of the length at `at`. */
function sizeOf(delta: Uint8Array, at: number): number {
  return (delta[at] as number) < 0x80 ? 1 : 2;
}

/** Even a length of one byte has another byte behind it: the next length, or a changed byte. */
function readLength(delta: Uint8Array, at: number, path: string): number {
  if (delta.length - at < lengthBytes) {
    throw invalid(path, "the delta ends where a run's length is", "2 bytes", `${delta.length - at} bytes`);
  }
  const low = delta[at] as number;
  if (low < 0x80) return low;
  const high = delta[at + 1] as number;
  if (high >= 0x80)
    throw invalid(path, "a run's length takes more than two bytes", "below 0x80", `0x${high.toString(16)}`);
  return (low & 0x7f) | (high << 7);
}

function beyond(path: string, pageBytes: number, found: number): MigrationError {
  return invalid(path, "a run goes beyond the page", `at most ${pageBytes} bytes`, `${found} bytes`);
}

function invalid(path: string, detail: string, expected: string, found: string): MigrationError {
  return new MigrationError("XBZRLE_INVALID", detail, { path, expected, found });
}
