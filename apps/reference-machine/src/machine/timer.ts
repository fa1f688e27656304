// The timer: mtime counts the virtual clock, and the hart's timer line is high from mtimecmp on.
import { type Description, type StateOf, u64, type VirtualClock, vmstate } from "@godwit/core";
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
  readonly #clock: VirtualClock;
  readonly #setLine: (level: boolean) => void;
  #mtimecmp = never;

  constructor(clock: VirtualClock, setLine: (level: boolean) => void) {
    this.#clock = clock;
    this.#setLine = setLine;
  }

  read(offset: number): number | undefined {
    const mtime = this.#clock.now() / tickNs;
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
    this.update();
    return true;
  }

  /** Drives the line for the time that it is now. */
  update(): void {
    this.#setLine(this.#clock.now() / tickNs >= this.#mtimecmp);
  }

  /** Milliseconds of guest time until the line rises; undefined where it is high or never will. */
  dueInMs(): number | undefined {
    if (this.#mtimecmp === never) return undefined;
    const left = this.#mtimecmp * tickNs - this.#clock.now();
    return left <= 0n ? undefined : Number(left / 1000n) / 1000;
  }

  reset(): void {
    this.#mtimecmp = never;
    this.update();
  }
  save(): StateOf<typeof timerDescription> {
    return { mtimecmp: this.#mtimecmp };
  }
  load(state: StateOf<typeof timerDescription>): void {
    this.#mtimecmp = state.mtimecmp;
    this.update();
  }
}
