// The stream's own description, read before anything else where the stream can be sought.
import { findVmdesc, type Vmdesc } from "@godwit/core/stream";
import type { Input } from "../io/input.ts";

/** QEMU 10.0's largest machines need about 1 MB; what is longer is looked for in a second step. Bytes. */
const steps = [1 << 20, 1 << 26] as const;

/** "none": the stream has none. Undefined: it cannot be sought. */
export function vmdescAtEnd(input: Input): Vmdesc | "none" | undefined {
  for (const bytes of steps) {
    const tail = input.tail(bytes);
    if (tail === undefined) return undefined;
    const text = withoutPadding(tail);
    const found = findVmdesc(text);
    if (found !== undefined) return found.vmdesc;
    if (tail.length < bytes || text.at(-1) !== 0x7d) return "none";
  }
  return "none";
}

/** A disk, or a copy in whole blocks, may have zeros behind the stream: reading it tells of them, and not of lengths. */
function withoutPadding(tail: Uint8Array): Uint8Array {
  let end = tail.length;
  while (end > 0 && tail[end - 1] === 0) end--;
  // A stream without a vmdesc ends with one zero.
  return tail[end - 1] === 0x7d ? tail.subarray(0, end) : tail;
}
