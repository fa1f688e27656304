// Names of RAM blocks as the return path and the commands carry them: a length byte and that many bytes of UTF-8.
import { MigrationError, utf8Decode, utf8Encode } from "@godwit/core";

const longestBytes = 255;

/** `LENGTH_BOUND` for a name that one length byte cannot tell. */
export function nameBytes(idstr: string, path: string): Uint8Array {
  const bytes = utf8Encode(idstr);
  if (bytes.length <= longestBytes) return bytes;
  throw new MigrationError("LENGTH_BOUND", "a RAM block's name is too long", {
    path,
    expected: `at most ${longestBytes} bytes`,
    found: `${bytes.length} bytes`,
  });
}

/** The name of `length` bytes from `at` on, which the caller has seen to be there. */
export function nameAt(bytes: Uint8Array, at: number, length: number): string {
  return utf8Decode(bytes, at, at + length);
}

/** A 64-bit offset or length as a number. `LENGTH_BOUND` where a number cannot hold it exactly. */
export function wholeNumber(view: DataView, at: number, path: string, offset: number): number {
  const value = view.getBigUint64(at);
  if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  throw new MigrationError("LENGTH_BOUND", "an offset or length is beyond every RAM block", {
    path,
    offset: offset + at,
    expected: `at most ${Number.MAX_SAFE_INTEGER}`,
    found: String(value),
  });
}
