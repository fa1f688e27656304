// Feeds a section's data to a decoder in chunks, as a reader of a stream does.
import { type BodyDecoder, Cursor } from "@godwit/core";

export interface Fed<T> {
  readonly value: T;
  /** Offset behind the last byte that belongs to the section. */
  readonly end: number;
  /** What the stream made its reader allocate. Bytes. */
  readonly allocatedBytes: number;
  /** Field decodes. */
  readonly fields: number;
}

export const wholeBytes = Number.MAX_SAFE_INTEGER;

/** Decodes from `at` on; undefined where the bytes end first. `onChunk` is called before each chunk but the first. */
export function feed<T>(
  decoder: BodyDecoder<T>,
  bytes: Uint8Array,
  at: number,
  chunkBytes: number,
  onChunk?: (next: number) => void,
): Fed<T> | undefined {
  const cursor = new Cursor(undefined, at);
  for (let next = at; next < bytes.length; ) {
    if (next > at) onChunk?.(next);
    const chunk = bytes.subarray(next, Math.min(bytes.length, next + chunkBytes));
    next += chunk.length;
    cursor.append(chunk);
    if (decoder.resume(cursor)) {
      const { offset, allocatedBytes, fields } = cursor;
      return { value: decoder.value(), end: offset, allocatedBytes, fields };
    }
    cursor.release();
  }
  return undefined;
}
