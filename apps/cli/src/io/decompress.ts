// Compressed streams: by the runtime's decoders where it has them, zstd by a library on Node 20.
import { Readable } from "node:stream";
import * as zlib from "node:zlib";
import { CliFault } from "../faults.ts";
import { WindowTooLarge, windowBoundBytes, ZstdFraming, zstdFrames } from "./zstd-frames.ts";

/** `name`: of the input, for errors. */
export async function* decompressed(
  compression: "zstd" | "gzip",
  chunks: AsyncIterable<Uint8Array>,
  name = "the input",
): AsyncIterable<Uint8Array> {
  const watched = new Watched(chunks);
  let bytes = 0;
  try {
    for await (const chunk of compression === "gzip" ? through(watched, zlib.createGunzip()) : zstd(watched)) {
      bytes += chunk.length;
      yield chunk;
    }
  } catch (cause) {
    // A file that cannot be read any further is not broken in itself.
    if (watched.failed !== undefined) throw watched.failed.error;
    if (cause instanceof CliFault) throw cause;
    throw refusal(compression, name, bytes, cause);
  }
}

function refusal(compression: "zstd" | "gzip", name: string, bytes: number, cause: unknown): CliFault {
  const { code, message = String(cause) } = (cause ?? {}) as { code?: string; message?: string };
  const isWindow = cause instanceof WindowTooLarge || /memory|window/i.test(`${code} ${message}`);
  if (isWindow) {
    const bound = `${windowBoundBytes >> 20} MiB`;
    return new CliFault("INPUT_WINDOW", `${name} needs more than ${bound} of memory to be unpacked`, {
      exit: 1,
      hint: `unpack it on the way: zstd -dc --long=31 ${name} | godwit ... -`,
      cause,
    });
  }
  return new CliFault(
    "INPUT_COMPRESSION",
    `the ${compression} data of ${name} is broken or cut off, ${bytes} unpacked bytes in`,
    { exit: 1, hint: `the file itself is damaged: try \`${compression} -t\` on it`, cause },
  );
}

/** Tells what the source threw from what the decoder did. */
class Watched implements AsyncIterable<Uint8Array> {
  readonly #chunks: AsyncIterable<Uint8Array>;
  failed: { readonly error: unknown } | undefined;

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks;
  }
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      // Decoders keep a chunk that they do not take at once.
      for await (const chunk of this.#chunks) yield chunk.slice();
    } catch (error) {
      this.failed = { error };
      throw error;
    }
  }
}

interface NativeZstd {
  readonly createZstdDecompress?: () => zlib.Gunzip;
}

function zstd(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const native = (zlib as NativeZstd).createZstdDecompress;
  return native === undefined ? zstdFrames(chunks) : framed(chunks, native);
}

/** Some runtimes' decoders stop at the end of a frame, and some in silence where their input is cut: each frame has its own. */
async function* framed(chunks: AsyncIterable<Uint8Array>, decoder: () => zlib.Gunzip): AsyncGenerator<Uint8Array> {
  const frames = new Frames(chunks);
  try {
    for (;;) {
      const frame = frames.next();
      const begin: Uint8Array[] = [];
      while (frames.kind === undefined) {
        const piece = await frame.next();
        if (piece.done === true) return;
        begin.push(piece.value);
      }
      const whole = joined(begin, frame);
      if (frames.kind === "data") yield* through(whole, decoder());
      else for await (const _ of whole);
    }
  } finally {
    await frames.close();
  }
}

async function* joined(begin: Iterable<Uint8Array>, rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* begin;
  yield* rest;
}

/** The frames of a zstd stream, one behind the other, each in pieces. */
class Frames {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #framing = new ZstdFraming();
  #chunk: Uint8Array = new Uint8Array(0);
  #pos = 0;

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#iterator = chunks[Symbol.asyncIterator]();
  }

  get kind(): "data" | "skippable" | undefined {
    return this.#framing.kind;
  }

  /** The frame that comes next; nothing at the end. Throws where it is cut off. */
  next(): AsyncGenerator<Uint8Array> {
    this.#framing = new ZstdFraming();
    return this.#pieces();
  }

  async *#pieces(): AsyncGenerator<Uint8Array> {
    let pieces = 0;
    do {
      if (this.#pos === this.#chunk.length) {
        const next = await this.#iterator.next();
        if (next.done === true) {
          if (pieces > 0) throw new Error("a zstd frame is cut off");
          return;
        }
        this.#chunk = next.value;
        this.#pos = 0;
        if (next.value.length === 0) continue;
      }
      const from = this.#pos;
      this.#pos = this.#framing.push(this.#chunk, from);
      pieces++;
      yield this.#chunk.subarray(from, this.#pos);
    } while (pieces === 0 || !this.#framing.isBetween);
  }

  async close(): Promise<void> {
    await this.#iterator.return?.();
  }
}

async function* through(chunks: AsyncIterable<Uint8Array>, transform: zlib.Gunzip): AsyncIterable<Uint8Array> {
  const source = Readable.from(chunks);
  source.on("error", (error) => transform.destroy(error));
  try {
    for await (const chunk of source.pipe(transform)) yield chunk as Uint8Array;
  } finally {
    source.destroy();
    transform.destroy();
  }
}
