// Codecs for tests: deflate by the runtime's node:zlib, zstd by a library that reads it everywhere.
import * as zlib from "node:zlib";
import type { DeflateRaw, InflateRaw, StreamCodec } from "@godwit/ram-dirty-tracker";
import { Decompress } from "fzstd";

const plain = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);

export const inflateRaw: InflateRaw = (data, dictionary, boundBytes) =>
  plain(zlib.inflateRawSync(data, { ...(dictionary && { dictionary }), maxOutputLength: Math.max(1, boundBytes) }));

export const deflateRaw: DeflateRaw = (data, dictionary) =>
  plain(
    zlib.deflateRawSync(data, {
      ...(dictionary && { dictionary }),
      level: 1,
      finishFlush: zlib.constants.Z_SYNC_FLUSH,
    }),
  );

export function zstdDecompressor(): StreamCodec {
  let pieces: Uint8Array[] = [];
  const stream = new Decompress((piece) => pieces.push(piece.slice()));
  return {
    push(bytes) {
      pieces = [];
      stream.push(bytes);
      return concat(pieces);
    },
  };
}

export function concat(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
