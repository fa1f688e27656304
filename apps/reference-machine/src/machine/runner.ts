// Runs the hart in short slices between which the host's own work goes on: migration, disk, network, display.
import { setImmediate as yieldToHost } from "node:timers/promises";
import type { MigrationError, TimerQueue } from "@godwit/core";
import type { Hart } from "../hart/hart.ts";

/** Instructions a slice: well under a millisecond, so that the event loop is never late. */
const sliceSteps = 20_000;
/** A throttled hart runs so long, by the host's time and whether it has work or not, and then stands for its share. */
const throttledRunMs = 10;
/** The longest sleep of an idle hart. A wake-up ends it at once. */
const longestSleepMs = 50;

interface RunnerInit {
  readonly hart: Hart;
  readonly timers: TimerQueue;
  readonly onFailure: (error: unknown) => void;
  /** Instructions a slice; the default is 20,000. */
  readonly sliceSteps?: number | undefined;
  /** Asks for the memory that an instruction needs (`Hart.missed`); resolves when it is there. */
  readonly whenPresent: (missed: number | MigrationError) => Promise<void>;
}

export class Runner {
  readonly #hart: Hart;
  readonly #timers: TimerQueue;
  readonly #onFailure: (error: unknown) => void;
  readonly #whenPresent: RunnerInit["whenPresent"];
  readonly #sliceSteps: number;
  /** The loop that may go on; a stopped one finds another here, or none. */
  #loop: symbol | undefined;
  #wake: (() => void) | undefined;
  #throttle = 0;
  /** Ends the time for which a throttled hart stands. */
  #unthrottle: (() => void) | undefined;
  /** Steps taken since the machine was made. */
  steps = 0;

  constructor(init: RunnerInit) {
    this.#hart = init.hart;
    this.#timers = init.timers;
    this.#onFailure = init.onFailure;
    this.#whenPresent = init.whenPresent;
    this.#sliceSteps = init.sliceSteps ?? sliceSteps;
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
    this.#unthrottle?.();
  }

  /** An interrupt may have come: an idle hart looks again. */
  wake(): void {
    this.#wake?.();
  }

  /** Takes this fraction of all time from the hart, 0 to 0.99. No interrupt gives it back. */
  throttle(fraction: number): void {
    this.#throttle = Math.min(Math.max(fraction, 0), 0.99);
    this.#unthrottle?.();
  }

  async #run(own: symbol): Promise<void> {
    let beganMs = performance.now();
    while (this.#loop === own) {
      this.#timers.runDue();
      this.steps += this.#hart.run(this.#sliceSteps);
      const ranMs = performance.now() - beganMs;
      if (this.#throttle === 0) beganMs = performance.now();
      else if (ranMs >= throttledRunMs) {
        await this.#stand((ranMs * this.#throttle) / (1 - this.#throttle));
        beganMs = performance.now();
      }
      if (this.#loop !== own) return;
      if (this.#hart.missed !== undefined) await this.#waitForMemory(own, this.#hart.missed);
      else if (this.#hart.idle) await this.#sleep(this.#dueInMs());
      else await yieldToHost();
    }
  }

  /** The instruction waits for memory; timers and all else of the machine do not. */
  async #waitForMemory(own: symbol, missed: number | MigrationError): Promise<void> {
    let waiting = true;
    const over = (): void => {
      waiting = false;
      this.wake();
    };
    this.#whenPresent(missed).then(over, (error) => {
      if (this.#loop !== own) return;
      this.#loop = undefined;
      over();
      this.#onFailure(error);
    });
    while (waiting && this.#loop === own) {
      await this.#sleep(this.#dueInMs());
      this.#timers.runDue();
    }
  }

  /** Until the next deadline, as far as an idle hart may sleep; guest time and the host's go at one pace here. */
  #dueInMs(): number {
    const next = this.#timers.next();
    if (next === null) return longestSleepMs;
    const leftNs = Number(next - this.#timers.clock.now());
    return Math.min(Math.max(leftNs, 0) / 1_000_000, longestSleepMs);
  }

  async #stand(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const end = (): void => {
        clearTimeout(timeout);
        // At once: a loop that begins now may stand before this one goes on.
        this.#unthrottle = undefined;
        resolve();
      };
      const timeout = setTimeout(end, ms);
      this.#unthrottle = end;
    });
  }

  async #sleep(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const end = (): void => {
        clearTimeout(timeout);
        this.#wake = undefined;
        resolve();
      };
      const timeout = setTimeout(end, ms);
      this.#wake = end;
    });
  }
}
