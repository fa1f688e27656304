// A simulated host: its clocks stand until they are told to move, so that a test of time takes none.

export interface HostTimes {
  /** Monotonic time, nanoseconds. */
  readonly now: bigint;
  /** Wall time, nanoseconds since 1970-01-01 UTC. */
  readonly wallNow: bigint;
}

export interface SimulatedHost {
  /** Monotonic time, nanoseconds: for `virtualClock(host.now)`. */
  readonly now: () => bigint;
  /** Wall time, nanoseconds since 1970-01-01 UTC: for `wallClock({ hostNow: host.wallNow, ... })`. */
  readonly wallNow: () => bigint;
  /** Both clocks go on. */
  advance(ns: bigint): void;
  /** Only the wall clock is set, as NTP does; backwards, too. */
  stepWall(ns: bigint): void;
}

export function simulatedHost({ now, wallNow }: HostTimes): SimulatedHost {
  let monotonic = now;
  let wall = wallNow;
  return {
    now: () => monotonic,
    wallNow: () => wall,
    advance(ns) {
      if (ns < 0n) throw new RangeError(`a host's clocks do not go back: ${ns} ns`);
      monotonic += ns;
      wall += ns;
    },
    stepWall(ns) {
      wall += ns;
    },
  };
}

/** The part of a machine's timers that `runTimers` needs; a `timerQueue` of `@godwit/core` has it. */
export interface DueTimers {
  readonly clock: { now(): bigint };
  /** The earliest deadline in virtual nanoseconds, or null. */
  next(): bigint | null;
  runDue(): unknown;
}

const patience = 100_000;

/** Lets the host's time go from deadline to deadline until the virtual clock shows `untilNs`, and fires what is due. */
export function runTimers(host: SimulatedHost, timers: DueTimers, untilNs: bigint): void {
  let stuck = 0;
  for (;;) {
    timers.runDue();
    const now = timers.clock.now();
    const next = timers.next();
    if (now >= untilNs && (next === null || next > now)) return;
    const to = next !== null && next < untilNs ? next : untilNs;
    if (to > now) host.advance(to - now);
    stuck = timers.clock.now() > now ? 0 : stuck + 1;
    if (stuck > patience) throw new Error(`the virtual clock stands at ${now} ns: nothing gets it on to ${to} ns`);
  }
}
