// How fast the stream gets through, and how it is held back when somebody asked for less.

/** A period is measured once it is this long and moved this much: a shorter one measures buffers, not the connection. */
const periodMs = 100;
const periodBytes = 1024 * 1024;

/** An estimate from what the peer says it has received. Bytes per millisecond. */
export class BandwidthEstimate {
  readonly #startMs: number;
  #periodStartMs: number;
  #periodStartBytes = 0;
  #bytes = 0;
  #lastMs: number;
  #measured: number | undefined;

  constructor(nowMs: number) {
    this.#startMs = this.#periodStartMs = this.#lastMs = nowMs;
  }

  /** `bytes`: received since the beginning. */
  received(bytes: number, nowMs: number): void {
    this.#bytes = bytes;
    this.#lastMs = nowMs;
    const periodElapsedMs = nowMs - this.#periodStartMs;
    const moved = bytes - this.#periodStartBytes;
    if (periodElapsedMs < periodMs || moved < periodBytes) return;
    this.#measured = moved / periodElapsedMs;
    this.#periodStartMs = nowMs;
    this.#periodStartBytes = bytes;
  }

  /** The last period's; before there was one, everything's so far; nothing while nothing was received or no time passed. */
  get bytesPerMs(): number | undefined {
    if (this.#measured !== undefined) return this.#measured;
    const elapsedMs = this.#lastMs - this.#startMs;
    return this.#bytes > 0 && elapsedMs > 0 ? this.#bytes / elapsedMs : undefined;
  }
}

/** Spreads sends over time so that they stay below a maximum. */
export class RateLimit {
  readonly #bytesPerMs: number;
  #freeAtMs: number;

  constructor(bytesPerSecond: number, nowMs: number) {
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.#freeAtMs = nowMs;
  }

  /** How long to wait after sending this much. Time that was not used is kept for one period at most. Milliseconds. */
  delayAfterMs(bytes: number, nowMs: number): number {
    this.#freeAtMs = Math.max(this.#freeAtMs, nowMs - periodMs) + bytes / this.#bytesPerMs;
    return Math.max(0, this.#freeAtMs - nowMs);
  }

  /** What a slice should hold so that the pauses between slices stay short. Bytes. */
  sliceBytes(most: number): number {
    return Math.max(1, Math.min(most, Math.floor(this.#bytesPerMs * periodMs)));
  }
}
