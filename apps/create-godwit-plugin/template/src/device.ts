// A time-of-day clock with an alarm: guest registers, and an interrupt line that is high while the alarm rings.
import { capture, type KernelForPlugins, restore, type VirtualTimer } from "@godwit/core";
import { check } from "./check.ts";
import { __device__Description } from "./description.ts";
import type { __Device__Offer, __Device__Options } from "./options.ts";
import { register } from "./registers.ts";
import { nanosecondsWithin, nextAfter, second, untilTimeIs, wholeSeconds } from "./time.ts";

export class __Device__Device implements __Device__Offer {
  // The description's names: `capture` and `restore` find the state by them. What is private does not travel.
  zero = 0n;
  ringing = false;
  period = 0;
  readonly held = { nanoseconds: 0 };
  readonly #timer: VirtualTimer;
  readonly #options: __Device__Options;

  constructor(kernel: KernelForPlugins, options: __Device__Options) {
    this.#options = options;
    this.#timer = options.timers.timer((deadline) => this.#ring(deadline));
    kernel.device(__device__Description, {
      instance: options.instance ?? 0,
      after: [options.controller], // `load` drives the line: what it leads to must have its own state by then
      save: () => capture(__device__Description, this),
      check,
      load: (state) => {
        restore(__device__Description, this, state);
        options.setLine(this.ringing);
      },
    });
  }

  get alarm(): bigint | null {
    return this.#timer.deadline;
  }
  set alarm(deadline: bigint | null) {
    this.#timer.arm(deadline);
  }

  read(offset: number): number {
    const elapsed = this.#options.timers.clock.now() - this.zero;
    const { nanoseconds } = this.held;
    switch (offset) {
      case register.time:
        this.held.nanoseconds = nanosecondsWithin(elapsed);
        return wholeSeconds(elapsed);
      case register.nanoseconds:
        this.held.nanoseconds = 0;
        return nanoseconds;
      case register.alarm:
        return this.alarm === null ? 0 : wholeSeconds(this.alarm - this.zero);
      case register.period:
        return this.period;
      default:
        return offset === register.status ? (this.ringing ? 1 : 0) | (this.alarm === null ? 0 : 2) : 0;
    }
  }

  write(offset: number, value: number): void {
    const now = this.#options.timers.clock.now();
    if (offset === register.time) this.zero = now - BigInt(value >>> 0) * second;
    if (offset === register.alarm) this.alarm = now + untilTimeIs(value, now - this.zero);
    if (offset === register.period) this.period = value >>> 0;
    if (offset === register.status && (value & 1) !== 0) this.#setRinging(false);
    if (offset === register.status && (value & 2) !== 0) [this.period, this.alarm] = [0, null];
    if (this.period > 0) this.alarm ??= now + BigInt(this.period) * second;
  }

  reset(): void {
    this.write(register.status, 3);
  }

  #ring(deadline: bigint): void {
    const { clock } = this.#options.timers;
    if (this.period > 0) this.alarm = nextAfter(clock.now(), deadline, BigInt(this.period) * second);
    this.#setRinging(true);
  }

  #setRinging(ringing: boolean): void {
    this.ringing = ringing;
    this.#options.setLine(ringing);
  }
}
