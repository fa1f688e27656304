// Deflate and zstd by the runtime and by a library, in the form that RAM's encodings take.
import * as zlib from "node:zlib";
import { MigrationError } from "@godwit/core";
import {
  noCompression,
  type PageCompression,
  type StreamCodec,
  zlibCompression,
  zstdCompression,
} from "@godwit/ram-dirty-tracker";
import { Decompress } from "fzstd";

const plain = ({ buffer, byteOffset, length }: Uint8Array): Uint8Array => new Uint8Array(buffer, byteOffset, length);

/** A page that travels as zlib data of its own. `PAGE_CODEC`. */
export function inflatedPage(data: Uint8Array, pageBytes: number): Uint8Array {
  const wrong = (found: string, cause?: unknown): MigrationError =>
    new MigrationError("PAGE_CODEC", "the data cannot be read", { expected: "one page of zlib data", found, cause });
  let page: Uint8Array;
  try {
    page = zlib.inflateSync(data, { maxOutputLength: pageBytes });
  } catch (cause) {
    throw wrong(cause instanceof Error ? cause.message : String(cause), cause);
  }
  if (page.length !== pageBytes) throw wrong(`${page.length} bytes`);
  return page;
}

/** For channels that are read. */
export const channelCompression: Readonly<Record<PageCompression["method"], PageCompression>> = {
  none: noCompression,
  zlib: zlibCompression({
    inflateRaw: (data, dictionary, boundBytes) =>
      plain(zlib.inflateRawSync(data, { ...(dictionary && { dictionary }), maxOutputLength: Math.max(1, boundBytes) })),
  }),
  zstd: zstdCompression({ decompressor: zstdStream }),
};

function zstdStream(): StreamCodec {
  let pieces: Uint8Array[] = [];
  const stream = new Decompress((piece) => pieces.push(piece.slice()));
  return {
    push(bytes) {
      pieces = [];
      stream.push(bytes.slice());
      return new Uint8Array(Buffer.concat(pieces));
    },
  };
}
