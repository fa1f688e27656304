// Reads checkpoint files: the index at once, a chunk's checksum when the chunk is read.
import { type FileHandle, open } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { expand, type Form } from "./compression.ts";
import { checkpointError } from "./errors.ts";
import { type ChunkEntry, decodeIndex, type FileIndex, type RecordingEntry } from "./file-index.ts";
import {
  checkHeader,
  chunkKind,
  decodeTrailer,
  expectSum,
  hashBytes,
  headerBytes,
  tooShort,
  trailerBytes,
} from "./format.ts";
import { pageHash } from "./page-hash.ts";
import { replayed } from "./replay.ts";

export interface Checkpoint extends FileIndex {
  readonly file: string;
  /** Of the whole file. */
  readonly fileBytes: number;
  /** The last recording, or the one of that name. `CHECKPOINT_NAME`. */
  recording(name?: string): RecordingEntry;
  /** The recording's stream, byte for byte. `CHECKPOINT_*`: before its last piece is given, everything is compared. */
  replay(name?: string): AsyncIterable<Uint8Array>;
  /** The content of a chunk. `CHECKPOINT_CHECKSUM`. */
  chunk(index: number): Promise<Uint8Array>;
  /** A chunk as it stands in the file, its checksum compared. */
  stored(index: number): Promise<Uint8Array>;
  /** Which chunks a recording brought into the file: the first, and the one behind the last. */
  chunksOf(recording: RecordingEntry): readonly [from: number, to: number];
  /** Where a page is. `CHECKPOINT_INDEX`: in no chunk. */
  placeOf(page: number): { readonly chunk: number; readonly at: number; readonly pageBytes: number };
  /** Replays every recording to nowhere, and compares pages with their hashes. */
  verify(): Promise<void>;
  close(): Promise<void>;
}

/** Opens and compares header, trailer and index. `CHECKPOINT_MAGIC`, `_VERSION`, `_TRUNCATED`, `_CHECKSUM`, `_INDEX`. */
export async function openCheckpoint(file: string): Promise<Checkpoint> {
  const handle = await open(file, "r");
  try {
    const { size: fileBytes } = await handle.stat();
    checkHeader(file, await readAt(file, handle, 0, Math.min(headerBytes, fileBytes)));
    if (fileBytes < headerBytes + trailerBytes) throw tooShort(file, fileBytes);
    const trailerAt = fileBytes - trailerBytes;
    const trailer = decodeTrailer(file, await readAt(file, handle, trailerAt, trailerBytes), fileBytes);
    const { indexOffset, storedBytes, plainBytes } = trailer;
    const stored = await readAt(file, handle, indexOffset, storedBytes);
    expectSum(file, indexOffset, "index", stored, trailer.crc);
    const bytes = await expanded(file, indexOffset, "index", () => expand(stored, trailer.form as Form, plainBytes));
    return new OpenCheckpoint(file, handle, fileBytes, decodeIndex(file, bytes, indexOffset));
  } catch (error) {
    await handle.close();
    throw error;
  }
}

interface PageChunk {
  readonly chunk: number;
  /** The number of its first page. */
  readonly first: number;
  readonly pageBytes: number;
}

class OpenCheckpoint implements Checkpoint {
  readonly file: string;
  readonly fileBytes: number;
  readonly chunks: readonly ChunkEntry[];
  readonly recordings: readonly RecordingEntry[];
  readonly #handle: FileHandle;
  readonly #offsets: Float64Array;
  /** The chunks that hold pages, by the first page of each. */
  readonly #pageChunks: PageChunk[] = [];
  readonly #pages: number;

  constructor(file: string, handle: FileHandle, fileBytes: number, { chunks, recordings }: FileIndex) {
    this.file = file;
    this.#handle = handle;
    this.fileBytes = fileBytes;
    this.chunks = chunks;
    this.recordings = recordings;
    this.#offsets = new Float64Array(chunks.length);
    let offset = headerBytes;
    for (const [i, { storedBytes }] of chunks.entries()) {
      this.#offsets[i] = offset;
      offset += storedBytes;
    }
    let first = 0;
    for (const recording of recordings) {
      const { pageBytes } = recording;
      const [from, to] = this.chunksOf(recording);
      for (let chunk = from; chunk < to; chunk++) {
        const { kind, plainBytes } = chunks[chunk] as ChunkEntry;
        if (kind !== chunkKind.pages) continue;
        this.#pageChunks.push({ chunk, first, pageBytes });
        first += plainBytes / pageBytes;
      }
    }
    this.#pages = first;
  }

