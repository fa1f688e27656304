// How compression comes in: functions and streams that whoever assembles the machine gives. This plugin names no runtime
// and no library; its README shows those that were tried.

/**
 * One direction of one stream of compressed data, from its beginning to the migration's end. Synchronous: what a push
 * brings is complete when it returns, and nothing of it is held back (zlib: a sync flush; zstd: a flush).
 */
export interface StreamCodec {
  /** All output that the input so far makes; throws where that is no such data, or more than `boundBytes`. */
  push(bytes: Uint8Array, boundBytes: number): Uint8Array;
}

/** What becomes of the pages of a multifd channel: QEMU's multifd-compression. */
export interface PageCompression {
  readonly method: "none" | "zlib" | "zstd";
  /** For a channel that is written; `none` has none. */
  compressor?(): StreamCodec;
  /** For a channel that is read; without it, such channels cannot be. */
  decompressor?(): StreamCodec;
}

/** Pages as they are. */
export const noCompression: PageCompression = { method: "none" };

/**
 * Inflates complete raw deflate data (no zlib header; its last block is marked as such) that may refer back to
 * `dictionary`. Throws where it is not, or gives more than `boundBytes`.
 * `node:zlib`: `inflateRawSync(data, { dictionary, maxOutputLength: boundBytes })`.
 */
export type InflateRaw = (data: Uint8Array, dictionary: Uint8Array | undefined, boundBytes: number) => Uint8Array;

/**
 * Deflates `data` to raw deflate data that may refer back to `dictionary`, has no last block, and ends with a sync flush.
 * `node:zlib`: `deflateRawSync(data, { dictionary, finishFlush: constants.Z_SYNC_FLUSH })`.
 */
export type DeflateRaw = (data: Uint8Array, dictionary: Uint8Array | undefined) => Uint8Array;

/** A stream of zstd from a library: each call gives all output that the input so far makes. */
export interface ZstdStreams {
  compressor?(): StreamCodec;
  decompressor?(): StreamCodec;
}
