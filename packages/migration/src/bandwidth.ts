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

/**
 * Keeps what is sent below a maximum, by slices of 100 ms as QEMU does: what a slice may hold is sent as fast as it goes,
 * and then nothing until the next one. Time that was not used is not kept; what went beyond a slice counts in the next.
 */
export class RateLimit {
  readonly #bytesPerSecond: () => number;
  #sliceStartMs: number;
  #sentBytes = 0;

  /** `bytesPerSecond` is asked each time, for it may change; 0: no limit. */
  constructor(bytesPerSecond: () => number, nowMs: number) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#sliceStartMs = nowMs;
  }

  sent(bytes: number, nowMs: number): void {
    this.#goTo(nowMs);
    this.#sentBytes += bytes;
  }

  /** How long nothing may be sent. Not more than a slice, after which it is to be asked again. Milliseconds. */
  delayMs(nowMs: number): number {
    this.#goTo(nowMs);
    const isFull = this.#bytesPerSecond() > 0 && this.#sentBytes >= this.#bytesPerSlice();
    return isFull ? this.#sliceStartMs + periodMs - nowMs : 0;
  }

  /** What may be sent at once now, `most` at most; at least 1. Bytes. */
  budgetBytes(most: number, nowMs: number): number {
    if (this.#bytesPerSecond() === 0) return most;
    this.#goTo(nowMs);
    return Math.max(1, Math.min(most, Math.floor(this.#bytesPerSlice() - this.#sentBytes)));
  }

  #bytesPerSlice(): number {
    return (this.#bytesPerSecond() * periodMs) / 1000;
  }

  #goTo(nowMs: number): void {
    const slices = Math.floor((nowMs - this.#sliceStartMs) / periodMs);
    if (slices <= 0) return;
    this.#sliceStartMs += slices * periodMs;
    const perSlice = this.#bytesPerSlice();
    this.#sentBytes = perSlice === 0 ? 0 : Math.max(0, this.#sentBytes - slices * perSlice);
  }
}
