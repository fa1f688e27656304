// A time-of-day device: it shows the guest's time, fires an alarm, and queues an event for each alarm until the guest
// takes it. How many events fit is what its control block says.
import {
  type Dependency,
  type DeviceInit,
  MigrationError,
  type StateOf,
  type TimerQueue,
  type View,
  type VirtualTimer,
} from "@godwit/core";
import { mostEvents, type todSection } from "./sections.ts";

export type TodState = StateOf<typeof todSection>;

/** The control block: registers that the guest writes. */
export class Control {
  depth = 4;
  flags = 0;
}

export interface TodOptions {
  readonly timers: TimerQueue;
}

export class Tod implements DeviceInit<TodState> {
  readonly after: readonly Dependency[] = ["tod-control"];
  readonly control: Control;
  /** The deadlines of all alarms so far: no state of the guest's. */
  readonly alarms: bigint[] = [];
  protected offset = 0n;
  protected period = 0n;
  protected events: number[] = [];
  protected lost = { count: 0, last: 0 };
  protected readonly alarm: VirtualTimer;
  protected readonly options: TodOptions;

  constructor(control: Control, options: TodOptions) {
    this.control = control;
    this.options = options;
    this.alarm = options.timers.timer((deadline) => this.fire(deadline));
  }

  /** What the guest reads: nanoseconds. */
  get now(): bigint {
    return this.offset + this.options.timers.clock.now();
  }

  set now(time: bigint) {
    this.offset = BigInt.asUintN(64, time - this.options.timers.clock.now());
  }

  /** Fires in `inNs`, and then every `period` nanoseconds; a period of 0 is once. */
  setAlarm(inNs: bigint, period = 0n): void {
    this.period = period;
    this.alarm.arm(this.options.timers.clock.now() + inNs);
  }

  take(): number | undefined {
    return this.events.shift();
  }

  protected fire(deadline: bigint): void {
    const event = Number(BigInt.asUintN(32, deadline));
    if (this.events.length < this.control.depth) this.events.push(event);
    else this.lost = { count: this.lost.count + 1, last: event };
    if (this.period > 0n) this.alarm.arm(deadline + this.period);
    this.alarms.push(deadline);
  }

  save(): TodState {
    const { offset, period, events, lost } = this;
    const state = { offset, alarm: this.alarm.deadline, event_count: events.length, period, lost: { ...lost } };
    return { ...state, events: Uint32Array.from(events) };
  }

  check({ event_count }: TodState, view: View): void {
    const { depth } = view.offer<{ readonly depth: number }>("tod-control");
    if (event_count <= depth) return;
    throw new MigrationError("DEVICE_CHECK", "more events than the queue holds", {
      path: "event_count",
      expected: `0 to ${depth}`,
      found: String(event_count),
    });
  }

  load(state: TodState): void {
    this.offset = state.offset;
    this.period = state.period;
    this.events = Array.from(state.events).slice(0, Math.min(this.control.depth, mostEvents));
    this.lost = { ...state.lost };
    this.alarm.arm(state.alarm);
  }
}
