// The VMDESCRIPTION record behind a stream's end, as bytes: where it is, and how long it may be.
import { type ErrorLocation, MigrationError } from "../errors.ts";

/** The longest vmdesc that is written or read. Bytes; QEMU 10.0's largest machines need about 1 MB. */
const vmdescBoundBytes = 64 * 1024 * 1024;

/** `LENGTH_BOUND` where a vmdesc is longer than any reader takes. */
export function boundVmdesc(bytes: number, where: ErrorLocation = {}): void {
  if (bytes <= vmdescBoundBytes) return;
  throw new MigrationError("LENGTH_BOUND", "the stream's description is too long", {
    ...where,
    path: "vmdesc.length",
    expected: `at most ${vmdescBoundBytes}`,
    found: String(bytes),
  });
}

/** Where the record begins, at the end of `tail`. */
export function vmdescAt(tail: Uint8Array): number | undefined {
  const view = new DataView(tail.buffer, tail.byteOffset, tail.byteLength);
  if (tail[tail.length - 1] !== 0x7d) return undefined;
  for (let at = tail.length - 7; at >= 0; at--) {
    if (tail[at] !== 0x06 || tail[at + 5] !== 0x7b) continue;
    if (at > 0 && tail[at - 1] !== 0x00) continue;
    if (view.getUint32(at + 1) !== tail.length - at - 5) continue;
    return at;
  }
  return undefined;
}
