// The sample's device with one fault each, as they are made.
import { type Dependency, MigrationError, type View } from "@godwit/core";
import { Tod, type TodState } from "../sample-plugin/src/tod.ts";
import type { HostOptions } from "./plugin.ts";

/** Keeps the guest's time as a distance from the host's monotonic clock. */
export class HostTime extends Tod {
  override set now(time: bigint) {
    this.offset = BigInt.asUintN(64, time - (this.options as HostOptions).hostNow());
  }
  override get now(): bigint {
    return this.offset + (this.options as HostOptions).hostNow();
  }
}

export class DateStored extends Tod {
  override set now(_: bigint) {
    this.offset = BigInt(Date.now());
  }
}

/** Reads the host's clock when it loads, and not when it saves. */
export class DateInLoad extends Tod {
  override load(state: TodState): void {
    super.load({ ...state, period: BigInt(new Date().getUTCDate()) });
  }
}

export class RandomStored extends Tod {
  override set now(time: bigint) {
    this.offset = time + BigInt(Math.floor(Math.random() * 2 ** 32));
  }
}

export class RandomInSave extends Tod {
  override save(): TodState {
    return { ...super.save(), offset: BigInt(Math.floor(Math.random() * 2 ** 52)) };
  }
}

export class ForgetsField extends Tod {
  override load(state: TodState): void {
    super.load({ ...state, period: this.period });
  }
}

/** As the sample, but refuses when it is too late. */
export class ThrowsInLoad extends Tod {
  override check(): void {}
  override load(state: TodState): void {
    if (state.event_count > this.control.depth) throw new MigrationError("DEVICE_CHECK", "more events than fit");
    super.load(state);
  }
}

export class NoAfter extends Tod {
  override readonly after: readonly Dependency[] = [];
}

export class Allocates extends Tod {
  protected history = new Uint8Array(0);
  override load(state: TodState): void {
    super.load(state);
    this.history = new Uint8Array(Number(state.period & 0x7f_ffffn));
  }
}

/** As `Allocates`, but by the length of a plain list. */
export class Lengthens extends Tod {
  protected readonly slots: number[] = [];
  override load(state: TodState): void {
    super.load(state);
    this.slots.length = Number(state.period & 0xff_ffffn);
    this.slots.fill(0);
  }
}

/** Makes a list of what it counts, one by one. */
export class Counts extends Tod {
  override check(state: TodState, view: View): void {
    super.check(state, view);
    const ticks: number[] = [];
    for (let i = 0; i < Number(state.period & 0x3_ffffn); i++) ticks.push(i);
  }
}

/** A period of 0 is what version 1 had, and this device refuses it. */
export class RefusesOld extends Tod {
  protected override period = 1n;
  override check(state: TodState, view: View): void {
    super.check(state, view);
    if (state.period === 0n) throw new MigrationError("DEVICE_CHECK", "no period", { path: "period" });
  }
}

const everyones: number[] = [];

export class ModuleState extends Tod {
  protected override events = everyones;
  override load(state: TodState): void {
    super.load(state);
    everyones.splice(0, everyones.length, ...state.events);
    this.events = everyones;
  }
}

const nothingLost = { count: 0, last: 0 };

/** Counts in the object that every new device begins with. */
export class SharedStart extends Tod {
  protected override lost = nothingLost;
  protected override fire(deadline: bigint): void {
    super.fire(deadline);
    this.lost.count++;
  }
}

export class CheckTouches extends Tod {
  override check(state: TodState, view: View): void {
    super.check(state, view);
    this.offset = state.offset;
  }
}

/** What it is shown to check becomes its own. */
export class KeepsState extends Tod {
  override check(state: TodState, view: View): void {
    super.check(state, view);
    this.lost = state.lost;
  }
}

export class CheckWrites extends Tod {
  override check(state: TodState, view: View): void {
    super.check(state, view);
    state.events.fill(0);
  }
}

export class CheckThrows extends Tod {
  override check({ events }: TodState): void {
    // Reads behind the end of an empty queue.
    (events[0] as number).toFixed(0);
  }
}

/** Throws what is loaded, and what is put back. */
export class Torn extends Tod {
  override load(): void {
    throw new Error("this device loads nothing");
  }
}

export class SaveThrows extends Tod {
  override save(): TodState {
    throw new Error("busy");
  }
}

export class SaveCounts extends Tod {
  override save(): TodState {
    this.offset++;
    return super.save();
  }
}

/** Arms with what is left of the deadline, counted from now. */
export class RelativeAlarm extends Tod {
  override load(state: TodState): void {
    super.load(state);
    if (state.alarm !== null) this.alarm.arm(state.alarm + 7n);
  }
}

/** Refuses a queue that is not empty. */
export class RefusesOwn extends Tod {
  override check({ event_count }: TodState): void {
    if (event_count > 0) throw new MigrationError("DEVICE_CHECK", "not empty", { path: "event_count" });
  }
}

/** Has a mode, which the sample has not. */
export class Modes extends Tod {
  mode = 0;
  override save(): TodState {
    return { ...super.save(), mode: this.nested ? { mode: this.mode } : this.mode } as TodState;
  }
  override load(state: TodState): void {
    super.load(state);
    const { mode } = state as TodState & { mode: number | { mode: number } };
    this.mode = typeof mode === "number" ? mode : mode.mode;
  }
  protected readonly nested: boolean = false;
}

export class NestedModes extends Modes {
  protected override readonly nested = true;
}

/** Saves the offset that it was loaded with, whatever the guest has set since. */
export class Cached extends Tod {
  #loaded: bigint | undefined;
  override load(state: TodState): void {
    super.load(state);
    this.#loaded = state.offset;
  }
  override save(): TodState {
    return { ...super.save(), offset: this.#loaded ?? this.offset };
  }
}

/** Counts the alarms that were set, and every period is so many nanoseconds longer. */
export class Hidden extends Tod {
  #set = 0n;
  override setAlarm(inNs: bigint, period = 0n): void {
    this.#set++;
    super.setAlarm(inNs, period + this.#set);
  }
}

/** Gives back the alarm that it was loaded with, and arms nothing. */
export class NeverArms extends Tod {
  #loaded: bigint | null | undefined;
  override setAlarm(inNs: bigint, period?: bigint): void {
    this.#loaded = undefined;
    super.setAlarm(inNs, period);
  }
  override save(): TodState {
    return this.#loaded === undefined ? super.save() : { ...super.save(), alarm: this.#loaded };
  }
  override load(state: TodState): void {
    super.load({ ...state, alarm: null });
    this.#loaded = state.alarm;
  }
}

/** Keeps 32 of a period's 64 bits, which is enough for what a test drives. */
export class Truncates extends Tod {
  override load(state: TodState): void {
    super.load({ ...state, period: BigInt.asUintN(32, state.period) });
  }
}
