// zstd by a library, for runtimes without a decoder of their own (Node 20): frame by frame, so that a frame's window is
// bounded before anything is allocated for it, and a cut is told at once. Source: RFC 8878, 3.1.
import { Decompress } from "fzstd";

/** The largest window that is taken: what zstd itself takes when not told otherwise. Bytes. */
export const windowBoundBytes = 128 << 20;

export class WindowTooLarge extends Error {
  readonly windowBytes: number;
  constructor(windowBytes: number) {
    super(`a zstd frame asks for a window of ${windowBytes} bytes`);
    this.windowBytes = windowBytes;
  }
}

const frameMagic = 0xfd2fb528;
const isSkippable = (magic: number): boolean => magic >= 0x184d2a50 && magic <= 0x184d2a5f;

/** Decodes concatenated frames; skippable ones are passed over. Throws on what is none, and where the last one is cut. */
export async function* zstdFrames(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const source = new Source(chunks);
  try {
    while (await source.want(4)) {
      const magic = source.view().getUint32(0, true);
      if (isSkippable(magic)) await skip(source);
      else if (magic === frameMagic) yield* frame(source);
      else throw new Error("no zstd frame begins here");
    }
    if (source.available > 0) throw new Error("a zstd frame is cut off");
  } finally {
    await source.close();
  }
}

async function skip(source: Source): Promise<void> {
  await source.need(8);
  const length = source.view().getUint32(4, true);
  source.take(8);
  for (let left = length; left > 0; ) {
    await source.need(1);
    left -= source.take(Math.min(left, source.available)).length;
  }
}

async function* frame(source: Source): AsyncGenerator<Uint8Array> {
  const made: Uint8Array[] = [];
  const decoder = new Decompress((chunk) => {
    if (chunk.length > 0) made.push(chunk);
  });
  const header = await frameHeader(source);
  decoder.push(source.take(header.bytes));
  for (;;) {
    await source.need(3);
    const { isLast, bytes } = blockOf(source.bytes());
    const blockBytes = 3 + bytes + (isLast && header.checksum ? 4 : 0);
    await source.need(blockBytes);
    decoder.push(source.take(blockBytes), isLast);
    yield* made.splice(0);
    if (isLast) return;
  }
}

async function frameHeader(source: Source): Promise<{ readonly bytes: number; readonly checksum: boolean }> {
  await source.need(5);
  const bytes = headerBytes(source.bytes()[4] as number);
  await source.need(bytes);
  return { bytes, checksum: readHeader(source.view()) };
}

/** Of a frame, magic included; the descriptor is its fifth byte. */
function headerBytes(descriptor: number): number {
  return sizeAt(descriptor) + sizeBytes(descriptor);
}

const isSingle = (descriptor: number): boolean => (descriptor & 0x20) !== 0;
const sizeAt = (descriptor: number): number =>
  (isSingle(descriptor) ? 5 : 6) + ([0, 1, 2, 4][descriptor & 3] as number);
const sizeBytes = (descriptor: number): number => [isSingle(descriptor) ? 1 : 0, 2, 4, 8][descriptor >> 6] as number;

/** Whether a checksum follows the last block. `WindowTooLarge`. */
function readHeader(view: DataView): boolean {
  const descriptor = view.getUint8(4);
  const window = view.getUint8(5);
  const windowBytes = isSingle(descriptor)
    ? contentBytes(view, sizeAt(descriptor), sizeBytes(descriptor))
    : (2 ** (10 + (window >> 3)) / 8) * (8 + (window & 7));
  if (windowBytes > windowBoundBytes) throw new WindowTooLarge(windowBytes);
  return (descriptor & 4) !== 0;
}

interface Block {
  readonly isLast: boolean;
  /** Behind the block's three bytes, without a checksum. */
  readonly bytes: number;
}

function blockOf(bytes: ArrayLike<number>): Block {
  const word = (bytes[0] as number) | ((bytes[1] as number) << 8) | ((bytes[2] as number) << 16);
  const type = (word >> 1) & 3;
  if (type === 3) throw new Error("a zstd block of a reserved type");
  // A repeated byte is one byte, however long it becomes.
  return { isLast: (word & 1) === 1, bytes: type === 1 ? 1 : word >> 3 };
}

