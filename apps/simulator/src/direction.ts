// One direction of a connection: bytes under way, at the line's speed, and whatever is done to them on it.
import { MigrationError } from "@godwit/core";
import { FrameSplitter, type Piece } from "./frame-splitter.ts";
import { never, type SimulatedProcess } from "./process.ts";
import type { Random } from "./random.ts";
import type { Trace } from "./trace.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** What the network does to one control message. */
export type MessageFate = "pass" | "lose" | "duplicate" | "reorder";

export interface Line {
  readonly latencyMs: number;
  /** Each chunk may be late by up to this much more. Milliseconds. */
  readonly jitterMs: number;
  readonly bytesPerMs: number;
  /** What may lie between sender and reader before the sender waits. Bytes. */
  readonly bufferBytes: number;
}

export interface DirectionInit {
  readonly name: string;
  readonly time: VirtualTime;
  readonly trace: Trace;
  readonly random: Random;
  readonly line: Line;
  readonly sender: SimulatedProcess;
  readonly reader: SimulatedProcess;
  /** Decides about each control message. */
  readonly fate: (kind: string) => MessageFate;
  /** The place, in bytes from the beginning, of a byte that is changed; and of the first byte that never arrives. */
  readonly corruptAtBytes?: number | undefined;
  /** The reader takes bytes of which one was changed on the way. */
  readonly tookCorrupt: () => void;
  readonly truncateAtBytes?: number | undefined;
}

interface UnderWay {
  readonly bytes: Uint8Array;
  readonly isCorrupt: boolean;
  readonly arrivesMs: number;
}

export class Direction {
  readonly #init: DirectionInit;
  readonly #splitter = new FrameSplitter((piece) => this.#decide(piece));
  readonly #underWay: UnderWay[] = [];
  readonly #arrived: Pick<UnderWay, "bytes" | "isCorrupt">[] = [];
  readonly #waitingSenders: { resolve(): void; reject(error: unknown): void }[] = [];
  #bufferedBytes = 0;
  #sentBytes = 0;
  #lineFreeMs = 0;
  #lastArrivalMs = 0;
  #stalledUntilMs = 0;
  #isPumping = false;
  /** A message that lets the next frame pass before it. */
  #overtaken: Piece | undefined;
  /** The sender has closed. */
  #isEnded = false;
  /** What is sent from now on never arrives; with `#endsEarly` the reader takes that for the end. */
  #isTruncated = false;
  #endsEarly = false;
  #isIgnored = false;
  #senderFailure: { readonly error: unknown } | undefined;
  #readerFailure: { readonly error: unknown } | undefined;
  #wakeReader: (() => void) | undefined;
  #drained: (() => void)[] = [];

  constructor(init: DirectionInit) {
    this.#init = init;
  }

