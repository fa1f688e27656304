// The index of a checkpoint file: its chunks and its recordings, to and from msgpack, and whether they can be.
import { Packr, Unpackr } from "msgpackr";
import { type Form, form } from "./compression.ts";
import { checkpointError } from "./errors.ts";
import { type ChunkKind, chunkKind, chunkLimitBytes, hashBytes, headerBytes, viewOf } from "./format.ts";

export interface ChunkEntry {
  readonly kind: ChunkKind;
  readonly form: Form;
  readonly storedBytes: number;
  readonly plainBytes: number;
  /** Of the bytes in the file. */
  readonly crc: number;
}

/** A recording, as the index has it. */
export interface RecordingEntry {
  readonly name: string;
  /** When it was begun: milliseconds since 1970. */
  readonly createdMs: number;
  /** The machine type of the stream's configuration section; "" where it has none. */
  readonly machine: string;
  readonly pageBytes: number;
  /** Chunks that it brought into the file. They follow those of the recording before. */
  readonly chunkCount: number;
  /** Pages in the stream, and those of them that it brought into the file. */
  readonly pages: number;
  readonly newPages: number;
  readonly streamBytes: number;
  /** CRC-32 of the stream. */
  readonly crc: number;
  /** The stream's end was seen; where it was not, nothing but the end of the connection says that the stream is whole. */
  readonly whole: boolean;
  /** The stream opens the return path: whoever takes it answers. */
  readonly returnPath: boolean;
}

export interface FileIndex {
  readonly chunks: readonly ChunkEntry[];
  readonly recordings: readonly RecordingEntry[];
}

const chunkEntryBytes = 14;
const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true });

export function encodeIndex({ chunks, recordings }: FileIndex): Uint8Array {
  const table = new Uint8Array(chunks.length * chunkEntryBytes);
  const view = viewOf(table);
  for (const [i, chunk] of chunks.entries()) {
    const at = i * chunkEntryBytes;
    view.setUint8(at, chunk.kind);
    view.setUint8(at + 1, chunk.form);
    view.setUint32(at + 2, chunk.storedBytes);
    view.setUint32(at + 6, chunk.plainBytes);
    view.setUint32(at + 10, chunk.crc);
  }
  return packr.pack({ chunks: Buffer.from(table.buffer), recordings });
}

/** `indexOffset`: where the chunks must end. `CHECKPOINT_INDEX`. */
export function decodeIndex(file: string, bytes: Uint8Array, indexOffset: number): FileIndex {
  const invalid = (path: string, found?: unknown): Error =>
    checkpointError("CHECKPOINT_INDEX", "the index contradicts itself or the file", {
      file,
      offset: indexOffset,
      path: `index${path}`,
      ...(found !== undefined && { found: String(found) }),
    });
  let index: { readonly chunks?: unknown; readonly recordings?: unknown };
  try {
    index = unpackr.unpack(bytes) as typeof index;
  } catch (cause) {
    throw checkpointError("CHECKPOINT_INDEX", "the index is no msgpack", {
      file,
      offset: indexOffset,
      path: "index",
      cause,
    });
  }
  const { chunks: table, recordings: listed } = typeof index === "object" && index !== null ? index : {};
  if (!(table instanceof Uint8Array) || table.length % chunkEntryBytes !== 0) throw invalid(".chunks");
  if (!Array.isArray(listed)) throw invalid(".recordings");
  const chunks = decodeChunks(table, invalid);
  const end = chunks.reduce((sum, { storedBytes }) => sum + storedBytes, headerBytes);
  if (end !== indexOffset) throw invalid(".chunks", `chunks up to byte ${end}`);
  const recordings = listed.map((one: unknown, i) =>
    decodeRecording(one, (path, found) => invalid(`.recordings[${i}]${path}`, found)),
  );
  checkChunks(chunks, recordings, invalid);
  return { chunks, recordings };
}

