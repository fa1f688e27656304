// Where in a section a field stands, for errors that are found after decoding.
import { Cursor } from "../cursor.ts";
import { encodeRecord } from "../vmstate/codec.ts";
import { bodyOf } from "../vmstate/compile.ts";
import { HeadedNode } from "../vmstate/nodes/struct.ts";
import type { Description, WireRecord } from "../vmstate/types.ts";
import { Walk } from "../vmstate/walk.ts";

/**
 * Bytes from the section's body to the first byte of the element at `path`, of the one that holds it where it is no
 * element of its own, or 0. The record is written and read once more, which only an error is worth.
 */
export function offsetOf(
  description: Description,
  record: WireRecord,
  version: number,
  path: string | undefined,
): number {
  if (!path) return 0;
  const cursor = new Cursor(encodeRecord(description, record, version));
  cursor.checks = false;
  cursor.final = true;
  let nearest = "";
  let at = 0;
  const walk = new Walk(new HeadedNode(bodyOf(description), version), (reading = "", offset) => {
    const holds = reading === path || isHolder(reading, path);
    // A list's mark has the path of its element, which comes behind it.
    if (holds && reading.length >= nearest.length) {
      nearest = reading;
      at = offset;
    }
    return holds;
  });
  walk.resume(cursor);
  return at;
}

/** `a.b` is of `a.b[3]`, and `a` of both. */
function isHolder(holder: string, path: string): boolean {
  return path.startsWith(holder) && (path[holder.length] === "." || path[holder.length] === "[");
}
