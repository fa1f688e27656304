// Deflate and zstd by the runtime, in the form that RAM's encodings take.
import * as zlib from "node:zlib";
import type { DeflateRaw, InflateRaw } from "@godwit/ram-dirty-tracker";

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
