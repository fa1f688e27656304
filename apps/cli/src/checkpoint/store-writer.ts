// Writes one recording into a new checkpoint file, behind all that the old one has.
import { realpath, stat } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { CliFault } from "../faults.ts";
import { openCheckpoint } from "./checkpoint.ts";
import { compress, type Form, ownForm } from "./compression.ts";
import { checkpointError } from "./errors.ts";
import { type ChunkEntry, encodeIndex, type RecordingEntry } from "./file-index.ts";
import { type ChunkKind, chunkKind, encodeHeader, encodeTrailer, hashBytes, headerBytes } from "./format.ts";
import { numberLimitBytes, writeNumber, zigzag } from "./order.ts";
import { pageHash } from "./page-hash.ts";
import { PageIndex } from "./page-index.ts";
import { openUnfinished, type Unfinished } from "./unfinished.ts";

/** What a chunk holds before it is compressed: pages enough to be worth it, few enough to be read for one. Bytes. */
const chunkBytes = 1 << 18;

export interface StoreWriterInit {
  /** What the recording is called; the next number that is free. */
  readonly name?: string | undefined;
  /** Bounds the memory for finding pages again. Bytes. */
  readonly pageIndexBytes: number;
  readonly form?: Form | undefined;
}

/** What the recording says of itself when it is complete. */
export type RecordingFacts = Pick<RecordingEntry, "createdMs" | "machine" | "whole" | "returnPath">;

export class StoreWriter {
  readonly name: string;
  /** Of the stream so far, and of the file that is written. Bytes. */
  streamBytes = 0;
  pages = 0;
  newPages = 0;
  readonly #unfinished: Unfinished;
  readonly #form: Form;
  readonly #recordings: readonly RecordingEntry[];
  readonly #chunks: ChunkEntry[];
  readonly #index: PageIndex;
  readonly #oldChunks: number;
  #fileBytes: number;
  /** Of the pages in the file. */
  #filePages: number;
  #pageBytes = 4096;
  #crc = 0;
  /** Chunks that are full and not yet written. */
  #full: Uint8Array[] = [];
  readonly #pageChunk = new Uint8Array(chunkBytes);
  #pageChunkLength = 0;
  readonly #hashes = new Uint8Array(chunkBytes);
  #hashesLength = 0;
  readonly #rest = new Uint8Array(chunkBytes);
  #restLength = 0;
  readonly #order = new Uint8Array(chunkBytes);
  #orderLength = 0;
  /** Bytes of `rest` since the last page, and the number behind that one's. */
  #restSince = 0;
  #nextPage = 0;

  private constructor(unfinished: Unfinished, init: StoreWriterInit, old: OldStore) {
    this.#unfinished = unfinished;
    this.#form = init.form ?? ownForm;
    this.#recordings = old.recordings;
    this.#chunks = [...old.chunks];
    this.#oldChunks = old.chunks.length;
    this.#index = old.index;
    this.#fileBytes = old.bytes;
    this.#filePages = old.pages;
    this.name = init.name ?? freeName(old.recordings);
  }

  /**
   * Begins with a copy of `store`, if there is one: every chunk's checksum is compared on the way, so that nothing new
   * leans on what is damaged. `CHECKPOINT_*` of the old file, `CHECKPOINT_NAME`, `CHECKPOINT_BUSY`.
   */
  static async begin(store: string, init: StoreWriterInit): Promise<StoreWriter> {
    const { path, mode, isThere } = await placeOf(store);
    const unfinished = await openUnfinished(path, mode);
    try {
      const old = await copyOf(path, isThere, unfinished, init);
      return new StoreWriter(unfinished, init, old);
    } catch (error) {
      await unfinished.discard();
      throw error;
    }
  }

  /** Once, before the first page. Bytes. */
  usePageBytes(pageBytes: number): void {
    this.#pageBytes = pageBytes;
  }

  /** Of the stream, and no page. The bytes are copied. */
  rest(bytes: Uint8Array): void {
    this.#count(bytes);
    this.#restSince += bytes.length;
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + chunkBytes - this.#restLength);
      this.#rest.set(part, this.#restLength);
      this.#restLength += part.length;
      at += part.length;
      if (this.#restLength === chunkBytes) this.#closeRest();
    }
  }

