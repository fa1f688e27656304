// Frames: control messages and the unchanged QEMU stream share one connection, in pieces that are checked before anything
// in them is believed.
import { migrationError } from "../codes.ts";
import type { Digests } from "./digest.ts";

/** What a frame holds. 0 is reserved as invalid. */
export const frameType = { control: 1, stream: 2 } as const;

/**
 * | offset | size |                                                                       |
 * | ------ | ---- | --------------------------------------------------------------------- |
 * | 0      | 1    | type                                                                  |
 * | 1      | 3    | zero                                                                  |
 * | 4      | 4    | number of the frame in its connection and direction, from 0           |
 * | 8      | 4    | bytes of the payload, never 0                                         |
 * | 12     | 8    | xxHash64 of the payload                                               |
 * | 20     | 4    | the lower half of the xxHash64 of the 20 bytes before: a damaged length must not be waited for |
 *
 * All of it is big-endian.
 */
export const frameHeaderBytes = 24;
/** More than any manifest needs: 16,384 sections of 256 bytes. */
export const maxControlFrameBytes = 4 * 1024 * 1024;
/**
 * A stream frame waits until it is whole. It must pass the slowest link well within the time after which a peer counts
 * as silent, and lie in a processor's cache while it is digested and decoded.
 */
export const maxStreamFrameBytes = 256 * 1024;

export interface FrameSink {
  /** A whole control frame. The bytes stay as they are until the next `push`, and are not to be kept. */
  control(payload: Uint8Array): void;
  /** A whole frame of the stream, and its digest. The bytes stay as they are until the next `push`. */
  stream(payload: Uint8Array, digest: bigint): void;
}

const checkedBytes = 20;

function checkOf(digests: Digests, header: Uint8Array): number {
  return Number(digests.of(header.subarray(0, checkedBytes)) & 0xffff_ffffn);
}

/** Numbers the frames of one direction. */
export class FrameWriter {
  readonly #digests: Digests;
  #number = 0;

  constructor(digests: Digests) {
    this.#digests = digests;
  }

