// Bytes to wire record to state, and back. A wire record is what was on the wire: encoding it gives the same bytes,
// always. A state is what devices see: complete, with `absent` where the wire brought nothing.
import { Cursor, underflow } from "../cursor.ts";
import { isMigrationError, MigrationError } from "../errors.ts";
import type { VmdescMembers } from "../stream/vmdesc-types.ts";
import { Writer } from "../writer.ts";
import { bodyOf } from "./compile.ts";
import type { VmdescDialect, WriteMode } from "./nodes/node.ts";
import { HeadedNode, StructNode } from "./nodes/struct.ts";
import type { AnyRecord, Description, StateOf, WireRecord } from "./types.ts";
import { Walk } from "./walk.ts";

/**
 * Takes what belongs to one piece of a stream from a cursor, a few bytes or all at a time. Implemented here for
 * descriptions, and by iterable handlers for their own data.
 */
export interface BodyDecoder<T = unknown> {
  /** Goes on as far as the bytes reach; true when complete. Never called again after that. */
  resume(cursor: Cursor): boolean;
  /** What was read, once complete. */
  value(): T;
  /** The element that is being read. */
  path(): string | undefined;
  /** How much of that element has been taken from the cursor already; without it, none. Bytes. */
  takenBytes?(): number;
  /** An independent copy that can go on by itself. */
  fork(): BodyDecoder<T>;
}

const fromState: WriteMode = { state: true, checks: true };
const fromRecord: WriteMode = { state: false, checks: true };

/**
 * Decodes the body of a description written in `version`. Throws `SECTION_VERSION` where that is not readable.
 * `headed` false: the record does not say its version, for those who know it.
 */
export function recordDecoder(description: Description, version: number, headed = true): BodyDecoder<WireRecord> {
  const body = bodyOf(description);
  body.checkVersion(version);
  return new RecordDecoder(new Walk(headed ? new HeadedNode(body, version) : new StructNode(body, version)));
}

class RecordDecoder implements BodyDecoder<WireRecord> {
  readonly #walk: Walk;
  #record: WireRecord | undefined;

  constructor(walk: Walk) {
    this.#walk = walk;
  }
  resume(cursor: Cursor): boolean {
    const { done, value } = this.#walk.resume(cursor);
    if (done) this.#record = value as WireRecord;
    return done;
  }
  value(): WireRecord {
    if (this.#record === undefined) throw new Error("the record is not complete");
    return this.#record;
  }
  path(): string | undefined {
    return this.#walk.path();
  }
  fork(): RecordDecoder {
    const copy = new RecordDecoder(this.#walk.fork());
    copy.#record = this.#record;
    return copy;
  }
}

export interface DecodeOptions {
  /** The version that the bytes were written in; the default is the description's own. */
  readonly version?: number;
  /** False: values are not compared with this machine's (`equal`, `range`). */
  readonly checks?: boolean;
  /** Offset of the first byte, for errors. */
  readonly offset?: number;
}

/** The wire record of exactly these bytes: fewer are `STREAM_TRUNCATED`, more `STREAM_TRAILING`. */
export function decodeRecord(description: Description, bytes: Uint8Array, options?: DecodeOptions): WireRecord {
  return readAll(description, bytes, options, true);
}

function readAll(
  description: Description,
  bytes: Uint8Array,
  options: DecodeOptions | undefined,
  headed: boolean,
): WireRecord {
  const version = options?.version ?? description.version;
  const body = bodyOf(description);
  body.checkVersion(version);
  const cursor = cursorOn(bytes, options);
  cursor.final = true;
  try {
    const record = body.read(cursor, undefined, version, headed);
    if (cursor.available === 0) return record;
  } catch (error) {
    if (error !== underflow && !isMigrationError(error)) throw error;
  }
  // Knowing that no more bytes come, the header of a subsection that is cut off passes for data of an enclosing body.
  // Not knowing it, the stepped walk waits for the rest, which tells what is really missing.
  return refuse(recordDecoder(description, version), cursorOn(bytes, options));
}

function cursorOn(bytes: Uint8Array, options: DecodeOptions | undefined): Cursor {
  const cursor = new Cursor(bytes, options?.offset ?? 0);
  cursor.checks = options?.checks ?? true;
  return cursor;
}

function refuse(decoder: BodyDecoder, cursor: Cursor): never {
  let complete = decoder.resume(cursor);
  if (!complete && cursor.available === 0) {
    cursor.final = true;
    complete = decoder.resume(cursor);
  }
  throw new MigrationError(
    complete ? "STREAM_TRAILING" : "STREAM_TRUNCATED",
    complete ? "bytes follow the last element" : "the bytes end in the middle of an element",
    {
      path: complete ? "end" : decoder.path(),
      offset: cursor.offset,
      found: `${cursor.available} more bytes`,
    },
  );
}

function versionOf(description: Description, record: WireRecord): number {
  const version = record["$version"];
  return typeof version === "number" ? version : description.version;
}

/**
 * The bytes of a wire record: what it was decoded from, whatever `needed` would say today. `version`: where the record
 * does not say it, and it is not the description's own.
 */
export function encodeRecord(description: Description, record: WireRecord, version?: number): Uint8Array {
  const body = bodyOf(description);
  const out = new Writer(body.room);
  body.write(out, record, undefined, version ?? versionOf(description, record), fromRecord);
  return all(out);
}

/**
 * The state of a wire record: what did not come is `absent`. Shares arrays with the record where nothing changes, and is
 * the record where nothing does at all. `version`: as in `encodeRecord`.
 */
export function toState<D extends Description>(description: D, record: WireRecord, version?: number): StateOf<D> {
  return bodyOf(description).toState(record, undefined, version ?? versionOf(description, record)) as StateOf<D>;
}

export function decodeState<D extends Description>(
  description: D,
  bytes: Uint8Array,
  options?: DecodeOptions,
): StateOf<D> {
  const version = options?.version ?? description.version;
  return bodyOf(description).toState(readAll(description, bytes, options, false), undefined, version) as StateOf<D>;
}

/**
 * Writes a state in the description's version. Integer arrays may be any `ArrayLike`; nothing of it is kept. `sent`: told
 * the name of each subsection that is written, at whatever depth.
 */
export function writeState(
  out: Writer,
  description: Description,
  state: AnyRecord,
  sent?: (name: string) => void,
): void {
  bodyOf(description).write(out, state, undefined, description.version, sent ? { ...fromState, sent } : fromState);
}

export function encodeState<D extends Description>(description: D, state: StateOf<D>): Uint8Array {
  const body = bodyOf(description);
  const out = new Writer(body.room);
  body.write(out, state, undefined, description.version, fromState);
  return all(out);
}

function all(out: Writer): Uint8Array {
  return out.pos === out.bytes.length ? out.bytes : out.written();
}

/** Writes a state and gives what a vmdesc says of it. */
export function listState(
  out: Writer,
  description: Description,
  state: AnyRecord,
  dialect: VmdescDialect,
): VmdescMembers {
  return bodyOf(description).list({ out, mode: fromState, dialect }, state, undefined, description.version);
}

/** Writes a wire record and gives what a vmdesc says of it. */
export function listRecord(
  out: Writer,
  description: Description,
  record: WireRecord,
  dialect: VmdescDialect,
): VmdescMembers {
  const version = versionOf(description, record);
  return bodyOf(description).list({ out, mode: fromRecord, dialect }, record, undefined, version);
}
