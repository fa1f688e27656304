// Host time that stands still until a test moves it.
import type { HostClock } from "@godwit/migration";

interface Timer {
  readonly atMs: number;
  readonly order: number;
  callback(): void;
}

export class ManualClock implements HostClock {
  #nowMs = 1000;
  #order = 0;
  readonly #timers = new Set<Timer>();

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, order: this.#order++, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Timers fire in their order, each at its own time. */
  advance(byMs: number): void {
    const untilMs = this.#nowMs + byMs;
    for (let due = this.#nextDue(untilMs); due !== undefined; due = this.#nextDue(untilMs)) {
      this.#timers.delete(due);
      this.#nowMs = Math.max(this.#nowMs, due.atMs);
      due.callback();
    }
    this.#nowMs = untilMs;
  }

  get timers(): number {
    return this.#timers.size;
  }

  #nextDue(untilMs: number): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.atMs > untilMs) continue;
      if (first === undefined || timer.atMs < first.atMs || (timer.atMs === first.atMs && timer.order < first.order)) {
        first = timer;
      }
    }
    return first;
  }
}

/** One turn of the event loop: input and output may happen, timers of the manual clock do not. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Turns until the work is done. With `stepMs` time passes whenever nobody else moves it: for work that waits for a timer. */
export async function drive<T>(work: Promise<T>, clock: ManualClock, stepMs = 0): Promise<T> {
  let isDone = false;
  const done = work.finally(() => {
    isDone = true;
  });
  done.catch(() => {});
  while (!isDone) {
    const beforeMs = clock.nowMs();
    for (let i = 0; i < 10 && !isDone; i++) await turn();
    if (stepMs > 0 && !isDone && clock.nowMs() === beforeMs) clock.advance(stepMs);
  }
  return done;
}