type Invalid = (path: string, found?: unknown) => Error;

function decodeChunks(table: Uint8Array, invalid: Invalid): ChunkEntry[] {
  const view = viewOf(table);
  return Array.from({ length: table.length / chunkEntryBytes }, (_, i) => {
    const at = i * chunkEntryBytes;
    const chunk = {
      kind: view.getUint8(at) as ChunkKind,
      form: view.getUint8(at + 1) as Form,
      storedBytes: view.getUint32(at + 2),
      plainBytes: view.getUint32(at + 6),
      crc: view.getUint32(at + 10),
    };
    const { storedBytes, plainBytes } = chunk;
    if (!kinds.has(chunk.kind)) throw invalid(`.chunks[${i}].kind`, chunk.kind);
    if (!forms.has(chunk.form)) throw invalid(`.chunks[${i}].form`, chunk.form);
    const fits = chunk.form === form.plain ? storedBytes === plainBytes : storedBytes < plainBytes;
    if (plainBytes === 0 || plainBytes > chunkLimitBytes || !fits) {
      throw invalid(`.chunks[${i}]`, `${storedBytes} of ${plainBytes} bytes`);
    }
    return chunk;
  });
}

const kinds: ReadonlySet<number> = new Set(Object.values(chunkKind));
const forms: ReadonlySet<number> = new Set(Object.values(form));

function decodeRecording(value: unknown, invalid: Invalid): RecordingEntry {
  if (typeof value !== "object" || value === null) throw invalid("");
  const one = value as Record<keyof RecordingEntry, unknown>;
  for (const key of ["createdMs", "pageBytes", "chunkCount", "pages", "newPages", "streamBytes", "crc"] as const) {
    const count = one[key];
    if (typeof count !== "number" || !Number.isSafeInteger(count) || count < 0) throw invalid(`.${key}`, count);
  }
  for (const key of ["name", "machine"] as const) if (typeof one[key] !== "string") throw invalid(`.${key}`, one[key]);
  for (const key of ["whole", "returnPath"] as const)
    if (typeof one[key] !== "boolean") throw invalid(`.${key}`, one[key]);
  const entry = one as unknown as RecordingEntry;
  if (!isPageSize(entry.pageBytes)) throw invalid(".pageBytes", entry.pageBytes);
  if (entry.newPages > entry.pages) throw invalid(".newPages", entry.newPages);
  if (entry.pages * entry.pageBytes > entry.streamBytes) throw invalid(".pages", entry.pages);
  return entry;
}

/** What a target page may have. Bytes. */
export function isPageSize(bytes: number): boolean {
  return bytes >= 1024 && bytes <= 65536 && (bytes & (bytes - 1)) === 0;
}

function checkChunks(chunks: readonly ChunkEntry[], recordings: readonly RecordingEntry[], invalid: Invalid): void {
  const names = new Set<string>();
  let next = 0;
  for (const [i, { name, chunkCount, pageBytes, newPages }] of recordings.entries()) {
    if (names.has(name)) throw invalid(`.recordings[${i}].name`, name);
    names.add(name);
    const own = chunks.slice(next, next + chunkCount);
    next += chunkCount;
    const bytesOf = (kind: ChunkKind): number =>
      own.reduce((sum, chunk) => (chunk.kind === kind ? sum + chunk.plainBytes : sum), 0);
    if (own.some(({ kind, plainBytes }) => kind === chunkKind.pages && plainBytes % pageBytes !== 0)) {
      throw invalid(`.recordings[${i}].pageBytes`, pageBytes);
    }
    if (bytesOf(chunkKind.pages) !== newPages * pageBytes || bytesOf(chunkKind.hashes) !== newPages * hashBytes) {
      throw invalid(`.recordings[${i}].newPages`, newPages);
    }
  }
  if (next !== chunks.length) throw invalid(".chunks", `${chunks.length} chunks, ${next} of recordings`);
}
