// The one clock of the simulated world. It moves only when nothing is left to do at the present moment.

interface Timer {
  readonly atMs: number;
  readonly order: number;
  readonly callback: () => void;
}

export class VirtualTime {
  #nowMs = 0;
  #orders = 0;
  /** By time, then order; the next one stands last. */
  readonly #timers: Timer[] = [];

  get nowMs(): number {
    return this.#nowMs;
  }

  get timers(): number {
    return this.#timers.length;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#orders++, callback };
    let at = this.#timers.length;
    while (at > 0 && isBefore(this.#timers[at - 1] as Timer, timer)) at--;
    this.#timers.splice(at, 0, timer);
    return () => {
      const found = this.#timers.lastIndexOf(timer);
      if (found >= 0) this.#timers.splice(found, 1);
    };
  }

  /** Moves to the next timer and fires it. False where there is none. */
  fireNext(): boolean {
    const timer = this.#timers.pop();
    if (timer === undefined) return false;
    this.#nowMs = timer.atMs;
    timer.callback();
    return true;
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/**
 * Everything that can happen at this moment has happened when it resolves: one turn of the event loop runs all
 * reactions of promises first, and no other source of events exists in this world. This is no timer.
 */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
