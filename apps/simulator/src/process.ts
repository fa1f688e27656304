// A process of the simulated world: it can be killed at any of its steps, and frozen for a while.
import type { HostClock } from "@godwit/migration";
import type { Trace } from "./trace.ts";
import type { VirtualTime } from "./virtual-time.ts";

export interface ProcessInit {
  readonly name: string;
  readonly time: VirtualTime;
  readonly trace: Trace;
  /** Where its monotonic clock starts: no two hosts agree. Milliseconds. */
  readonly startMs: number;
}

export class SimulatedProcess {
  readonly name: string;
  /** The engine's host time. Its callbacks do not come while the process is frozen, and never once it is killed. */
  readonly clock: HostClock;
  readonly #time: VirtualTime;
  readonly #trace: Trace;
  readonly #ends: (() => void)[] = [];
  #isAlive = true;
  #frozenUntilMs = 0;
  #steps = 0;
  #killAtStep: number | undefined;

  constructor({ name, time, trace, startMs }: ProcessInit) {
    this.name = name;
    this.#time = time;
    this.#trace = trace;
    this.clock = {
      nowMs: () => time.nowMs + startMs,
      after: (delayMs, callback) => time.after(delayMs, () => this.run(callback)),
    };
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  get isFrozen(): boolean {
    return this.#frozenUntilMs > this.#time.nowMs;
  }

  /** Does it as this process: later while it is frozen, never once it is dead. */
  run(work: () => void): void {
    if (!this.#isAlive) return;
    const waitMs = this.#frozenUntilMs - this.#time.nowMs;
    if (waitMs > 0) this.#time.after(waitMs, () => this.run(work));
    else work();
  }

  /** Before each effect outside. False: the process is dead, perhaps since this very moment, and has no effect. */
  step(): boolean {
    if (this.#isAlive && ++this.#steps === this.#killAtStep) this.kill(`at step ${this.#steps}`);
    return this.#isAlive;
  }

  killIn(steps: number): void {
    this.#killAtStep = this.#steps + Math.max(1, steps);
  }

  kill(why: string): void {
    if (!this.#isAlive) return;
    this.#isAlive = false;
    this.#trace.add(`${this.name}: killed ${why}`);
    for (const end of this.#ends.splice(0)) end();
  }

  freeze(forMs: number): void {
    if (!this.#isAlive) return;
    this.#frozenUntilMs = Math.max(this.#frozenUntilMs, this.#time.nowMs + forMs);
    this.#trace.add(`${this.name}: frozen for ${forMs.toFixed(1)} ms`);
  }

  /** What becomes of the outside when it is killed: connections break. */
  onEnd(callback: () => void): void {
    if (this.#isAlive) this.#ends.push(callback);
    else callback();
  }
}

/** What a dead process waits for. */
export function never<T>(): Promise<T> {
  return new Promise(() => {});
}
