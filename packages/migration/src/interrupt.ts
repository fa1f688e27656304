// One reason to stop for a whole attempt, noticed by whatever it waits for at the moment; and the peer's messages,
// which are waited for in the same way.
import type { MigrationError } from "@godwit/core";
import type { HostClock } from "./host.ts";

/**
 * The first reason wins. Waiting registers and deregisters itself: racing a promise that lives as long as the attempt
 * would leave a reaction behind on each of the millions of sends.
 */
export class Interrupt {
  #reason: MigrationError | undefined;
  readonly #waiting = new Set<(error: MigrationError) => void>();

  get reason(): MigrationError | undefined {
    return this.#reason;
  }

  raise(reason: MigrationError): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    for (const reject of this.#waiting) reject(reason);
    this.#waiting.clear();
  }

  check(): void {
    if (this.#reason !== undefined) throw this.#reason;
  }

  /** What `subscribe` resolves, or the reason, whichever comes first. `undo` runs if it was the reason. */
  race<T>(subscribe: (resolve: (value: T) => void, reject: (error: unknown) => void) => (() => void) | undefined) {
    return new Promise<T>((resolve, reject) => {
      if (this.#reason !== undefined) return reject(this.#reason);
      let undo: (() => void) | undefined;
      const stop = (error: MigrationError): void => {
        undo?.();
        reject(error);
      };
      this.#waiting.add(stop);
      // What is subscribed to may call back into the program, which may raise the reason before this returns.
      undo = subscribe(
        (value) => {
          this.#waiting.delete(stop);
          resolve(value);
        },
        (error) => {
          this.#waiting.delete(stop);
          reject(error);
        },
      );
      if (this.#reason !== undefined) undo?.();
    });
  }

  wait<T>(promise: Promise<T>): Promise<T> {
    // Somebody must hear a rejection that comes after the reason.
    promise.catch(() => {});
    return this.race((resolve, reject) => {
      promise.then(resolve, reject);
      return undefined;
    });
  }

  sleep(clock: HostClock, delayMs: number): Promise<void> {
    return this.race((resolve) => clock.after(delayMs, () => resolve(undefined)));
  }
}

/** Messages in their order. What has arrived is given out even after an interrupt: a peer's last word counts. */
export class Inbox<T> {
  readonly #interrupt: Interrupt;
  readonly #arrived: T[] = [];
  #taker: ((message: T) => void) | undefined;

  constructor(interrupt: Interrupt) {
    this.#interrupt = interrupt;
  }

  get waitingMessages(): number {
    return this.#arrived.length;
  }

  put(message: T): void {
    const taker = this.#taker;
    this.#taker = undefined;
    if (taker === undefined) this.#arrived.push(message);
    else taker(message);
  }

  take(): Promise<T> {
    const message = this.#arrived.shift();
    if (message !== undefined) return Promise.resolve(message);
    return this.#interrupt.race((resolve) => {
      this.#taker = resolve;
      return () => {
        this.#taker = undefined;
      };
    });
  }
}
