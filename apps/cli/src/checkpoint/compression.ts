// Chunks made smaller and read again: zstd where the runtime writes it, else deflate; every form is read everywhere.
import * as zlib from "node:zlib";
import { zstdFrames } from "../io/zstd-frames.ts";

/** How bytes stand in the file. */
export const form = { plain: 0, zstd: 1, deflate: 2 } as const;
export type Form = (typeof form)[keyof typeof form];

/** Node 20 has no zstd. */
interface NativeZstd {
  readonly zstdCompressSync?: (bytes: Uint8Array, options: object) => Uint8Array;
  readonly zstdDecompressSync?: (bytes: Uint8Array, options: object) => Uint8Array;
}

const native: NativeZstd = zlib;
/** The fastest: a recording must keep up with a machine that runs. */
const level = 1;
/** A chunk is made in one piece: many small ones would cost more than the compression. */
const oneBufferBytes = 1 << 18;

/** What this runtime writes. */
export const ownForm: Form = native.zstdCompressSync === undefined ? form.deflate : form.zstd;

export interface Compressed {
  readonly form: Form;
  readonly bytes: Uint8Array;
}

/** `wanted`: of the forms that this runtime can write. Bytes that do not become fewer stay as they are. */
export function compress(bytes: Uint8Array, wanted: Form = ownForm): Compressed {
  const made = wanted === form.plain ? bytes : wanted === form.zstd ? zstd(bytes) : deflate(bytes);
  return made.length < bytes.length ? { form: wanted, bytes: made } : { form: form.plain, bytes };
}

function zstd(bytes: Uint8Array): Uint8Array {
  if (native.zstdCompressSync === undefined) throw new Error("this runtime writes no zstd");
  // The parameter's number is the zstd library's own; not every runtime's types have its name.
  return native.zstdCompressSync(bytes, { params: { 100: level }, chunkSize: oneBufferBytes });
}

function deflate(bytes: Uint8Array): Uint8Array {
  return zlib.deflateRawSync(bytes, { level });
}

/**
 * Exactly `plainBytes`; throws where the data is no such form, or of another length. Never makes many more. `library`:
 * zstd as Node 20 reads it.
 */
export async function expand(
  bytes: Uint8Array,
  from: Form,
  plainBytes: number,
  library = native.zstdDecompressSync === undefined,
): Promise<Uint8Array> {
  const bound = { maxOutputLength: Math.max(1, plainBytes), chunkSize: oneBufferBytes };
  const made =
    from === form.plain
      ? bytes
      : from === form.deflate
        ? zlib.inflateRawSync(bytes, bound)
        : library
          ? await byLibrary(bytes, plainBytes)
          : (native.zstdDecompressSync?.(bytes, bound) ?? bytes);
  if (made.length === plainBytes) return made;
  throw wrongLength(made.length, plainBytes);
}

async function byLibrary(bytes: Uint8Array, plainBytes: number): Promise<Uint8Array> {
  const made = new Uint8Array(plainBytes);
  let at = 0;
  for await (const piece of zstdFrames(once(bytes))) {
    if (at + piece.length > plainBytes) throw wrongLength(at + piece.length, plainBytes);
    made.set(piece, at);
    at += piece.length;
  }
  return made.subarray(0, at);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

const wrongLength = (found: number, expected: number): Error => new Error(`${found} bytes instead of ${expected}`);
