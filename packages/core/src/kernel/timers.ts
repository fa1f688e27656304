// Timers on the virtual clock: what is due fires when the machine's run loop asks, never because host time went by.
import type { VirtualClock } from "./clock.ts";

/** One timer of a device. `deadline` is what a `timer` field holds: save it, and arm with it on load. */
export interface VirtualTimer {
  /** Virtual nanoseconds; null while it is not pending. Assigning is arming, so that `restore` can do it. */
  deadline: bigint | null;
  /**
   * Sets the deadline; null cancels. One that has passed fires at the next `runDue`. The wire holds 0 to 2^64 - 2: what
   * lies before or beyond is taken as the nearest of these, which is due at once, or never.
   */
  arm(deadline: bigint | null): void;
  cancel(): void;
}

/** The timers of one machine. Its assembler makes it and hands it to the devices. */
export interface TimerQueue {
  readonly clock: VirtualClock;
  /** `callback` gets the deadline that it fires for: a period is added to that, and nothing drifts. */
  timer(callback: (deadline: bigint) => void): VirtualTimer;
  /** The earliest deadline, or null: how long the run loop may sleep. */
  next(): bigint | null;
  /**
   * Fires what is due by now, in the order of deadlines, then of creation; says how many fired. None fires while the
   * clock stands, so a load fires nothing. A callback may arm again: a later deadline that is due, too, fires in the
   * same call (a period catches up); the same or an earlier one waits for the next call.
   */
  runDue(): number;
}

const latest = 0xffff_ffff_ffff_fffen;

interface Armed {
  readonly order: number;
  readonly callback: (deadline: bigint) => void;
  deadline: bigint | null;
  /** The deadline that it fired for in this `runDue`. */
  fired: bigint;
}

export function timerQueue(clock: VirtualClock): TimerQueue {
  /** By deadline, then creation. A timer that is not pending is not held. */
  const pending: Armed[] = [];
  let created = 0;

  function arm(one: Armed, deadline: bigint | null): void {
    if (one.deadline !== null) pending.splice(pending.indexOf(one), 1);
    one.deadline = deadline === null ? null : deadline < 0n ? 0n : deadline > latest ? latest : deadline;
    if (one.deadline === null) return;
    const at = pending.findIndex((other) => before(one, other));
    pending.splice(at < 0 ? pending.length : at, 0, one);
  }

  return {
    clock,
    timer(callback) {
      const one: Armed = { order: created++, callback, deadline: null, fired: -1n };
      return {
        get deadline() {
          return one.deadline;
        },
        set deadline(deadline) {
          arm(one, deadline);
        },
        arm: (deadline) => arm(one, deadline),
        cancel: () => arm(one, null),
      };
    },
    next: () => pending[0]?.deadline ?? null,
    runDue() {
      const first = pending[0];
      if (first === undefined) return 0;
      const now = clock.now();
      if ((first.deadline as bigint) > now) return 0;
      const touched: Armed[] = [];
      try {
        // Asked each time: a callback may pause the machine, and what else is due waits then.
        while (clock.running) {
          const one = pending.find(({ deadline, fired }) => (deadline as bigint) > fired);
          const deadline = one?.deadline ?? null;
          if (one === undefined || deadline === null || deadline > now) break;
          touched.push(one);
          arm(one, null);
          one.fired = deadline;
          one.callback(deadline);
        }
      } finally {
        for (const one of touched) one.fired = -1n;
      }
      return touched.length;
    },
  };
}

function before(a: Armed, b: Armed): boolean {
  const [x, y] = [a.deadline as bigint, b.deadline as bigint];
  return x < y || (x === y && a.order < b.order);
}
