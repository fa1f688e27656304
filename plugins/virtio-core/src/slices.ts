// Which bytes of an element's segments a stretch of their sum falls on.
import type { Segment } from "./element.ts";

export interface Slice {
  readonly address: number;
  /** Offset within the stretch. */
  readonly at: number;
  readonly length: number;
}

/** The pieces of `segments` that bytes `offset` to `offset + length` of their sum fall on. */
export function slices(segments: readonly Segment[], offset: number, length: number): Slice[] {
  const pieces: Slice[] = [];
  let skip = offset;
  let done = 0;
  for (const segment of segments) {
    if (done === length) break;
    if (skip >= segment.length) {
      skip -= segment.length;
      continue;
    }
    const size = Math.min(segment.length - skip, length - done);
    pieces.push({ address: segment.address + skip, at: done, length: size });
    done += size;
    skip = 0;
  }
  return pieces;
}