/** Follows a frame without decoding it: the runtimes' decoders take any window, or one frame, or end in silence at a cut. */
export class ZstdFraming {
  #step: "magic" | "skippable" | "header" | "block" = "magic";
  #got: number[] = [];
  #wanted = 4;
  #skip = 0;
  #checksum = false;
  #inFrame = false;
  /** Of the frame; undefined until its magic is there. */
  kind: "data" | "skippable" | undefined;

  get isBetween(): boolean {
    return !this.#inFrame;
  }

  /** Reads from `pos` to the end of the frame, or of the chunk: where it stopped. Throws on what is no frame; `WindowTooLarge`. */
  push(chunk: Uint8Array, from: number): number {
    this.#inFrame = true;
    for (let pos = from; pos < chunk.length; ) {
      const skipped = Math.min(this.#skip, chunk.length - pos);
      this.#skip -= skipped;
      pos += skipped;
      if (skipped === 0) {
        this.#got.push(chunk[pos++] as number);
        if (this.#got.length === this.#wanted) this.#next();
      }
      if (this.#step !== "magic" || this.#skip > 0 || this.#got.length > 0) continue;
      this.#inFrame = false;
      return pos;
    }
    return chunk.length;
  }

  #next(): void {
    const view = new DataView(Uint8Array.from(this.#got).buffer);
    switch (this.#step) {
      case "magic": {
        const magic = view.getUint32(0, true);
        this.kind = isSkippable(magic) ? "skippable" : "data";
        if (isSkippable(magic)) this.#want("skippable", 8);
        else if (magic === frameMagic) this.#want("header", 5);
        else throw new Error("no zstd frame begins here");
        return;
      }
      case "skippable":
        this.#begin("magic", 4);
        this.#skip = view.getUint32(4, true);
        return;
      case "header": {
        const bytes = headerBytes(view.getUint8(4));
        if (this.#got.length < bytes) {
          this.#want("header", bytes);
          return;
        }
        this.#checksum = readHeader(view);
        this.#begin("block", 3);
        return;
      }
      case "block": {
        const { isLast, bytes } = blockOf(this.#got);
        this.#begin(isLast ? "magic" : "block", isLast ? 4 : 3);
        this.#skip = bytes + (isLast && this.#checksum ? 4 : 0);
        return;
      }
    }
  }

  #want(step: "skippable" | "header", bytes: number): void {
    this.#step = step;
    this.#wanted = bytes;
  }

  #begin(step: "magic" | "block", bytes: number): void {
    this.#step = step;
    this.#wanted = bytes;
    this.#got = [];
  }
}

function contentBytes(view: DataView, at: number, bytes: number): number {
  if (bytes === 1) return view.getUint8(at);
  if (bytes === 2) return view.getUint16(at, true) + 256;
  if (bytes === 4) return view.getUint32(at, true);
  return Number(view.getBigUint64(at, true));
}

/** Bytes that have come and are not taken; what is taken is the taker's. */
class Source {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #bytes: Uint8Array = new Uint8Array(0);
  #pos = 0;

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#iterator = chunks[Symbol.asyncIterator]();
  }
  get available(): number {
    return this.#bytes.length - this.#pos;
  }
  bytes(): Uint8Array {
    return this.#bytes.subarray(this.#pos);
  }
  view(): DataView {
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + this.#pos, this.available);
  }
  /** False where the end comes before. */
  async want(bytes: number): Promise<boolean> {
    while (this.available < bytes) {
      const next = await this.#iterator.next();
      if (next.done === true) return false;
      const joined = new Uint8Array(this.available + next.value.length);
      joined.set(this.bytes());
      joined.set(next.value, this.available);
      this.#bytes = joined;
      this.#pos = 0;
    }
    return true;
  }
  async need(bytes: number): Promise<void> {
    if (!(await this.want(bytes))) throw new Error("a zstd frame is cut off");
  }
  async close(): Promise<void> {
    await this.#iterator.return?.();
  }
  take(bytes: number): Uint8Array {
    const taken = this.#bytes.slice(this.#pos, this.#pos + bytes);
    this.#pos += bytes;
    return taken;
  }
}
