// Pages that a driver names by number, as ranges of guest memory.
import { pageBytes } from "./constants.ts";

export interface MemoryRange {
  /** Guest-physical. */
  readonly gpa: number;
  /** Bytes. */
  readonly length: number;
}

/** Page numbers are u32 each, a rest of fewer bytes is none. Neighbours become one range, in the order of addresses. */
export function rangesOf(numbers: Uint8Array, littleEndian: boolean): MemoryRange[] {
  const view = new DataView(numbers.buffer, numbers.byteOffset, numbers.byteLength);
  const pages = Array.from({ length: numbers.length >> 2 }, (_, i) => view.getUint32(4 * i, littleEndian));
  const ranges: { gpa: number; length: number }[] = [];
  for (const page of new Set(pages.sort((a, b) => a - b))) {
    const gpa = page * pageBytes;
    const last = ranges.at(-1);
    if (last !== undefined && last.gpa + last.length === gpa) last.length += pageBytes;
    else ranges.push({ gpa, length: pageBytes });
  }
  return ranges;
}