  /** Of the stream, the next page. The bytes are copied. */
  page(bytes: Uint8Array): void {
    this.#count(bytes);
    const page = this.#numberOf(bytes);
    if (this.#orderLength + 2 * numberLimitBytes > chunkBytes) this.#closeOrder();
    const at = writeNumber(this.#order, this.#orderLength, this.#restSince);
    this.#orderLength = writeNumber(this.#order, at, zigzag(page - this.#nextPage));
    this.#restSince = 0;
    this.#nextPage = page + 1;
    this.pages++;
  }

  /** Writes the chunks that are full. */
  async flush(): Promise<void> {
    for (const bytes of this.#full.splice(0)) await this.#write(bytes);
  }

  /** The file is whole, and under its name; on the disk. */
  async complete(facts: RecordingFacts): Promise<{ readonly recording: RecordingEntry; readonly fileBytes: number }> {
    this.#closeRest();
    this.#closePages();
    this.#closeHashes();
    this.#closeOrder();
    await this.flush();
    const recording: RecordingEntry = {
      ...facts,
      name: this.name,
      pageBytes: this.#pageBytes,
      chunkCount: this.#chunks.length - this.#oldChunks,
      pages: this.pages,
      newPages: this.newPages,
      streamBytes: this.streamBytes,
      crc: this.#crc,
    };
    const plain = encodeIndex({ chunks: this.#chunks, recordings: [...this.#recordings, recording] });
    const { form, bytes } = compress(plain, this.#form);
    const crc = crc32(bytes);
    const indexOffset = this.#fileBytes;
    await this.#write(bytes);
    await this.#write(encodeTrailer({ indexOffset, storedBytes: bytes.length, plainBytes: plain.length, form, crc }));
    await this.#unfinished.complete();
    return { recording, fileBytes: this.#fileBytes };
  }

  /** Leaves nothing; the old file is as it was. */
  discard(): Promise<void> {
    return this.#unfinished.discard();
  }

  #count(bytes: Uint8Array): void {
    this.#crc = crc32(bytes, this.#crc);
    this.streamBytes += bytes.length;
  }

  #numberOf(bytes: Uint8Array): number {
    const hash = pageHash(bytes);
    const words = wordsOf(hash);
    const known = this.#index.find(words);
    if (known !== undefined) return known;
    this.#index.add(words);
    this.#hashes.set(hash, this.#hashesLength);
    this.#hashesLength += hashBytes;
    this.#pageChunk.set(bytes, this.#pageChunkLength);
    this.#pageChunkLength += bytes.length;
    if (this.#pageChunkLength === chunkBytes) this.#closePages();
    if (this.#hashesLength === chunkBytes) this.#closeHashes();
    this.newPages++;
    return this.#filePages++;
  }

  #closePages(): void {
    this.#close(chunkKind.pages, this.#pageChunk.subarray(0, this.#pageChunkLength));
    this.#pageChunkLength = 0;
  }

  #closeHashes(): void {
    this.#close(chunkKind.hashes, this.#hashes.subarray(0, this.#hashesLength));
    this.#hashesLength = 0;
  }

  #closeRest(): void {
    this.#close(chunkKind.rest, this.#rest.subarray(0, this.#restLength));
    this.#restLength = 0;
  }

  #closeOrder(): void {
    this.#close(chunkKind.order, this.#order.subarray(0, this.#orderLength));
    this.#orderLength = 0;
  }

  #close(kind: ChunkKind, content: Uint8Array): void {
    if (content.length === 0) return;
    const { form, bytes } = compress(content, this.#form);
    // The buffer is filled again before these are written.
    const stored = bytes === content ? content.slice() : bytes;
    this.#full.push(stored);
    const crc = crc32(stored);
    this.#chunks.push({ kind, form, storedBytes: stored.length, plainBytes: content.length, crc });
  }

  async #write(bytes: Uint8Array): Promise<void> {
    await writeAll(this.#unfinished, bytes, this.#fileBytes);
    this.#fileBytes += bytes.length;
  }
}

interface OldStore {
  readonly recordings: readonly RecordingEntry[];
  readonly chunks: readonly ChunkEntry[];
  readonly index: PageIndex;
  /** What is written of the new file. */
  readonly bytes: number;
  readonly pages: number;
}

async function copyOf(
  store: string,
  isThere: boolean,
  unfinished: Unfinished,
  init: StoreWriterInit,
): Promise<OldStore> {
  const index = new PageIndex(init.pageIndexBytes);
  await writeAll(unfinished, encodeHeader(), 0);
  let bytes = headerBytes;
  if (!isThere) return { recordings: [], chunks: [], index, bytes, pages: 0 };
  const old = await openCheckpoint(store);
  try {
    if (old.recordings.some(({ name }) => name === init.name)) {
      throw checkpointError("CHECKPOINT_NAME", "there is a recording of that name already", {
        file: store,
        offset: 0,
        path: "index.recordings",
        found: init.name,
      });
    }
    for (const [i, { kind }] of old.chunks.entries()) {
      const stored = await old.stored(i);
      await writeAll(unfinished, stored, bytes);
      bytes += stored.length;
      if (kind !== chunkKind.hashes) continue;
      const hashes = await old.chunk(i);
      for (let at = 0; at < hashes.length; at += hashBytes) index.add(wordsOf(hashes.subarray(at, at + hashBytes)));
    }
    const pages = old.recordings.reduce((sum, { newPages }) => sum + newPages, 0);
    return { recordings: old.recordings, chunks: old.chunks, index, bytes, pages };
  } finally {
    await old.close();
  }
}

interface StorePlace {
  /** Behind symbolic links: one would be replaced, and not what it points to. */
  readonly path: string;
  readonly mode: number;
  /** There are recordings. An empty file is what `mktemp` makes. */
  readonly isThere: boolean;
}

/** Guests' memory is for nobody else, unless the user has said so of the file. */
const privateMode = 0o600;

/** `OUTPUT_SPECIAL`: exit 2. */
async function placeOf(store: string): Promise<StorePlace> {
  try {
    const found = await stat(store);
    // A device or a pipe would be replaced by a file.
    if (!found.isFile() && !found.isDirectory()) {
      throw new CliFault("OUTPUT_SPECIAL", `${store} is no regular file`, { exit: 2 });
    }
    return { path: await realpath(store), mode: found.mode & 0o777, isThere: found.isDirectory() || found.size > 0 };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return { path: store, mode: privateMode, isThere: false };
    throw error;
  }
}

async function writeAll({ handle }: Unfinished, bytes: Uint8Array, offset: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += (await handle.write(bytes, at, bytes.length - at, offset + at)).bytesWritten;
  }
}

function freeName(recordings: readonly RecordingEntry[]): string {
  for (let number = recordings.length + 1; ; number++) {
    if (!recordings.some(({ name }) => name === String(number))) return String(number);
  }
}

const hashWords = new Uint32Array(hashBytes / 4);
const hashOctets = new Uint8Array(hashWords.buffer);

/** Valid until the next call. */
function wordsOf(hash: Uint8Array): Uint32Array {
  hashOctets.set(hash);
  return hashWords;
}
