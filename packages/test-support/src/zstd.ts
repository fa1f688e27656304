// Reads zstd frames with the runtime's own decoder where it has one, else (Node 20) with a library.
import * as zlib from "node:zlib";
import { decompress } from "fzstd";

interface NativeZstd {
  readonly zstdDecompressSync?: (input: Uint8Array) => Uint8Array;
}

/** Whether the runtime unpacks by itself: the library takes seconds for a large stream. */
export const unpacksFast: boolean = (zlib as NativeZstd).zstdDecompressSync !== undefined;

/** The bytes that `input`, one zstd frame or more, holds. Throws on what is no zstd frame. */
export function decompressZstd(input: Uint8Array): Uint8Array {
  const native = (zlib as NativeZstd).zstdDecompressSync;
  return native ? native(input) : decompress(input);
}
