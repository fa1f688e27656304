// A recording as the stream that it was.
import { crc32 } from "node:zlib";
import type { Checkpoint } from "./checkpoint.ts";
import { checkpointError } from "./errors.ts";
import type { ChunkEntry, RecordingEntry } from "./file-index.ts";
import { type ChunkKind, chunkKind, headerBytes } from "./format.ts";
import { NumberReader, unzigzag } from "./order.ts";

const pieceBytes = 1 << 18;
/** Chunks of pages that are kept at hand: pages of older recordings come in their order, by runs. */
const keptChunks = 32;

/**
 * Pieces that belong to the reader. The last one is not given before the stream's length and checksum are found to be
 * right, so that who takes it never has all of a wrong stream.
 */
export async function* replayed(checkpoint: Checkpoint, recording: RecordingEntry): AsyncGenerator<Uint8Array> {
  let crc = 0;
  let bytes = 0;
  let held: Uint8Array | undefined;
  for await (const piece of pieces(checkpoint, recording)) {
    crc = crc32(piece, crc);
    bytes += piece.length;
    // Pages that are taken again and again make a small file endless.
    if (bytes > recording.streamBytes) throw damaged(checkpoint, recording, `${recording.streamBytes} bytes`, "more");
    if (held !== undefined) yield held;
    held = piece;
  }
  if (crc !== recording.crc || bytes !== recording.streamBytes) {
    throw damaged(checkpoint, recording, `${recording.streamBytes} bytes, CRC-32 ${recording.crc}`, `${bytes}, ${crc}`);
  }
  if (held !== undefined) yield held;
}

async function* pieces(checkpoint: Checkpoint, recording: RecordingEntry): AsyncGenerator<Uint8Array> {
  const { pageBytes } = recording;
  const pages = new PageReader(checkpoint);
  const rest = new KindReader(checkpoint, recording, chunkKind.rest);
  let out = new Uint8Array(pieceBytes + pageBytes);
  let length = 0;
  const taken = (): Uint8Array => {
    const piece = out.subarray(0, length);
    out = new Uint8Array(pieceBytes + pageBytes);
    length = 0;
    return piece;
  };
  const orders = new KindReader(checkpoint, recording, chunkKind.order);
  let next = 0;
  for (let order = await orders.chunk(); order !== undefined; order = await orders.chunk()) {
    const numbers = new NumberReader(order);
    while (!numbers.ended) {
      let restBytes = numbers.next();
      const step = numbers.next();
      if (restBytes === undefined || step === undefined) throw damaged(checkpoint, recording, "pairs of numbers");
      while (restBytes > 0) {
        const part = await rest.upTo(Math.min(restBytes, pieceBytes));
        if (part === undefined) throw damaged(checkpoint, recording, `${restBytes} more bytes that are no pages`);
        if (length + part.length > pieceBytes) yield taken();
        out.set(part, length);
        length += part.length;
        restBytes -= part.length;
      }
      const page = next + unzigzag(step);
      next = page + 1;
      const at = checkpoint.placeOf(page);
      if (at.pageBytes !== pageBytes) throw damaged(checkpoint, recording, `a page of ${pageBytes}`, `${at.pageBytes}`);
      const chunk = await pages.chunk(at.chunk);
      out.set(chunk.subarray(at.at, at.at + pageBytes), length);
      length += pageBytes;
      if (length >= pieceBytes) yield taken();
    }
  }
  if (length > 0) yield taken();
  for (let part = await rest.upTo(pieceBytes); part !== undefined; part = await rest.upTo(pieceBytes))
    yield part.slice();
}

/** The chunks of one kind of a recording, one after the other. */
class KindReader {
  readonly #checkpoint: Checkpoint;
  readonly #kind: ChunkKind;
  readonly #to: number;
  #index: number;
  #left = new Uint8Array(0);

  constructor(checkpoint: Checkpoint, recording: RecordingEntry, kind: ChunkKind) {
    this.#checkpoint = checkpoint;
    this.#kind = kind;
    [this.#index, this.#to] = checkpoint.chunksOf(recording);
  }

  async chunk(): Promise<Uint8Array | undefined> {
    while (this.#index < this.#to) {
      const index = this.#index++;
      if ((this.#checkpoint.chunks[index] as ChunkEntry).kind === this.#kind) return this.#checkpoint.chunk(index);
    }
    return undefined;
  }

  /** At least one byte; undefined at the end. */
  async upTo(bytes: number): Promise<Uint8Array | undefined> {
    if (this.#left.length === 0) {
      const chunk = await this.chunk();
      if (chunk === undefined) return undefined;
      this.#left = chunk as Uint8Array<ArrayBuffer>;
    }
    const part = this.#left.subarray(0, bytes);
    this.#left = this.#left.subarray(part.length);
    return part;
  }
}

class PageReader {
  readonly #checkpoint: Checkpoint;
  /** The one used last comes last. */
  readonly #kept = new Map<number, Uint8Array>();
  #last: { readonly index: number; readonly bytes: Uint8Array } | undefined;

  constructor(checkpoint: Checkpoint) {
    this.#checkpoint = checkpoint;
  }

  async chunk(index: number): Promise<Uint8Array> {
    if (this.#last?.index === index) return this.#last.bytes;
    const bytes = this.#kept.get(index) ?? (await this.#checkpoint.chunk(index));
    this.#kept.delete(index);
    this.#kept.set(index, bytes);
    if (this.#kept.size > keptChunks) this.#kept.delete(this.#kept.keys().next().value as number);
    this.#last = { index, bytes };
    return bytes;
  }
}

/** The checksums of its chunks are right: what is wrong was written so. */
function damaged(checkpoint: Checkpoint, recording: RecordingEntry, expected: string, found?: string): Error {
  return checkpointError("CHECKPOINT_CHECKSUM", `the recording "${recording.name}" is not what was recorded`, {
    file: checkpoint.file,
    offset: headerBytes,
    path: `index.recordings[${checkpoint.recordings.indexOf(recording)}]`,
    expected,
    found,
  });
}
