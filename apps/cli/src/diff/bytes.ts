// Where two buffers differ.
import type { ByteRange } from "./difference.ts";

/** Ranges of a field that are listed, and bytes of each that are shown. */
const mostRanges = 16;
const shownBytes = 32;

interface BytesDifference {
  readonly ranges: readonly ByteRange[];
  readonly moreRanges: number;
}

/** In the bytes that both have; exact: equal bytes are in no range. */
export function byteRanges(a: Uint8Array, b: Uint8Array): BytesDifference {
  const common = Math.min(a.length, b.length);
  const ranges: ByteRange[] = [];
  let moreRanges = 0;
  for (let at = 0; at < common; at++) {
    if (a[at] === b[at]) continue;
    const offset = at;
    while (at < common && a[at] !== b[at]) at++;
    if (ranges.length === mostRanges) moreRanges++;
    else ranges.push({ offset, bytes: at - offset, a: hex(a, offset, at), b: hex(b, offset, at) });
  }
  return { ranges, moreRanges };
}

function hex(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.subarray(from, Math.min(to, from + shownBytes))).toString("hex");
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}
