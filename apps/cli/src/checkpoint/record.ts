// Records a stream into a checkpoint file, and answers a source that waits for answers.
import { isMigrationError, MigrationError } from "@godwit/core";
import type { Form } from "./compression.ts";
import type { RecordingEntry } from "./file-index.ts";
import { pongMessage, shutMessage } from "./return-path.ts";
import { StoreWriter } from "./store-writer.ts";
import { StreamParts } from "./stream-parts.ts";
import { within } from "./within.ts";

export interface RecordProgress {
  readonly streamBytes: number;
  readonly pages: number;
  readonly newPages: number;
}

export interface RecordOptions {
  /** What the recording is called; the next number that is free. */
  readonly name?: string | undefined;
  /** Of the target's pages, where the stream does not say it and it is not 4096. */
  readonly pageBytes?: number | undefined;
  /** Sends to the source: where it opens the return path it waits for answers. */
  readonly answer?: ((message: Uint8Array) => Promise<void>) | undefined;
  /** All has come, and the file is about to get its name: throws where it must not. */
  readonly beforeComplete?: (() => Promise<void>) | undefined;
  readonly onProgress?: ((progress: RecordProgress) => void) | undefined;
  /** Bounds the memory for finding pages again, at 27 bytes a page; pages beyond are stored again. Bytes: 512 MiB. */
  readonly pageIndexBytes?: number | undefined;
  /** How chunks are compressed; what the runtime has. */
  readonly form?: Form | undefined;
  /** Milliseconds since 1970, as the file tells it; now. */
  readonly createdMs?: number | undefined;
  /** Of a source that waits for answers. The default is five seconds, and ten. */
  readonly silence?: Silence | undefined;
}

/** How long nothing may come. Milliseconds. */
export interface Silence {
  /**
   * Behind the stream's EOF, until that was all: there may be a vmdesc, or none. Behind what looks like the end of a
   * stream that could not be read so far, too.
   */
  readonly afterEndMs: number;
  /** Behind bytes that could not be read, until the source is told that nothing was recorded. */
  readonly lostMs: number;
}

export interface RecordReport {
  readonly recording: RecordingEntry;
  /** Of the checkpoint file, with all that it holds. */
  readonly fileBytes: number;
  /** Why from some byte on pages were not looked for, and all was kept as it came. */
  readonly lost: MigrationError | undefined;
  /** False where a source that waits for our word is gone before it had it: it goes on with its machine itself. */
  readonly answered: boolean;
}

const pageIndexBytes = 512 << 20;
/** Longer pieces are taken apart by parts of this length, so that memory does not grow with them. Bytes. */
const partBytes = 1 << 20;
/**
 * Where no vmdesc follows (rare: a machine type that has none, or post-copy) a machine stands still for the first; where the
 * network hangs before one, a shorter time would leave it out of the recording.
 */
const defaultSilence: Silence = { afterEndMs: 5000, lostMs: 10_000 };

/**
 * Keeps the stream of `chunks` in `storePath`, behind the recordings that are there; the file is the old one until the new
 * one is whole. A stream of a source with a return path ends where its end is read; any other where `chunks` end.
 * `CHECKPOINT_*`, `MAGIC_WRONG`, `STREAM_VERSION`, `STREAM_TRUNCATED`, and what `chunks` throw: nothing is left then.
 */
export async function recordStream(
  chunks: AsyncIterable<Uint8Array>,
  storePath: string,
  options: RecordOptions = {},
): Promise<RecordReport> {
  const createdMs = options.createdMs ?? Date.now();
  const init = { name: options.name, form: options.form, pageIndexBytes: options.pageIndexBytes ?? pageIndexBytes };
  const writer = await StoreWriter.begin(storePath, init);
  const parts = new StreamParts(writer, options.pageBytes);
  const answer = options.answer ?? (async () => {});
  const iterator = chunks[Symbol.asyncIterator]();
  let report: Omit<RecordReport, "answered">;
  try {
    await takeAll(iterator, writer, parts, options, answer);
    const whole = parts.end();
    const { machine, returnPath, lost } = parts;
    await options.beforeComplete?.();
    const { recording, fileBytes } = await writer.complete({ createdMs, machine, whole, returnPath });
    report = { recording, fileBytes, lost };
  } catch (error) {
    await writer.discard();
    if (parts.returnPath) await arrives(answer(shutMessage(1)));
    throw error;
  } finally {
    // Not waited for: it may stand behind a piece that never comes.
    iterator.return?.().catch(() => {});
  }
  // Not before: on our word that all is well the source gives its machine up.
  const answered = !parts.returnPath || (await arrives(answer(shutMessage(0))));
  return { ...report, answered };
}

/** A source that is gone needs no word from us. */
async function arrives(sent: Promise<void>): Promise<boolean> {
  try {
    await sent;
    return true;
  } catch {
    return false;
  }
}

async function takeAll(
  iterator: AsyncIterator<Uint8Array>,
  writer: StoreWriter,
  parts: StreamParts,
  { onProgress, silence = defaultSilence }: RecordOptions,
  answer: (message: Uint8Array) => Promise<void>,
): Promise<void> {
  for (;;) {
    const chunk = await nextOf(iterator, parts, silence);
    if (chunk === undefined) return;
    for (let at = 0; at < chunk.length; at += partBytes) {
      parts.push(chunk.subarray(at, at + partBytes));
      await writer.flush();
      for (const value of parts.pings.splice(0)) if (parts.returnPath) await answer(pongMessage(value));
    }
    const { streamBytes, pages, newPages } = writer;
    onProgress?.({ streamBytes, pages, newPages });
  }
}

/** Undefined where nothing more comes. */
async function nextOf(
  iterator: AsyncIterator<Uint8Array>,
  parts: StreamParts,
  silence: Silence,
): Promise<Uint8Array | undefined> {
  if (parts.returnPath && parts.complete) return undefined;
  const next = iterator.next();
  if (!parts.returnPath || !(parts.atEof || parts.unread !== undefined)) return pieceOf(await next);
  // A guest can have in its memory what looks like the end of a stream: the source must stop behind it, too.
  const isEnd = parts.atEof || parts.endsLikeWhole();
  const outcome = await within(next, isEnd ? silence.afterEndMs : silence.lostMs);
  if (outcome !== "silence") return pieceOf(outcome);
  // What comes of it is drained, or thrown away.
  next.catch(() => {});
  if (isEnd) return undefined;
  throw new MigrationError("STREAM_TRUNCATED", "the source went silent, and the end of its stream was not seen", {
    side: "destination",
    ...(isMigrationError(parts.unread) && parts.unread.location),
  });
}

const pieceOf = ({ done, value }: IteratorResult<Uint8Array>): Uint8Array | undefined =>
  done === true ? undefined : value;
