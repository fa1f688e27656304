// The timer: mtime counts the virtual clock, and the hart's timer line is high from mtimecmp on.
import { type Description, type StateOf, type TimerQueue, u64, type VirtualTimer, vmstate } from "@godwit/core";
import { TIMER_HZ, TIMER_MTIME_HIGH, TIMER_MTIME_LOW, TIMER_MTIMECMP_HIGH, TIMER_MTIMECMP_LOW } from "../memory-map.ts";

const tickNs = 1_000_000_000n / BigInt(TIMER_HZ);
const never = 0xffff_ffff_ffff_ffffn;

/** mtimecmp is in ticks of mtime, which counts the virtual clock: a deadline on that clock, never on the host's. */
export const timerDescription: Description<{ mtimecmp: bigint }> = vmstate({
  name: "riscv-mtimer",
  version: 1,
  fields: { mtimecmp: u64 },
});

export class Timer {
  readonly #timers: TimerQueue;
  readonly #setLine: (level: boolean) => void;
  readonly #rise: VirtualTimer;
  #mtimecmp = never;

  constructor(timers: TimerQueue, setLine: (level: boolean) => void) {
    this.#timers = timers;
    this.#setLine = setLine;
    this.#rise = timers.timer(() => this.#update());
  }

  read(offset: number): number | undefined {
    const mtime = this.#mtime();
    switch (offset) {
      case TIMER_MTIME_LOW:
        return Number(mtime & 0xffff_ffffn);
      case TIMER_MTIME_HIGH:
        return Number((mtime >> 32n) & 0xffff_ffffn);
      case TIMER_MTIMECMP_LOW:
        return Number(this.#mtimecmp & 0xffff_ffffn);
      case TIMER_MTIMECMP_HIGH:
        return Number(this.#mtimecmp >> 32n);
      default:
        return undefined;
    }
  }

  write(offset: number, value: number): boolean {
    const half = BigInt(value >>> 0);
    if (offset === TIMER_MTIMECMP_LOW) this.#mtimecmp = (this.#mtimecmp & ~0xffff_ffffn) | half;
    else if (offset === TIMER_MTIMECMP_HIGH) this.#mtimecmp = (this.#mtimecmp & 0xffff_ffffn) | (half << 32n);
    else return false;
    this.#compare();
    return true;
  }

  reset(): void {
    this.#mtimecmp = never;
    this.#compare();
  }
  save(): StateOf<typeof timerDescription> {
    return { mtimecmp: this.#mtimecmp };
  }
  load(state: StateOf<typeof timerDescription>): void {
    this.#mtimecmp = state.mtimecmp;
    this.#compare();
  }

  #mtime(): bigint {
    return this.#timers.clock.now() / tickNs;
  }

  /** Armed even where the line is high already: a load that fails behind this one puts the clock back. */
  #compare(): void {
    this.#rise.arm(this.#mtimecmp === never ? null : this.#mtimecmp * tickNs);
    this.#update();
  }

  #update(): void {
    this.#setLine(this.#mtime() >= this.#mtimecmp);
  }
}
