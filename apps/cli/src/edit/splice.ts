// What is taken out of a stream and put in: all of an edit, before a byte is written.
import type { Input } from "../io/input.ts";
import { streamChanged } from "./refusal.ts";

export interface Splice {
  /** Of the first byte that is taken out. Bytes, from the stream's first one. */
  readonly offset: number;
  readonly removeBytes: number;
  readonly insert: Uint8Array;
}

export const growthOf = ({ removeBytes, insert }: Splice): number => insert.length - removeBytes;

/** Where two replacements meet, that is a mistake of ours. */
export function inOrder(splices: readonly Splice[]): Splice[] {
  const sorted = [...splices].sort((a, b) => a.offset - b.offset);
  for (const [i, { offset, removeBytes }] of sorted.entries()) {
    const next = sorted[i + 1];
    if (next !== undefined && next.offset < offset + removeBytes) throw new Error(`two edits meet at byte ${offset}`);
  }
  return sorted;
}

/** The edited stream. Nothing of it is held; a chunk may be written over when the next one is asked for. */
export async function* spliced(input: Input, splices: readonly Splice[]): AsyncIterable<Uint8Array> {
  const left = inOrder(splices);
  let offset = 0;
  for await (const chunk of input.chunks()) {
    const end = offset + chunk.length;
    // Of this chunk, what was passed on or taken out already.
    let from = offset;
    for (;;) {
      const next = left[0];
      if (next === undefined || next.offset >= end) break;
      if (next.offset > from) yield chunk.subarray(from - offset, next.offset - offset);
      if (next.insert.length > 0 && next.offset >= offset) yield next.insert;
      from = Math.min(next.offset + next.removeBytes, end);
      if (next.offset + next.removeBytes > end) break;
      left.shift();
    }
    if (from < end) yield chunk.subarray(from - offset);
    offset = end;
  }
  const [next] = left;
  if (next !== undefined && (next.offset !== offset || next.removeBytes > 0)) throw streamChanged();
  for (const { insert } of left) yield insert;
}