  send(bytes: Uint8Array): Promise<void> {
    const { sender } = this.#init;
    if (!sender.step()) return never();
    if (this.#senderFailure !== undefined) return Promise.reject(this.#senderFailure.error);
    if (this.#isEnded) return Promise.reject(closed("this side has closed the channel"));
    this.#splitter.push(bytes.slice());
    if (this.#bufferedBytes <= this.#init.line.bufferBytes) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waitingSenders.push({
        resolve: () => sender.run(resolve),
        reject: (error) => sender.run(() => reject(error)),
      });
    });
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    for (;;) {
      if (!this.#init.reader.isAlive) return never();
      const chunk = this.#arrived.shift();
      if (chunk !== undefined) {
        this.#bufferedBytes -= chunk.bytes.length;
        this.#admit();
        if (chunk.isCorrupt) this.#init.tookCorrupt();
        return { done: false, value: chunk.bytes };
      }
      if (this.#readerFailure !== undefined) throw this.#readerFailure.error;
      if (this.#isIgnored || this.#isOver) return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
    }
  }

  get #isOver(): boolean {
    const isAtEnd = this.#endsEarly || (this.#isEnded && !this.#isTruncated);
    return isAtEnd && this.#underWay.length === 0;
  }

  /** The sender has closed. Resolves when all that it sent has arrived. */
  end(): Promise<void> {
    if (!this.#init.sender.isAlive) return never();
    this.#release();
    this.#isEnded = true;
    this.#wake();
    if (this.#underWay.length === 0 || this.#senderFailure !== undefined) return Promise.resolve();
    return new Promise((resolve) => this.#drained.push(() => this.#init.sender.run(resolve)));
  }

  /** The sender is gone; what it had sent still arrives, and then the end. */
  hangUp(): void {
    this.#release();
    this.#isEnded = true;
    this.#wake();
  }

  /** The reader has closed, and wants nothing more. */
  ignore(): void {
    this.#isIgnored = true;
    this.#arrived.length = 0;
    this.#bufferedBytes = 0;
    this.#admit();
    this.#wake();
  }

  /** What the sender notices from here on. What is under way is lost. */
  failSender(error: unknown): void {
    this.#senderFailure ??= { error };
    for (const { reject } of this.#waitingSenders.splice(0)) reject(this.#senderFailure.error);
    for (const drained of this.#drained.splice(0)) drained();
  }

  /** What the reader notices from here on, instead of what was under way. */
  failReader(error: unknown, keepsArrived = false): void {
    this.#readerFailure ??= { error };
    this.#underWay.length = 0;
    if (!keepsArrived) this.#arrived.length = 0;
    this.#wake();
  }

  /** What is under way, and what is sent from now on, never arrives, and nobody is told. */
  silence(): void {
    this.#isTruncated = true;
    this.#underWay.length = 0;
    this.#stalledUntilMs = Number.POSITIVE_INFINITY;
  }

  /** Nothing arrives for a while. */
  stall(forMs: number): void {
    this.#stalledUntilMs = Math.max(this.#stalledUntilMs, this.#init.time.nowMs + forMs);
  }

  #decide(piece: Piece): void {
    const { trace, name } = this.#init;
    const fate = piece.kind === undefined || this.#overtaken !== undefined ? "pass" : this.#init.fate(piece.kind);
    if (piece.kind !== undefined) trace.add(`${name}: ${piece.kind}${fate === "pass" ? "" : ` (${fate})`}`);
    if (fate === "reorder") {
      this.#overtaken = piece;
      return;
    }
    if (fate !== "lose") this.#enqueue(piece.bytes);
    if (fate === "duplicate") this.#enqueue(piece.bytes.slice());
    if (piece.endsFrame) this.#release();
  }

  #release(): void {
    const overtaken = this.#overtaken;
    this.#overtaken = undefined;
    if (overtaken !== undefined) this.#enqueue(overtaken.bytes);
  }

  #enqueue(bytes: Uint8Array): void {
    const { time, line, random, corruptAtBytes, truncateAtBytes, trace, name } = this.#init;
    const startBytes = this.#sentBytes;
    this.#sentBytes += bytes.length;
    const isCorrupt = corruptAtBytes !== undefined && corruptAtBytes >= startBytes && corruptAtBytes < this.#sentBytes;
    if (isCorrupt) {
      const at = corruptAtBytes - startBytes;
      bytes[at] = (bytes[at] as number) ^ (1 + random.below(255));
      trace.add(`${name}: byte ${corruptAtBytes} is changed`);
    }
    let kept = bytes;
    if (truncateAtBytes !== undefined && this.#sentBytes > truncateAtBytes) {
      if (!this.#isTruncated) trace.add(`${name}: ends after ${truncateAtBytes} bytes`);
      this.#isTruncated = this.#endsEarly = true;
      kept = bytes.subarray(0, Math.max(0, truncateAtBytes - startBytes));
    } else if (this.#isTruncated) kept = bytes.subarray(0, 0);
    this.#lineFreeMs = Math.max(this.#lineFreeMs, time.nowMs) + bytes.length / line.bytesPerMs;
    const lateMs = line.jitterMs > 0 ? random.between(0, line.jitterMs) : 0;
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, this.#lineFreeMs + line.latencyMs + lateMs);
    // What nobody acknowledges stays in the sender's own buffer.
    if (this.#stalledUntilMs === Number.POSITIVE_INFINITY) this.#bufferedBytes += bytes.length;
    if (kept.length > 0) {
      this.#bufferedBytes += kept.length;
      for (const chunk of cut(kept, random))
        this.#underWay.push({ bytes: chunk, isCorrupt, arrivesMs: this.#lastArrivalMs });
    }
    this.#pump();
    this.#wake();
  }

  #pump(): void {
    const first = this.#underWay[0];
    if (first === undefined || this.#isPumping) return;
    const { time } = this.#init;
    const arrivesMs = Math.max(first.arrivesMs, this.#stalledUntilMs);
    if (arrivesMs === Number.POSITIVE_INFINITY) return;
    this.#isPumping = true;
    time.after(arrivesMs - time.nowMs, () => {
      this.#isPumping = false;
      if (this.#stalledUntilMs <= time.nowMs) this.#arrive();
      this.#pump();
    });
  }

  /** All that is due at this moment comes at once. */
  #arrive(): void {
    const { time } = this.#init;
    for (let first = this.#underWay[0]; first !== undefined && first.arrivesMs <= time.nowMs; ) {
      this.#underWay.shift();
      if (this.#isIgnored) this.#bufferedBytes -= first.bytes.length;
      else this.#arrived.push(first);
      first = this.#underWay[0];
    }
    if (this.#isIgnored) this.#admit();
    if (this.#underWay.length === 0) for (const drained of this.#drained.splice(0)) drained();
    this.#wake();
  }

  #admit(): void {
    if (this.#bufferedBytes > this.#init.line.bufferBytes) return;
    for (const { resolve } of this.#waitingSenders.splice(0)) resolve();
  }

  #wake(): void {
    const wake = this.#wakeReader;
    this.#wakeReader = undefined;
    if (wake !== undefined) this.#init.reader.run(wake);
  }
}

/** Where chunks are cut means nothing: now and then in the middle of anything. */
function cut(bytes: Uint8Array, random: Random): Uint8Array[] {
  if (bytes.length < 2 || !random.chance(0.2)) return [bytes];
  const at = 1 + random.below(bytes.length - 1);
  return [bytes.subarray(0, at), bytes.subarray(at)];
}

export function closed(detail: string): MigrationError {
  return new MigrationError("TRANSPORT_CLOSED", detail);
}
