// Takes a stream apart into its pages and the rest, byte for byte, and says what a recorder must know of it. What is not
// understood is rest: it is kept all the same.
import { type BodyDecoder, type Cursor, isMigrationError, type MigrationError } from "@godwit/core";
import { findVmdesc, type Phase, type StreamEvent, StreamReader } from "@godwit/core/stream";

import {
  type ListFormat,
  listFormat,
  type RamPhase,
  type RamSection,
  type RamWalker,
  ramWalker,
} from "@godwit/ram-dirty-tracker";
import { viewOf } from "./format.ts";

export interface PartsSink {
  /** Called once, before the first page. */
  usePageBytes(pageBytes: number): void;
  page(bytes: Uint8Array): void;
  rest(bytes: Uint8Array): void;
}

/** The end of the stream that is kept until it is known where the stream ends; longer than any vmdesc seen. Bytes. */
const tailBytes = 1 << 22;
/** Sections that nothing delimits are read to their next footer; so many bytes are waited for. */
const holdBytes = 1 << 24;
const defaultPageBytes = 4096;
const commandNumber = { openReturnPath: 1, ping: 2 } as const;

export class StreamParts {
  /** The machine type; "" before it is known, and where the stream does not say it. */
  machine = "";
  /** The source has opened the return path. */
  returnPath = false;
  /** PINGs that were not answered yet. */
  readonly pings: number[] = [];
  /** The end of the stream was read, vmdesc included: nothing may follow. */
  complete = false;
  /** Why the rest of the stream was not read. */
  unread: MigrationError | undefined;
  readonly #sink: PartsSink;
  readonly #isGiven: boolean;
  #wantedPageBytes: number;
  /** 0 before the first section of RAM. */
  #pageBytes = 0;
  readonly #reader: StreamReader;
  /** Up to the first section bytes go one by one: of a piece that is refused the reader tells nothing. */
  #begun = false;
  #walker: RamWalker | undefined;
  #list: ListFormat = {};
  #cursor: Cursor | undefined;
  /** Where pages begin, in the stream, of those that were read last. */
  #pages: number[] = [];
  /** Bytes of the stream that may be part of a page, and where they begin. */
  #held = new Uint8Array(0);
  #heldAt = 0;
  #eofEnd: number | undefined;
  /** The END of RAM was read: no page can follow. */
  #ramEnded = false;
  #tail: Uint8Array[] = [];
  #tailLength = 0;

  /** Why pages may have been passed over: the stream could not be read to the END of RAM. */
  get lost(): MigrationError | undefined {
    return this.#ramEnded ? undefined : this.unread;
  }

  /** EOF was what came last: the stream is whole, and a vmdesc may follow or not. */
  get atEof(): boolean {
    return this.unread === undefined && this.#reader.offset === this.#eofEnd;
  }

