// How a file is compressed, by its first bytes. What unpacks it is in decompress.ts, imported only for such a file.

export type Compression = "none" | "zstd" | "gzip";

/** By the first bytes. */
export function compressionOf(head: Uint8Array): Compression {
  const [a, b, c, d] = head;
  if (a === 0x28 && b === 0xb5 && c === 0x2f && d === 0xfd) return "zstd";
  // A file of several frames may begin with one that is to be skipped.
  if (a !== undefined && a >= 0x50 && a <= 0x5f && b === 0x2a && c === 0x4d && d === 0x18) return "zstd";
  return a === 0x1f && b === 0x8b ? "gzip" : "none";
}
