// QEMU's return path: what a destination says to its source, read and written. Source: wire reference 9.2.
import { MigrationError, Writer } from "@godwit/core";
import { migrationError } from "../codes.ts";
import { nameAt, nameBytes, wholeNumber } from "./names.ts";

/** be16 type, be16 length, payload; the content of RECV_BITMAP stands behind it, outside the length. */
export type ReturnMessage =
  /** The load is over: `status` 0, it went well; anything else, it failed. */
  | { readonly kind: "shut"; readonly status: number }
  /** The answer to PING. */
  | { readonly kind: "pong"; readonly value: number }
  /** Pages that somebody waits for, in bytes of the block. */
  | { readonly kind: "request-pages"; readonly idstr: string; readonly start: number; readonly length: number }
  /** Recovery: the target pages that have arrived, little-endian longs, a multiple of 8 bytes. */
  | { readonly kind: "received-bitmap"; readonly idstr: string; readonly bitmap: Uint8Array }
  /** Recovery: the destination goes on. QEMU sends 1 and takes nothing else. */
  | { readonly kind: "resume-ack"; readonly value: number }
  /** The destination has what it needs before the switch (QEMU 8.1: switchover-ack). */
  | { readonly kind: "switchover-ack" };

const type = {
  shut: 1,
  pong: 2,
  requestPagesOf: 3,
  requestPages: 4,
  receivedBitmap: 5,
  resumeAck: 6,
  switchoverAck: 7,
} as const;

const typeNames: readonly string[] = [
  "INVALID",
  "SHUT",
  "PONG",
  "REQ_PAGES_ID",
  "REQ_PAGES",
  "RECV_BITMAP",
  "RESUME_ACK",
  "SWITCHOVER_ACK",
];

const headerBytes = 4;
const longestPayloadBytes = 512;
/** Behind a bitmap. */
const bitmapEnd = 0x0123456789abcdefn;
/** The bitmap of 2 TiB in pages of 4 KiB. Bytes. */
const defaultBitmapBytes = 64 << 20;

/** Writes messages; pages of the block that was named last go without its name, as QEMU sends them. */
export class ReturnPathWriter {
  #requested: string | undefined;

  /** `LENGTH_BOUND` for a name longer than 255 bytes, `DEFINITION_INVALID` for a bitmap of no whole longs. */
  write(message: ReturnMessage): Uint8Array {
    const out = new Writer(32);
    const payloadAt = headerBytes;
    out.reserve(headerBytes);
    const kind = this.#payload(out, message);
    out.view.setUint16(0, kind);
    out.view.setUint16(2, out.pos - payloadAt);
    if (message.kind === "received-bitmap") writeBitmap(out, message.bitmap);
    return out.flush();
  }

  #payload(out: Writer, message: ReturnMessage): number {
    switch (message.kind) {
      case "shut":
        out.u32(message.status);
        return type.shut;
      case "pong":
        out.u32(message.value);
        return type.pong;
      case "request-pages":
        return this.#request(out, message);
      case "received-bitmap":
        writeName(out, message.idstr);
        return type.receivedBitmap;
      case "resume-ack":
        out.u32(message.value);
        return type.resumeAck;
      case "switchover-ack":
        return type.switchoverAck;
    }
  }

  #request(out: Writer, { idstr, start, length }: Extract<ReturnMessage, { kind: "request-pages" }>): number {
    out.u64(BigInt(start));
    out.u32(length);
    if (this.#requested === idstr) return type.requestPages;
    writeName(out, idstr);
    this.#requested = idstr;
    return type.requestPagesOf;
  }
}

function writeName(out: Writer, idstr: string): void {
  const name = nameBytes(idstr, "return-path.idstr");
  out.u8(name.length);
  out.raw(name);
}

function writeBitmap(out: Writer, bitmap: Uint8Array): void {
  if (bitmap.length % 8 !== 0) {
    throw new MigrationError("DEFINITION_INVALID", "a bitmap of received pages is of whole longs", {
      side: "destination",
      path: "return-path.bitmap",
      expected: "a multiple of 8 bytes",
      found: `${bitmap.length} bytes`,
    });
  }
  out.u64(BigInt(bitmap.length));
  out.raw(bitmap);
  out.u64(bitmapEnd);
}

export interface ReturnPathReaderInit {
  /** Called for each message, in order, while `push` is under way. */
  message(message: ReturnMessage): void;
  /** How long the bitmap of a block must be: undefined for a block that is not here. Without it, at most 64 MiB. Bytes. */
  bitmapBytes?(idstr: string): number | undefined;
}

/** A message whose head and payload have come, and of which a bitmap is on its way. */
interface Bitmap {
  readonly idstr: string;
  /** Of the message. */
  readonly offset: number;
  /** Undefined before its length has come. */
  bytes: Uint8Array | undefined;
  lengthBytes: number;
  filled: number;
}

