// Compressed streams: by the runtime's decoders where it has them, zstd by a library on Node 20.
import { Readable } from "node:stream";
import * as zlib from "node:zlib";
import { Decompress } from "fzstd";
import { CliFault } from "../faults.ts";

export type Compression = "none" | "zstd" | "gzip";

/** By the first bytes. */
export function compressionOf(head: Uint8Array): Compression {
  const [a, b, c, d] = head;
  if (a === 0x28 && b === 0xb5 && c === 0x2f && d === 0xfd) return "zstd";
  return a === 0x1f && b === 0x8b ? "gzip" : "none";
}

export async function* decompressed(
  compression: "zstd" | "gzip",
  chunks: AsyncIterable<Uint8Array>,
): AsyncIterable<Uint8Array> {
  try {
    yield* compression === "gzip" ? through(chunks, zlib.createGunzip()) : zstd(chunks);
  } catch (cause) {
    if (cause instanceof CliFault) throw cause;
    throw new CliFault("INPUT_COMPRESSION", `the ${compression} data is broken or cut off`, {
      exit: 1,
      hint: `the file itself is damaged: try \`${compression} -t\` on it`,
      cause,
    });
  }
}

interface NativeZstd {
  readonly createZstdDecompress?: () => zlib.Gunzip;
}

function zstd(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const native = (zlib as NativeZstd).createZstdDecompress;
  return native === undefined ? byLibrary(chunks) : through(chunks, native());
}

async function* through(chunks: AsyncIterable<Uint8Array>, transform: zlib.Gunzip): AsyncIterable<Uint8Array> {
  const source = Readable.from(copies(chunks));
  source.on("error", (error) => transform.destroy(error));
  for await (const chunk of source.pipe(transform)) yield chunk as Uint8Array;
}

/** Node's streams keep a chunk that is not taken at once. */
async function* copies(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  for await (const chunk of chunks) yield chunk.slice();
}

async function* byLibrary(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const made: Uint8Array[] = [];
  let whole = false;
  const decoder = new Decompress((chunk, final) => {
    made.push(chunk);
    whole = final === true;
  });
  for await (const chunk of chunks) {
    decoder.push(chunk.slice());
    yield* made.splice(0);
  }
  if (!whole) decoder.push(new Uint8Array(0), true);
  yield* made.splice(0);
}
