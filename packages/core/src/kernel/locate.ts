// Where in a section a field stands, for errors that are found after decoding.
import { Cursor } from "../cursor.ts";
import { encodeRecord, recordDecoder } from "../vmstate/codec.ts";
import type { Description, WireRecord } from "../vmstate/types.ts";

/**
 * Bytes from the section's body to the first byte of the element at `path`, or of the first one inside it. Undefined
 * where the path names nothing on the wire. The record is written and read once more, a byte at a time, which only an
 * error is worth.
 */
export function offsetOf(
  description: Description,
  record: WireRecord,
  version: number,
  path: string,
): number | undefined {
  const bytes = encodeRecord(description, record);
  const decoder = recordDecoder(description, version);
  const cursor = new Cursor();
  cursor.checks = false;
  // A piece of nothing first: it names the element that the body begins with.
  for (let at = 0; at <= bytes.length; at++) {
    if (decoder.resume(cursor)) return undefined;
    const reading = decoder.path() ?? "";
    if (reading === path || (reading.startsWith(path) && ".[".includes(reading[path.length] ?? "")))
      return cursor.offset;
    cursor.release();
    cursor.append(bytes.subarray(at, at + 1));
  }
  return undefined;
}