/**
 * Reads messages from chunks cut anywhere. A bad one ends the reader: `PROTOCOL_FRAME` for a type or length that cannot
 * be, `PROTOCOL_MESSAGE` for a content that cannot, `PROTOCOL_ORDER` for pages of a block that none before has named,
 * `RAM_BLOCK_UNKNOWN`, `LENGTH_BOUND`; each with its offset in the return path.
 */
export class ReturnPathReader {
  readonly #init: ReturnPathReaderInit;
  readonly #head = new Uint8Array(headerBytes + longestPayloadBytes);
  readonly #view = new DataView(this.#head.buffer);
  #filled = 0;
  #bitmap: Bitmap | undefined;
  /** Eight bytes of a bitmap's length, or of its end mark. */
  readonly #word = new Uint8Array(8);
  #wordFilled = 0;
  #offset = 0;
  #requested: string | undefined;
  #failed: MigrationError | undefined;

  constructor(init: ReturnPathReaderInit) {
    this.#init = init;
  }

  /** Bytes that were taken. */
  get offset(): number {
    return this.#offset;
  }

  /** True between two messages: the connection may end here without cutting one in two. */
  get atBoundary(): boolean {
    return this.#filled === 0 && this.#bitmap === undefined;
  }

  /** Keeps no reference to `chunk`. */
  push(chunk: Uint8Array): void {
    if (this.#failed !== undefined) throw this.#failed;
    try {
      for (let at = 0; at < chunk.length; ) {
        const before = at;
        at = this.#bitmap === undefined ? this.#takeHead(chunk, at) : this.#takeBitmap(chunk, at, this.#bitmap);
        this.#offset += at - before;
        // A message with a content of its own is complete only with that.
        if (this.#bitmap === undefined && this.#filled === this.#wanted()) this.#complete();
      }
    } catch (error) {
      this.#failed = error as MigrationError;
      throw error;
    }
  }

  /** How long head and payload are, as far as that is known. */
  #wanted(): number {
    return this.#filled < headerBytes ? headerBytes : headerBytes + this.#view.getUint16(2);
  }

  #takeHead(chunk: Uint8Array, from: number): number {
    const taken = Math.min(chunk.length - from, this.#wanted() - this.#filled);
    this.#head.set(chunk.subarray(from, from + taken), this.#filled);
    this.#filled += taken;
    if (this.#filled === headerBytes) this.#checkHead(this.#offset + taken - headerBytes);
    return from + taken;
  }

  /** Before a byte of the payload is waited for. */
  #checkHead(offset: number): void {
    const kind = this.#view.getUint16(0);
    const length = this.#view.getUint16(2);
    if (kind < type.shut || kind > type.switchoverAck) {
      throw migrationError("PROTOCOL_FRAME", "a message of an unknown type on the return path", {
        path: "return-path.type",
        offset,
        expected: `${type.shut} to ${type.switchoverAck}`,
        found: String(kind),
      });
    }
    const [least, most] = payloadBytes(kind);
    if (length >= least && length <= most) return;
    throw migrationError("PROTOCOL_FRAME", `${typeNames[kind]} of another length on the return path`, {
      path: "return-path.length",
      offset: offset + 2,
      expected: least === most ? `${least} bytes` : `${least} to ${most} bytes`,
      found: `${length} bytes`,
    });
  }

  #complete(): void {
    const kind = this.#view.getUint16(0);
    const length = this.#view.getUint16(2);
    const offset = this.#offset - headerBytes - length;
    const first = length >= 4 ? this.#view.getUint32(headerBytes) : 0;
    switch (kind) {
      case type.shut:
        this.#give({ kind: "shut", status: first });
        break;
      case type.pong:
        this.#give({ kind: "pong", value: first });
        break;
      case type.requestPagesOf:
        this.#requested = this.#name(headerBytes + 12, length - 12, offset);
        this.#request(this.#requested, offset);
        break;
      case type.requestPages:
        if (this.#requested === undefined) {
          throw migrationError("PROTOCOL_ORDER", "pages are asked for, and no message has named their block", {
            path: "return-path.idstr",
            offset,
            expected: "REQ_PAGES_ID",
            found: "REQ_PAGES",
          });
        }
        this.#request(this.#requested, offset);
        break;
      case type.receivedBitmap: {
        const idstr = this.#name(headerBytes, length, offset);
        this.#bitmap = { idstr, offset, bytes: undefined, lengthBytes: 0, filled: 0 };
        this.#filled = 0;
        break;
      }
      case type.resumeAck:
        if (first !== 1)
          throw wrong("RESUME_ACK of another value", "return-path.value", offset + headerBytes, "1", first);
        this.#give({ kind: "resume-ack", value: first });
        break;
      case type.switchoverAck:
        this.#give({ kind: "switchover-ack" });
        break;
    }
  }

