// Where in a section a field stands, for errors that are found after decoding.
import { Cursor } from "../cursor.ts";
import { encodeRecord, recordDecoder } from "../vmstate/codec.ts";
import type { Description, WireRecord } from "../vmstate/types.ts";

/**
 * Bytes from the section's body to the first byte of the element at `path`, of the one that holds it where it is no
 * element of its own, or 0. The record is written and read once more, a byte at a time, which only an error is worth.
 */
export function offsetOf(
  description: Description,
  record: WireRecord,
  version: number,
  path: string | undefined,
): number {
  if (!path) return 0;
  const offsets = new Map<string, number>();
  const bytes = encodeRecord(description, record, version);
  const decoder = recordDecoder(description, version);
  const cursor = new Cursor();
  cursor.checks = false;
  // A piece of nothing first: it names the element that the body begins with.
  for (let at = 0; at <= bytes.length && !decoder.resume(cursor); at++) {
    for (let reading = decoder.path(); reading && !offsets.has(reading); reading = holderOf(reading)) {
      offsets.set(reading, cursor.offset);
    }
    cursor.release();
    cursor.append(bytes.subarray(at, at + 1));
  }
  let named: string | undefined = path;
  while (named && !offsets.has(named)) named = holderOf(named);
  return (named && offsets.get(named)) || 0;
}

/** `a.b` of `a.b[3]`, `a` of `a.b`. */
function holderOf(path: string): string | undefined {
  const end = Math.max(path.lastIndexOf("."), path.lastIndexOf("["));
  return end > 0 ? path.slice(0, end) : undefined;
}
