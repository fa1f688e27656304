// What packs pages on multifd's channels in tests: zlib by the runtime; zstd by the plugin's own frames of blocks that
// are stored or one byte repeated, and a reader of just these, since not every runtime has zstd by pieces.
import * as zlib from "node:zlib";
import { type PageCompression, type StreamCodec, zlibCompression, zstdCompression } from "@godwit/ram-dirty-tracker";
import { concat } from "./machine.ts";

const plain = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);

export const pageCompressions: Readonly<Record<"zlib" | "zstd", PageCompression>> = {
  zlib: zlibCompression({
    inflateRaw: (data, dictionary, boundBytes) =>
      plain(zlib.inflateRawSync(data, { ...(dictionary && { dictionary }), maxOutputLength: Math.max(1, boundBytes) })),
    deflateRaw: (data, dictionary) =>
      plain(
        zlib.deflateRawSync(data, {
          ...(dictionary && { dictionary }),
          level: 1,
          finishFlush: zlib.constants.Z_SYNC_FLUSH,
        }),
      ),
  }),
  zstd: zstdCompression({ decompressor: storedBlocks }),
};

/** RFC 8878 3.1.1: a frame header of 6 bytes, then blocks with a header of 3. */
function storedBlocks(): StreamCodec {
  let isOpen = false;
  return {
    push(bytes) {
      const pieces: Uint8Array[] = [];
      let at = isOpen ? 0 : 6;
      isOpen = true;
      while (at < bytes.length) {
        const header = (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16);
        const [type, length] = [(header >> 1) & 3, header >> 3];
        at += 3;
        if (type > 1) throw new Error(`a zstd block of type ${type}`);
        pieces.push(type === 1 ? new Uint8Array(length).fill(bytes[at] as number) : bytes.slice(at, at + length));
        at += type === 1 ? 1 : length;
      }
      return concat(pieces);
    },
  };
}
