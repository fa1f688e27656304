// Frames: a type, a length and that many bytes. Control messages and the unchanged QEMU stream share one connection.
import { migrationError } from "./codes.ts";

/** What a frame holds. 0 is reserved as invalid. */
export const frameType = { control: 1, stream: 2 } as const;

/** u8 type, be32 length. */
export const frameHeaderBytes = 5;
/** More than any manifest needs: 16,384 sections of 256 bytes. */
export const maxControlFrameBytes = 4 * 1024 * 1024;
/**
 * A reader holds no stream frame back, so that the bound only keeps broken lengths out. What this side sends is
 * smaller: a frame must pass the slowest link well within the time after which a peer counts as silent.
 */
export const maxStreamFrameBytes = 16 * 1024 * 1024;
export const sentStreamFrameBytes = 256 * 1024;

export interface FrameSink {
  /** A whole control frame. The bytes are not to be kept. */
  control(payload: Uint8Array): void;
  /** A piece of the stream, cut anywhere. The bytes are not to be kept. */
  stream(bytes: Uint8Array): void;
}

export function writeFrameHeader(into: Uint8Array, type: number, length: number): void {
  into[0] = type;
  new DataView(into.buffer, into.byteOffset).setUint32(1, length);
}

export function controlFrame(payload: Uint8Array): Uint8Array {
  if (payload.length > maxControlFrameBytes) throw tooLong(payload.length, maxControlFrameBytes, undefined);
  const frame = new Uint8Array(frameHeaderBytes + payload.length);
  writeFrameHeader(frame, frameType.control, payload.length);
  frame.set(payload, frameHeaderBytes);
  return frame;
}

/** Takes chunks of any size apart. Stream bytes pass through; a control frame is gathered, at most doubling. */
export class FrameReader {
  readonly #sink: FrameSink;
  readonly #header = new Uint8Array(frameHeaderBytes);
  #headerFilled = 0;
  #type = 0;
  /** What is missing of the frame whose header is complete. Bytes. */
  #left = 0;
  #gathered = new Uint8Array(0);
  #gatheredBytes = 0;
  #offset = 0;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** True between frames: a connection may end here without cutting one in two. */
  get atBoundary(): boolean {
    return this.#headerFilled === 0;
  }

  /** `PROTOCOL_FRAME` for a type or length that cannot be. */
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
    this.#type = this.#header[0] as number;
    this.#left = new DataView(this.#header.buffer).getUint32(1);
    const isControl = this.#type === frameType.control;
    if (!isControl && this.#type !== frameType.stream) {
      throw migrationError("PROTOCOL_FRAME", "a frame of an unknown type", {
        offset: this.#offset,
        expected: "1 (control) or 2 (stream)",
        found: String(this.#type),
      });
    }
    const most = isControl ? maxControlFrameBytes : maxStreamFrameBytes;
    if (this.#left > most || this.#left === 0) throw tooLong(this.#left, most, this.#offset);
    this.#gatheredBytes = 0;
  }

  #readPayload(chunk: Uint8Array, from: number): number {
    const taken = Math.min(chunk.length - from, this.#left);
    const bytes = chunk.subarray(from, from + taken);
    this.#left -= taken;
    const isLast = this.#left === 0;
    if (isLast) this.#headerFilled = 0;
    if (this.#type === frameType.stream) this.#sink.stream(bytes);
    else if (isLast && this.#gatheredBytes === 0) this.#sink.control(bytes);
    else this.#gather(bytes, isLast);
    return from + taken;
  }

  #gather(bytes: Uint8Array, isLast: boolean): void {
    const total = this.#gatheredBytes + bytes.length;
    if (total > this.#gathered.length) {
      const grown = new Uint8Array(Math.min(2 * total, maxControlFrameBytes));
      grown.set(this.#gathered.subarray(0, this.#gatheredBytes));
      this.#gathered = grown;
    }
    this.#gathered.set(bytes, this.#gatheredBytes);
    this.#gatheredBytes = total;
    if (isLast) this.#sink.control(this.#gathered.subarray(0, total));
  }
}

function tooLong(length: number, most: number, offset: number | undefined) {
  return migrationError("PROTOCOL_FRAME", "a frame's length is out of bounds", {
    offset,
    expected: `1 to ${most} bytes`,
    found: `${length} bytes`,
  });
}