  #request(idstr: string, offset: number): void {
    const start = wholeNumber(this.#view, headerBytes, "return-path.start", offset);
    const length = this.#view.getUint32(headerBytes + 8);
    if (length === 0) throw wrong("no page is asked for", "return-path.len", offset + headerBytes + 8, "1 or more", 0);
    this.#give({ kind: "request-pages", idstr, start, length });
  }

  /** The name behind its length byte, which must fill the payload. */
  #name(at: number, roomBytes: number, offset: number): string {
    const length = this.#head[at] as number;
    if (length !== roomBytes - 1) {
      throw wrong(
        "a name is of another length than its message",
        "return-path.idstr",
        offset + at,
        roomBytes - 1,
        length,
      );
    }
    return nameAt(this.#head, at + 1, length);
  }

  #takeBitmap(chunk: Uint8Array, from: number, bitmap: Bitmap): number {
    const { bytes } = bitmap;
    if (bytes !== undefined && bitmap.filled < bitmap.lengthBytes) return this.#fill(chunk, from, bitmap);
    const taken = Math.min(chunk.length - from, 8 - this.#wordFilled);
    this.#word.set(chunk.subarray(from, from + taken), this.#wordFilled);
    this.#wordFilled += taken;
    if (this.#wordFilled < 8) return from + taken;
    this.#wordFilled = 0;
    const wordOffset = this.#offset + taken - 8;
    if (bytes === undefined) this.#beginBitmap(bitmap, wordOffset);
    else this.#endBitmap(bitmap, bytes, wordOffset);
    return from + taken;
  }

  #beginBitmap(bitmap: Bitmap, offset: number): void {
    const length = wholeNumber(new DataView(this.#word.buffer), 0, "return-path.bitmap.size", offset);
    const wanted = this.#init.bitmapBytes?.(bitmap.idstr);
    if (this.#init.bitmapBytes !== undefined && wanted === undefined) {
      throw new MigrationError("RAM_BLOCK_UNKNOWN", "the bitmap is of a RAM block that is not here", {
        path: "return-path.idstr",
        offset: bitmap.offset + headerBytes,
        found: bitmap.idstr,
      });
    }
    const fits = wanted === undefined ? length <= defaultBitmapBytes && length % 8 === 0 : length === wanted;
    if (!fits) {
      throw new MigrationError("LENGTH_BOUND", `the bitmap of "${bitmap.idstr}" is of another length`, {
        path: "return-path.bitmap.size",
        offset,
        expected: wanted === undefined ? `a multiple of 8, at most ${defaultBitmapBytes}` : `${wanted} bytes`,
        found: `${length} bytes`,
      });
    }
    bitmap.lengthBytes = length;
    bitmap.bytes = new Uint8Array(Math.min(length, 4096));
  }

  /** Memory grows with what has come, at most doubling. */
  #fill(chunk: Uint8Array, from: number, bitmap: Bitmap): number {
    const taken = Math.min(chunk.length - from, bitmap.lengthBytes - bitmap.filled);
    let bytes = bitmap.bytes as Uint8Array;
    if (bitmap.filled + taken > bytes.length) {
      const grown = new Uint8Array(Math.min(bitmap.lengthBytes, 2 * (bitmap.filled + taken)));
      grown.set(bytes.subarray(0, bitmap.filled));
      bitmap.bytes = bytes = grown;
    }
    bytes.set(chunk.subarray(from, from + taken), bitmap.filled);
    bitmap.filled += taken;
    return from + taken;
  }

  #endBitmap({ idstr, lengthBytes }: Bitmap, bytes: Uint8Array, offset: number): void {
    const mark = new DataView(this.#word.buffer).getBigUint64(0);
    if (mark !== bitmapEnd) {
      const found = `0x${mark.toString(16).padStart(16, "0")}`;
      throw wrong("no end mark behind a bitmap", "return-path.bitmap.end", offset, "0x0123456789abcdef", found);
    }
    this.#bitmap = undefined;
    this.#init.message({ kind: "received-bitmap", idstr, bitmap: bytes.subarray(0, lengthBytes) });
  }

  #give(message: ReturnMessage): void {
    this.#filled = 0;
    this.#init.message(message);
  }
}

/** How long the payload of a type is: at least, at most. */
function payloadBytes(kind: number): readonly [number, number] {
  const longestName = 1 + 255;
  if (kind === type.requestPagesOf) return [12 + 1, 12 + longestName];
  if (kind === type.requestPages) return [12, 12];
  if (kind === type.receivedBitmap) return [1, longestName];
  return kind === type.switchoverAck ? [0, 0] : [4, 4];
}

function wrong(detail: string, path: string, offset: number, expected: string | number, found: string | number) {
  return migrationError("PROTOCOL_MESSAGE", detail, { path, offset, expected: String(expected), found: String(found) });
}