  /** `pageBytes`: of the target, where the stream does not say it and it is not 4096. */
  constructor(sink: PartsSink, pageBytes?: number) {
    this.#sink = sink;
    this.#wantedPageBytes = pageBytes ?? defaultPageBytes;
    this.#isGiven = pageBytes !== undefined;
    this.#reader = new StreamReader({
      // Nothing may be waited for: a source with a return path waits for us.
      vmdesc: "none",
      footerScan: true,
      holdBytes,
      open: ({ idstr }, phase, previous) => {
        this.#begun = true;
        if (idstr !== "ram") return undefined;
        this.#walker ??= this.#makeWalker();
        return this.#watched(phase, this.#walker.decoder(phase as RamPhase, previous as RamSection | undefined));
      },
    });
  }

  /** Takes bytes that arrived; keeps no reference to them. `MAGIC_WRONG`, `STREAM_VERSION`: this is no stream. */
  push(chunk: Uint8Array): void {
    const from = this.#heldAt;
    const bytes = joined(this.#held, chunk);
    this.#read(chunk);
    this.#keepTail(chunk);
    const pageBytes = this.#pageBytes;
    let at = 0;
    for (const page of this.#pages) {
      const start = page - from;
      if (start > at) this.#sink.rest(bytes.subarray(at, start));
      at = start + pageBytes;
      this.#sink.page(bytes.subarray(start, at));
    }
    this.#pages = [];
    // A page that has begun is among the last bytes; where nothing is read any more, none can.
    const certain = this.unread !== undefined || this.complete ? bytes.length : bytes.length - pageBytes;
    if (certain > at) {
      this.#sink.rest(bytes.subarray(at, certain));
      at = certain;
    }
    this.#held = bytes.slice(at);
    this.#heldAt = from + at;
  }

  /**
   * No more bytes come. True: the stream's end was seen. False: it was not, and nothing else is wrong either, since
   * the stream could not be read so far. `STREAM_TRUNCATED` where it was read, and is cut.
   */
  end(): boolean {
    if (this.#held.length > 0) this.#sink.rest(this.#held);
    this.#held = new Uint8Array(0);
    if (this.complete || this.#endsInVmdesc()) return true;
    if (this.unread !== undefined) return false;
    // Says what is missing.
    this.#reader.end();
    return true;
  }

  /** Whether what has come ends like a whole stream, for one that could not be read to its end. */
  endsLikeWhole(): boolean {
    return this.#tail.at(-1)?.at(-1) === closingBrace && this.#endsInVmdesc();
  }

  #makeWalker(): RamWalker {
    const pageBytes = this.#wantedPageBytes;
    const walker = ramWalker({
      pageBytes,
      list: () => this.#list,
      onRecord: (record) => {
        if ("value" in record || (record.kind !== "page" && record.kind !== "mapped")) return;
        if (record.payloadBytes === pageBytes) this.#pages.push((this.#cursor as Cursor).offset - pageBytes);
      },
    });
    this.#sink.usePageBytes(pageBytes);
    this.#pageBytes = pageBytes;
    return walker;
  }

  /** The decoder, with the place that it has come to. */
  #watched(phase: Phase, decoder: BodyDecoder<RamSection>): BodyDecoder<RamSection> {
    return {
      resume: (cursor) => {
        this.#cursor = cursor;
        const isDone = decoder.resume(cursor);
        if (isDone && phase === "end") this.#ramEnded = true;
        return isDone;
      },
      value: () => decoder.value(),
      path: () => decoder.path(),
      takenBytes: () => decoder.takenBytes?.() ?? 0,
      fork: () => decoder.fork(),
    };
  }

  #read(chunk: Uint8Array): void {
    if (this.unread !== undefined || this.complete) return;
    let at = 0;
    while (!this.#begun && this.unread === undefined && at < chunk.length) {
      this.#readPiece(chunk.subarray(at, at + 1));
      at++;
    }
    if (at < chunk.length) this.#readPiece(chunk.subarray(at));
  }

  #readPiece(bytes: Uint8Array): void {
    try {
      for (const event of this.#reader.push(bytes)) this.#take(event);
    } catch (error) {
      if (!isMigrationError(error) || error.code === "MAGIC_WRONG" || error.code === "STREAM_VERSION") throw error;
      this.unread = error;
    }
  }

  #take(event: StreamEvent): void {
    switch (event.type) {
      case "header":
        break;
      case "configuration": {
        const { machineType, pageBits, capabilities } = event.configuration;
        this.machine = machineType;
        this.#list = listFormat(capabilities);
        if (pageBits > 0 && !this.#isGiven) this.#wantedPageBytes = 2 ** pageBits;
        break;
      }
      case "command":
        if (event.command === commandNumber.openReturnPath) this.returnPath = true;
        if (event.command === commandNumber.ping) this.pings.push(viewOf(event.payload).getUint32(0));
        break;
      case "eof":
        this.#eofEnd = event.offset + 1;
        break;
      case "vmdesc":
        this.complete = true;
        break;
    }
  }

  /** Needed where the end is near, or cannot be seen otherwise. */
  #keepTail(chunk: Uint8Array): void {
    if (!this.#ramEnded && this.unread === undefined) return;
    this.#tail.push(chunk.slice(-tailBytes));
    this.#tailLength += chunk.length;
    while (this.#tailLength - (this.#tail[0] as Uint8Array).length > tailBytes) {
      this.#tailLength -= (this.#tail.shift() as Uint8Array).length;
    }
  }

  #endsInVmdesc(): boolean {
    try {
      return findVmdesc(Buffer.concat(this.#tail)) !== undefined;
    } catch (error) {
      if (isMigrationError(error)) return false;
      throw error;
    }
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

const closingBrace = 0x7d;