  recording(name?: string): RecordingEntry {
    const found = name === undefined ? this.recordings.at(-1) : this.recordings.find((one) => one.name === name);
    if (found !== undefined) return found;
    throw checkpointError("CHECKPOINT_NAME", "there is no such recording", {
      file: this.file,
      offset: this.fileBytes - trailerBytes,
      path: "index.recordings",
      expected: this.recordings.map((one) => one.name).join(", ") || "one at all",
      found: name,
    });
  }

  replay(name?: string): AsyncIterable<Uint8Array> {
    return replayed(this, this.recording(name));
  }

  async stored(index: number): Promise<Uint8Array> {
    const { storedBytes, crc } = this.chunks[index] as ChunkEntry;
    const offset = this.#offsets[index] as number;
    const bytes = await readAt(this.file, this.#handle, offset, storedBytes);
    expectSum(this.file, offset, `chunks[${index}]`, bytes, crc);
    return bytes;
  }

  async chunk(index: number): Promise<Uint8Array> {
    const stored = await this.stored(index);
    const { form, plainBytes } = this.chunks[index] as ChunkEntry;
    const offset = this.#offsets[index] as number;
    return expanded(this.file, offset, `chunks[${index}]`, () => expand(stored, form, plainBytes));
  }

  chunksOf(recording: RecordingEntry): readonly [from: number, to: number] {
    const before = this.recordings.slice(0, this.recordings.indexOf(recording));
    const from = before.reduce((sum, { chunkCount }) => sum + chunkCount, 0);
    return [from, from + recording.chunkCount];
  }

  placeOf(page: number): { readonly chunk: number; readonly at: number; readonly pageBytes: number } {
    if (!(page >= 0 && page < this.#pages)) {
      throw checkpointError("CHECKPOINT_INDEX", "a recording has a page that the file has not", {
        file: this.file,
        offset: headerBytes,
        path: "chunks",
        expected: `a page below ${this.#pages}`,
        found: String(page),
      });
    }
    let low = 0;
    let high = this.#pageChunks.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if ((this.#pageChunks[middle]?.first as number) <= page) low = middle;
      else high = middle;
    }
    const { chunk, first, pageBytes } = this.#pageChunks[low] as PageChunk;
    return { chunk, at: (page - first) * pageBytes, pageBytes };
  }

  async verify(): Promise<void> {
    for (const recording of this.recordings) {
      await compareHashes(this, recording);
      for await (const _ of replayed(this, recording));
    }
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

async function compareHashes(checkpoint: Checkpoint, recording: RecordingEntry): Promise<void> {
  const [from, to] = checkpoint.chunksOf(recording);
  const expected: { readonly chunk: number; readonly crc: number; readonly pages: number }[] = [];
  const hashes: Uint8Array[] = [];
  for (let i = from; i < to; i++) {
    const { kind } = checkpoint.chunks[i] as ChunkEntry;
    if (kind === chunkKind.hashes) hashes.push(await checkpoint.chunk(i));
    if (kind !== chunkKind.pages) continue;
    const pages = await checkpoint.chunk(i);
    const own = new Uint8Array((pages.length / recording.pageBytes) * hashBytes);
    for (let at = 0, page = 0; at < pages.length; at += recording.pageBytes, page++) {
      own.set(pageHash(pages.subarray(at, at + recording.pageBytes)), page * hashBytes);
    }
    expected.push({ chunk: i, crc: crc32(own), pages: own.length / hashBytes });
  }
  const all = Buffer.concat(hashes);
  let at = 0;
  for (const { chunk, crc, pages } of expected) {
    const found = all.subarray(at, at + pages * hashBytes);
    at += found.length;
    if (crc32(found) === crc) continue;
    throw checkpointError("CHECKPOINT_CHECKSUM", "pages are not what their hashes say", {
      file: checkpoint.file,
      offset: headerBytes,
      path: `chunks[${chunk}]`,
    });
  }
}

async function readAt(file: string, handle: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let got = 0;
  while (got < length) {
    const { bytesRead } = await handle.read(bytes, got, length - got, offset + got);
    if (bytesRead === 0) throw tooShort(file, offset + got);
    got += bytesRead;
  }
  return bytes;
}

/** Data whose checksum is right, and which is not what its form says, was written so. */
async function expanded(
  file: string,
  offset: number,
  path: string,
  expandIt: () => Promise<Uint8Array>,
): Promise<Uint8Array> {
  try {
    return await expandIt();
  } catch (cause) {
    throw checkpointError("CHECKPOINT_INDEX", "data does not expand to what the index says", {
      file,
      offset,
      path,
      cause,
    });
  }
}
