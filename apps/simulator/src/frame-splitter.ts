// Sees Godwit's frames in what one side sends, so that the network can lose, duplicate and reorder whole messages.

/** The opening that stands before the first frame: magic and version; of a connection of pages ("GDWC"), its place, too. */
const openingBytes = 8;
export const mostOpeningBytes = 20;
const pagesMagicEnd = 0x43;
/** The frame's header: u8 type at 0, be32 length of the payload at 8. */
const headerBytes = 24;
const lengthAt = 8;
const controlType = 1;

/** The names of control messages by their codes, for traces and triggers: the README's table of messages. */
const kinds = [
  "invalid",
  "offer",
  "accepted",
  "refused",
  "alive",
  "round",
  "received",
  "stream-end",
  "prepared",
  "released",
  "resumed",
  "failed",
  "cancelled",
  "ownership-query",
  "ownership-answer",
  "package-end",
  "page-request",
  "complete",
  "resume",
  "resume-accepted",
  "received-bitmap",
  "resume-ack",
] as const;

export interface Piece {
  readonly bytes: Uint8Array;
  /** Of a control message, which is always one whole piece. */
  readonly kind: string | undefined;
  /** The frame is whole with this piece. */
  readonly endsFrame: boolean;
}

export class FrameSplitter {
  readonly #emit: (piece: Piece) => void;
  #opened = 0;
  #openingBytes = openingBytes;
  #header: number[] = [];
  #left = 0;
  /** The pieces of a control frame that is not whole yet. */
  #gathered: Uint8Array[] | undefined;

  constructor(emit: (piece: Piece) => void) {
    this.#emit = emit;
  }

  /** Takes the bytes apart; the pieces are views of them. */
  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) at += this.#take(bytes.subarray(at));
  }

  #take(bytes: Uint8Array): number {
    if (this.#opened < this.#openingBytes) return this.#takeOpening(bytes);
    return this.#left === 0 ? this.#takeHeader(bytes) : this.#takePayload(bytes);
  }

  #takeOpening(bytes: Uint8Array): number {
    if (this.#opened <= 3 && bytes[3 - this.#opened] === pagesMagicEnd) this.#openingBytes = mostOpeningBytes;
    const taken = Math.min(this.#openingBytes - this.#opened, bytes.length);
    this.#opened += taken;
    const endsFrame = this.#opened === this.#openingBytes;
    this.#emit({ bytes: bytes.subarray(0, taken), kind: undefined, endsFrame });
    return taken;
  }

  #takeHeader(bytes: Uint8Array): number {
    const taken = Math.min(headerBytes - this.#header.length, bytes.length);
    const part = bytes.subarray(0, taken);
    this.#header.push(...part);
    if (this.#header.length < headerBytes) return taken;
    const header = Uint8Array.from(this.#header);
    this.#header = [];
    this.#left = new DataView(header.buffer).getUint32(lengthAt);
    this.#gathered = header[0] === controlType ? [header] : undefined;
    if (this.#gathered === undefined) this.#emit({ bytes: header, kind: undefined, endsFrame: false });
    return taken;
  }

  #takePayload(bytes: Uint8Array): number {
    const taken = Math.min(this.#left, bytes.length);
    const part = bytes.subarray(0, taken);
    this.#left -= taken;
    const endsFrame = this.#left === 0;
    if (this.#gathered === undefined) this.#emit({ bytes: part, kind: undefined, endsFrame });
    else {
      this.#gathered.push(part);
      if (endsFrame) this.#emitControl(this.#gathered);
    }
    return taken;
  }

  #emitControl(parts: readonly Uint8Array[]): void {
    const bytes = joined(parts);
    // The payload is a msgpack array of two, whose first element is the code.
    const code = bytes[headerBytes + 1] ?? 0;
    this.#gathered = undefined;
    this.#emit({ bytes, kind: kinds[code] ?? `message ${code}`, endsFrame: true });
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
