// The frame of zlib around deflate data: two bytes before, a checksum behind. Source: RFC 1950; RFC 1951 for the blocks.
import { MigrationError } from "@godwit/core";
import type { InflateRaw } from "./stream-codec.ts";

/** The window of deflate: how far back data may refer. Bytes. */
export const windowBytes = 32 * 1024;

/** Deflate with a window of 32 KiB, at the lowest level. */
export const zlibHeader: Uint8Array = Uint8Array.of(0x78, 0x01);

const headerBytes = 2;
const checksumBytes = 4;

/** An empty stored block: what a sync flush ends with, and, marked as the last, what ends the data. */
export const syncFlush: readonly number[] = [0x00, 0x00, 0x00, 0xff, 0xff];
const emptyLastBlock: readonly number[] = [0x01, 0x00, 0x00, 0xff, 0xff];

/** The bytes of a sync flush that are whole: the three bits before them are in the byte where the last block ended. */
const flushTail = syncFlush.slice(1);

export function codecError(detail: string, expected: string, found: string, cause?: unknown): MigrationError {
  return new MigrationError("PAGE_CODEC", detail, { expected, found, cause });
}

/** `PAGE_CODEC` where `data` does not begin as zlib data does. Gives what follows. */
export function afterZlibHeader(data: Uint8Array): Uint8Array {
  const [method = 0, flags = 0] = data;
  const good = data.length >= headerBytes && (method & 0x0f) === 8 && method >>> 4 <= 7;
  if (!good || (method * 256 + flags) % 31 !== 0 || (flags & 0x20) !== 0) {
    throw codecError(
      "the data has no zlib header",
      "deflate, without a preset dictionary",
      hex(data.subarray(0, headerBytes)),
    );
  }
  return data.subarray(headerBytes);
}

/** Deflate data that ended with a sync flush, made complete. `PAGE_CODEC` where it did not. */
export function completed(data: Uint8Array): Uint8Array {
  const tail = data.subarray(Math.max(0, data.length - flushTail.length));
  if (tail.length < flushTail.length || flushTail.some((byte, index) => tail[index] !== byte)) {
    throw codecError("the data does not end with a sync flush", "00 00 ff ff", hex(tail));
  }
  const whole = new Uint8Array(data.length + emptyLastBlock.length);
  whole.set(data);
  whole.set(emptyLastBlock, data.length);
  return whole;
}

/** The one page that complete zlib data stands for. `PAGE_CODEC`. */
export function inflatePage(data: Uint8Array, pageBytes: number, inflateRaw: InflateRaw): Uint8Array {
  const body = afterZlibHeader(data);
  if (body.length < checksumBytes) throw codecError("the data has no checksum", "4 bytes", `${body.length} bytes`);
  const split = body.length - checksumBytes;
  const page = inflated(body.subarray(0, split), undefined, pageBytes, inflateRaw);
  if (page.length !== pageBytes) {
    throw codecError("the data is not one page", `${pageBytes} bytes`, `${page.length} bytes`);
  }
  const told = body.subarray(split).reduce((sum, byte) => sum * 256 + byte, 0);
  const sum = adler32(page);
  if (told !== sum) throw codecError("the page's checksum differs", sum.toString(16), told.toString(16));
  return page;
}

/** What a library throws becomes `PAGE_CODEC`; so does more than was asked for. */
export function inflated(
  data: Uint8Array,
  dictionary: Uint8Array | undefined,
  boundBytes: number,
  inflateRaw: InflateRaw,
): Uint8Array {
  const output = guarded(() => inflateRaw(data, dictionary, boundBytes));
  if (output.length > boundBytes) {
    throw codecError("the data gives more than its pages", `at most ${boundBytes} bytes`, `${output.length} bytes`);
  }
  return output;
}

/** Calls a library's function; what it throws is told as `PAGE_CODEC`. */
export function guarded(call: () => Uint8Array): Uint8Array {
  try {
    return call();
  } catch (cause) {
    const found = cause instanceof Error ? cause.message : String(cause);
    throw codecError("the data cannot be read", "the pages of the record", found, cause);
  }
}

function adler32(bytes: Uint8Array): number {
  let low = 1;
  let high = 0;
  // Sums of 3800 bytes stay below 2**32.
  for (let at = 0; at < bytes.length; ) {
    for (const end = Math.min(bytes.length, at + 3800); at < end; at++) {
      low += bytes[at] as number;
      high += low;
    }
    low %= 65521;
    high %= 65521;
  }
  return high * 65536 + low;
}

function hex(bytes: Uint8Array): string {
  return bytes.length === 0 ? "nothing" : Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}
