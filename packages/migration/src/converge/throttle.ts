// Auto-converge: slows the guest down when it dirties memory too fast, by QEMU's rule and with QEMU's parameters.
import type { MigrationParameters } from "../parameters.ts";

/** A period ends with the first synchronisation after this time. Milliseconds. */
const periodMs = 1000;
/** So many periods must have been bad, not necessarily one after the other, before the guest is slowed down. */
const badPeriods = 2;

export interface ThrottledMachine {
  readonly throttle?: ((fraction: number) => void) | undefined;
}

/** What is taken from the machine's CPUs, and the one place that takes it and gives it back. */
export class CpuThrottle {
  readonly #machine: ThrottledMachine;
  #percentage = 0;

  constructor(machine: ThrottledMachine) {
    this.#machine = machine;
  }

  /** 0: the guest runs at full speed. */
  get percentage(): number {
    return this.#percentage;
  }

  set(percentage: number): void {
    if (percentage === this.#percentage) return;
    // Before the call: were it to throw half-way, `release` must not take it for done.
    this.#percentage = percentage;
    this.#machine.throttle?.(percentage / 100);
  }

  /** However the attempt ends. May throw what the machine throws; once, since nothing is taken any more after that. */
  release(): void {
    this.set(0);
  }
}

/** What was counted at a synchronisation of the dirty state. */
export interface Synchronisation {
  readonly nowMs: number;
  /** Newly found dirty by it. Bytes. */
  readonly dirtyBytes: number;
  /** Sent since the migration began. Bytes. */
  readonly sentBytes: number;
}

/**
 * When the guest dirtied, in a period of more than a second, over `throttle-trigger-threshold` percent of what was sent
 * in it, and that in two periods, the CPUs lose `cpu-throttle-initial` percent; each further two such periods cost them
 * `cpu-throttle-increment` more, up to `max-cpu-throttle`. With `cpu-throttle-tailslow` a step is not larger than what
 * would bring the dirty rate down to the threshold.
 */
export class AutoConverge {
  readonly #parameters: () => MigrationParameters;
  readonly #throttle: CpuThrottle;
  #periodStartMs: number;
  #periodStartBytes: number;
  #periodDirtyBytes = 0;
  #bad = 0;

  constructor(parameters: () => MigrationParameters, throttle: CpuThrottle, nowMs: number, sentBytes: number) {
    this.#parameters = parameters;
    this.#throttle = throttle;
    this.#periodStartMs = nowMs;
    this.#periodStartBytes = sentBytes;
  }

  /** More cannot be taken from the guest. */
  get isExhausted(): boolean {
    return this.#throttle.percentage >= this.#parameters()["max-cpu-throttle"];
  }

  /** True: the guest runs slower from now on. */
  synchronised({ nowMs, dirtyBytes, sentBytes }: Synchronisation): boolean {
    this.#periodDirtyBytes += dirtyBytes;
    if (nowMs - this.#periodStartMs <= periodMs) return false;
    const allowed = ((sentBytes - this.#periodStartBytes) * this.#parameters()["throttle-trigger-threshold"]) / 100;
    const dirty = this.#periodDirtyBytes;
    this.#periodStartMs = nowMs;
    this.#periodStartBytes = sentBytes;
    this.#periodDirtyBytes = 0;
    if (dirty <= allowed || ++this.#bad < badPeriods) return false;
    this.#bad = 0;
    return this.#step(allowed / dirty);
  }

  /** `share`: of what the guest dirties now, so much would be within the threshold. */
  #step(share: number): boolean {
    const parameters = this.#parameters();
    const now = this.#throttle.percentage;
    const running = 100 - now;
    const needed = running - running * share;
    const increment = parameters["cpu-throttle-increment"];
    const step = parameters["cpu-throttle-tailslow"] ? Math.min(increment, needed) : increment;
    const wanted = now === 0 ? parameters["cpu-throttle-initial"] : now + step;
    // Whole percents, and never a step of nothing: a rule that fires must have an effect while it can have one.
    const next = Math.min(Math.max(Math.floor(wanted), now + 1), parameters["max-cpu-throttle"]);
    if (next <= now) return false;
    this.#throttle.set(next);
    return true;
  }
}
