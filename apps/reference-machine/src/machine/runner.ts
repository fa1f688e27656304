// Runs the hart in short slices between which the host's own work goes on: migration, disk, network, display.
import { setImmediate as yieldToHost } from "node:timers/promises";
import type { TimerQueue } from "@godwit/core";
import type { Hart } from "../hart/hart.ts";

/** Instructions a slice: well under a millisecond, so that the event loop is never late. */
const sliceSteps = 20_000;
/** The longest sleep of an idle hart. A wake-up ends it at once. */
const longestSleepMs = 50;

export class Runner {
  readonly #hart: Hart;
  readonly #timers: TimerQueue;
  readonly #onFailure: (error: unknown) => void;
  readonly #sliceSteps: number;
  /** The loop that may go on; a stopped one finds another here, or none. */
  #loop: symbol | undefined;
  #wake: (() => void) | undefined;
  #throttle = 0;
  /** Steps taken since the machine was made. */
  steps = 0;

  constructor(hart: Hart, timers: TimerQueue, onFailure: (error: unknown) => void, steps: number = sliceSteps) {
    this.#hart = hart;
    this.#timers = timers;
    this.#onFailure = onFailure;
    this.#sliceSteps = steps;
  }

  start(): void {
    if (this.#loop !== undefined) return;
    const own = Symbol("loop");
    this.#loop = own;
    this.#run(own).catch((error) => {
      if (this.#loop === own) this.#loop = undefined;
      this.#onFailure(error);
    });
  }

  /** No instruction is executed once this has returned: slices are synchronous, and no new one begins. */
  stop(): void {
    this.#loop = undefined;
    this.wake();
  }

  /** An interrupt may have come: an idle hart looks again. */
  wake(): void {
    this.#wake?.();
  }

  /** Leaves the hart this fraction of the time without work, 0 to 0.99. */
  throttle(fraction: number): void {
    this.#throttle = Math.min(Math.max(fraction, 0), 0.99);
  }

  async #run(own: symbol): Promise<void> {
    while (this.#loop === own) {
      this.#timers.runDue();
      const began = performance.now();
      this.steps += this.#hart.run(this.#sliceSteps);
      const busyMs = performance.now() - began;
      if (this.#throttle > 0) await this.#sleep((busyMs * this.#throttle) / (1 - this.#throttle));
      if (this.#hart.idle && this.#loop === own) await this.#sleep(this.#dueInMs());
      else await yieldToHost();
    }
  }

  /** Until the next deadline, as far as an idle hart may sleep; guest time and the host's go at one pace here. */
  #dueInMs(): number {
    const next = this.#timers.next();
    if (next === null) return longestSleepMs;
    const leftNs = Number(next - this.#timers.clock.now());
    return Math.min(Math.max(leftNs, 0) / 1_000_000, longestSleepMs);
  }

  async #sleep(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timeout = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timeout);
        resolve();
      };
    });
    this.#wake = undefined;
  }
}