  /** The header that goes before the payload, and the payload's digest. `PROTOCOL_FRAME` for one that is too long. */
  head(type: number, payload: Uint8Array): { readonly header: Uint8Array; readonly digest: bigint } {
    const most = type === frameType.control ? maxControlFrameBytes : maxStreamFrameBytes;
    if (payload.length > most) throw tooLong(payload.length, most, undefined);
    const header = new Uint8Array(frameHeaderBytes);
    const view = new DataView(header.buffer);
    const digest = this.#digests.of(payload);
    header[0] = type;
    view.setUint32(4, this.#number++);
    view.setUint32(8, payload.length);
    view.setBigUint64(12, digest);
    view.setUint32(checkedBytes, checkOf(this.#digests, header));
    return { header, digest };
  }

  control(payload: Uint8Array): Uint8Array {
    const { header } = this.head(frameType.control, payload);
    const frame = new Uint8Array(frameHeaderBytes + payload.length);
    frame.set(header);
    frame.set(payload, frameHeaderBytes);
    return frame;
  }
}

/** Takes chunks of any size apart; hands on frames that are whole, in their order and as they were sent. */
export class FrameReader {
  readonly #digests: Digests;
  readonly #sink: FrameSink;
  readonly #header = new Uint8Array(frameHeaderBytes);
  readonly #view = new DataView(this.#header.buffer);
  #headerFilled = 0;
  #number = 0;
  /** What is missing of the frame whose header is complete. Bytes. */
  #left = 0;
  #gathered = new Uint8Array(0);
  /** What was gathered last: one push can end a frame that it does not hold whole, and begin another. */
  #handedOn = new Uint8Array(0);
  #gatheredBytes = 0;
  #offset = 0;

  constructor(digests: Digests, sink: FrameSink) {
    this.#digests = digests;
    this.#sink = sink;
  }

  /** True between frames: a connection may end here without cutting one in two. */
  get atBoundary(): boolean {
    return this.#headerFilled === 0;
  }

  /** Bytes of a frame that is not whole. */
  get heldBytes(): number {
    return this.#gatheredBytes;
  }

  /** `DIGEST_MISMATCH`; `PROTOCOL_FRAME` for a type or length that cannot be; `PROTOCOL_ORDER` for another frame's turn. */
  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      const before = at;
      if (this.#headerFilled < frameHeaderBytes) at = this.#readHeader(chunk, at);
      else at = this.#readPayload(chunk, at);
      this.#offset += at - before;
    }
  }

  #readHeader(chunk: Uint8Array, from: number): number {
    const taken = Math.min(chunk.length - from, frameHeaderBytes - this.#headerFilled);
    this.#header.set(chunk.subarray(from, from + taken), this.#headerFilled);
    this.#headerFilled += taken;
    if (this.#headerFilled === frameHeaderBytes) this.#open();
    return from + taken;
  }

  #open(): void {
    const check = checkOf(this.#digests, this.#header);
    if (this.#view.getUint32(checkedBytes) !== check) {
      throw mismatch("a frame's header is not what was sent", this.#offset, check, this.#view.getUint32(checkedBytes));
    }
    const type = this.#header[0] as number;
    if (type !== frameType.control && type !== frameType.stream) {
      throw migrationError("PROTOCOL_FRAME", "a frame of an unknown type", {
        offset: this.#offset,
        expected: "1 (control) or 2 (stream)",
        found: String(type),
      });
    }
    const number = this.#view.getUint32(4);
    if (number !== this.#number) {
      throw migrationError("PROTOCOL_ORDER", "a frame is missing, or came again", {
        offset: this.#offset,
        expected: `frame ${this.#number}`,
        found: `frame ${number}`,
      });
    }
    // Frames are counted in 32 bits, and go on from 0.
    this.#number = (number + 1) >>> 0;
    this.#left = this.#view.getUint32(8);
    const most = type === frameType.control ? maxControlFrameBytes : maxStreamFrameBytes;
    if (this.#left > most || this.#left === 0) throw tooLong(this.#left, most, this.#offset);
    this.#gatheredBytes = 0;
  }

  #readPayload(chunk: Uint8Array, from: number): number {
    const taken = Math.min(chunk.length - from, this.#left);
    const bytes = chunk.subarray(from, from + taken);
    this.#left -= taken;
    const isLast = this.#left === 0;
    if (isLast && this.#gatheredBytes === 0) this.#handOn(bytes);
    else {
      this.#gather(bytes);
      if (isLast) {
        const whole = this.#gathered;
        this.#gathered = this.#handedOn;
        this.#handedOn = whole;
        this.#handOn(whole.subarray(0, this.#gatheredBytes));
      }
    }
    return from + taken;
  }

  #handOn(payload: Uint8Array): void {
    this.#headerFilled = 0;
    this.#gatheredBytes = 0;
    const sent = this.#view.getBigUint64(12);
    const found = this.#digests.of(payload);
    if (found !== sent) throw mismatch("a frame is not what was sent", this.#offset, sent, found);
    if (this.#header[0] === frameType.control) this.#sink.control(payload);
    else this.#sink.stream(payload, sent);
  }

  /** No more than has come, doubling. */
  #gather(bytes: Uint8Array): void {
    const total = this.#gatheredBytes + bytes.length;
    if (total > this.#gathered.length) {
      const grown = new Uint8Array(Math.min(2 * total, maxControlFrameBytes));
      grown.set(this.#gathered.subarray(0, this.#gatheredBytes));
      this.#gathered = grown;
    }
    this.#gathered.set(bytes, this.#gatheredBytes);
    this.#gatheredBytes = total;
  }
}

function mismatch(detail: string, offset: number, expected: number | bigint, found: number | bigint) {
  const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
  return migrationError("DIGEST_MISMATCH", detail, { offset, expected: hex(expected), found: hex(found) });
}

function tooLong(length: number, most: number, offset: number | undefined) {
  return migrationError("PROTOCOL_FRAME", "a frame's length is out of bounds", {
    offset,
    expected: `1 to ${most} bytes`,
    found: `${length} bytes`,
  });
}
