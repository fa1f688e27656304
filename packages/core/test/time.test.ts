// Virtual clock, timers on it, and real-time clocks, on host clocks that the tests move by hand.
import { simulatedHost } from "@godwit/testkit/clocks";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  capture,
  createKernel,
  decodeState,
  encodeState,
  isMigrationError,
  restore,
  struct,
  type TimerQueue,
  timer,
  timerQueue,
  type VirtualTimer,
  virtualClock,
  vmstate,
  type WallClockMode,
  wallClock,
  wallClockDescription,
} from "../src/index.ts";
import { timerDescription } from "../src/kernel/clock.ts";

const dayNs = 86_400_000_000_000n;
const march2024 = 1_709_251_200_000_000_000n;

function hostAt(now = 0n, wallNow = march2024) {
  const host = simulatedHost({ now, wallNow });
  return { host, clock: virtualClock(host.now) };
}

describe("the virtual clock", () => {
  it("counts while it runs, and stands while it does not, wherever the host's clock begins", () => {
    for (const base of [0n, 30n * dayNs, 2n ** 63n - 2n]) {
      const { host, clock } = hostAt(base);
      expect(clock.now()).toBe(0n);
      host.advance(dayNs);
      clock.start();
      host.advance(2n);
      clock.start();
      host.advance(3n);
      expect(clock.now()).toBe(5n);
      clock.stop();
      clock.stop();
      host.advance(dayNs);
      expect([clock.now(), clock.running]).toEqual([5n, false]);
      clock.adjust(1000n);
      clock.start();
      host.advance(1n);
      expect(clock.now()).toBe(1001n);
      expect(() => clock.adjust(0n)).toThrow("CLOCK_RUNNING");
      expect(clock.now()).toBe(1001n);
    }
  });

  it("travels in QEMU's section", () => {
    const bytes = encodeState(timerDescription, { cpu_ticks_offset: 7n, cpu_clock_offset: 0x0102_0304n });
    expect([...bytes]).toEqual([0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
  });
});

describe("timers", () => {
  function queueAt(now = 0n) {
    const { host, clock } = hostAt();
    clock.adjust(now);
    clock.start();
    const timers = timerQueue(clock);
    const log: [string, bigint][] = [];
    return {
      host,
      clock,
      timers,
      log,
      named: (name: string) => timers.timer((deadline) => log.push([name, deadline])),
    };
  }

  it("fire once, when they are due and somebody asks", () => {
    const { host, timers, log, named } = queueAt();
    const one = named("a");
    expect([one.deadline, timers.next(), timers.runDue()]).toEqual([null, null, 0]);
    one.arm(10n);
    expect([one.deadline, timers.next()]).toEqual([10n, 10n]);
    host.advance(9n);
    expect(timers.runDue()).toBe(0);
    host.advance(1n);
    expect(log).toEqual([]);
    expect(timers.runDue()).toBe(1);
    expect(log).toEqual([["a", 10n]]);
    expect([one.deadline, timers.next(), timers.runDue()]).toEqual([null, null, 0]);
  });

  it("are set anew, cancelled, and assigned", () => {
    const { host, timers, log, named } = queueAt();
    const [a, b] = [named("a"), named("b")];
    a.arm(10n);
    b.arm(5n);
    a.arm(3n);
    expect(timers.next()).toBe(3n);
    a.cancel();
    a.cancel();
    expect([a.deadline, timers.next()]).toEqual([null, 5n]);
    b.deadline = 8n;
    a.deadline = 9n;
    a.deadline = null;
    expect(timers.next()).toBe(8n);
    b.arm(null);
    host.advance(100n);
    expect([timers.runDue(), log]).toEqual([0, []]);
  });

  it("fire by deadline, then by creation, however they were armed", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(5), fc.bigInt(0n, 6n)), { minLength: 1, maxLength: 20 }),
        fc.bigInt(0n, 6n),
        (armings, now) => {
          const { host, timers, log } = queueAt();
          const made: VirtualTimer[] = Array.from({ length: 6 }, (_, i) =>
            timers.timer((at) => log.push([`${i}`, at])),
          );
          for (const [i, at] of armings) made[i]?.arm(at);
          const last = new Map(armings);
          const inOrder = [...last].sort(([i, x], [j, y]) => (x === y ? i - j : x < y ? -1 : 1));
          const due = inOrder.filter(([, at]) => at <= now);
          expect(timers.next()).toBe(inOrder[0]?.[1]);
          host.advance(now);
          expect(timers.runDue()).toBe(due.length);
          expect(log).toEqual(due.map(([i, at]) => [`${i}`, at]));
          expect(timers.next()).toBe(inOrder[due.length]?.[1] ?? null);
        },
      ),
      { seed: 3, numRuns: 300 },
    );
  });

  it("do not fire while the clock stands", () => {
    const { host, clock, timers, log, named } = queueAt();
    const [a, b] = [named("a"), named("b")];
    host.advance(50n);
    clock.stop();
    a.arm(10n);
    expect([timers.runDue(), log]).toEqual([0, []]);
    clock.start();
    expect(timers.runDue()).toBe(1);
    // A callback that pauses the machine: what else is due waits.
    const pausing = timers.timer(() => clock.stop());
    pausing.arm(1n);
    b.arm(2n);
    expect([timers.runDue(), b.deadline]).toEqual([1, 2n]);
  });

  it("catch up by periods, and a callback that arms for now does not hang the loop", () => {
    const { host, timers, log } = queueAt();
    const period: VirtualTimer = timers.timer((deadline) => {
      log.push(["period", deadline]);
      period.arm(deadline + 10n);
    });
    const again: VirtualTimer = timers.timer((deadline) => {
      log.push(["again", deadline]);
      again.arm(deadline);
    });
    period.arm(10n);
    again.arm(25n);
    host.advance(35n);
    expect(timers.runDue()).toBe(4);
    expect(log).toEqual([
      ["period", 10n],
      ["period", 20n],
      ["again", 25n],
      ["period", 30n],
    ]);
    expect([period.deadline, again.deadline, timers.next()]).toEqual([40n, 25n, 25n]);
    expect(timers.runDue()).toBe(1);
    expect(log.at(-1)).toEqual(["again", 25n]);
  });

  it("go on after a callback that threw", () => {
    const { host, timers, log, named } = queueAt();
    const bad: VirtualTimer = timers.timer(() => {
      bad.arm(1n);
      throw new Error("planted");
    });
    bad.arm(1n);
    named("b").arm(2n);
    host.advance(5n);
    expect(() => timers.runDue()).toThrow("planted");
    expect(bad.deadline).toBe(1n);
    expect(() => timers.runDue()).toThrow("planted");
    bad.cancel();
    timers.runDue();
    expect(log).toEqual([["b", 2n]]);
  });

  it("hold what the wire can: the rest is due at once, or never", () => {
    const { timers, log, named } = queueAt(5n);
    const one = vmstate({ name: "one", version: 1, fields: { at: timer } });
    const a = named("a");
    a.arm(-7n);
    expect(a.deadline).toBe(0n);
    expect(timers.runDue()).toBe(1);
    expect(log).toEqual([["a", 0n]]);
    for (const at of [2n ** 64n - 2n, 2n ** 64n - 1n, 2n ** 80n]) {
      a.arm(at);
      expect(a.deadline).toBe(2n ** 64n - 2n);
      const { at: loaded } = decodeState(one, encodeState(one, { at: a.deadline }));
      expect(loaded).toBe(a.deadline);
      expect(timers.runDue()).toBe(0);
    }
    a.cancel();
    expect(decodeState(one, encodeState(one, { at: a.deadline })).at).toBe(null);
  });
});

it("a timer is captured and restored like any nested object", () => {
  const { clock } = hostAt();
  const timers = timerQueue(clock);
  const pit = vmstate({
    name: "pit",
    version: 1,
    fields: { tick: struct(vmstate({ name: "timer", version: 1, fields: { deadline: timer } })) },
  });
  const device = { tick: timers.timer(() => {}) };
  const { tick } = device;
  restore(pit, device, { tick: { deadline: 7n } });
  expect([device.tick, timers.next()]).toEqual([tick, 7n]);
  expect(capture(pit, device)).toEqual({ tick: { deadline: 7n } });
  restore(pit, device, { tick: { deadline: null } });
  expect([timers.next(), capture(pit, device).tick.deadline]).toEqual([null, null]);
});

/** A machine with nothing but a wall clock and one timer. */
function machineWith(mode: WallClockMode, host: { now: () => bigint; wallNow: () => bigint }, start?: bigint) {
  const clock = virtualClock(host.now);
  const timers: TimerQueue = timerQueue(clock);
  const alarm = timers.timer(() => {});
  const wall = wallClock({ clock, hostNow: host.wallNow, mode, ...(start === undefined ? {} : { start }) });
  const kernel = createKernel({
    machineType: "rtc-1.0",
    clock,
    machine: { pause: () => {}, resume: () => {}, reset: () => {} },
  });
  kernel.device(vmstate({ name: "rtc", version: 1, fields: { wall: struct(wallClockDescription), alarm: timer } }), {
    save: () => ({ wall: wall.state(), alarm: alarm.deadline }),
    load: (state) => {
      wall.load(state.wall);
      alarm.arm(state.alarm);
    },
  });
  return { kernel, wall, alarm, clock };
}

/** Runs a source for 1 s, saves it, loads it ten days later on a host that was up for a minute, and lets 2 s go by. */
function tenDaysLater(from: WallClockMode, to: WallClockMode, guestSets?: (now: bigint) => bigint) {
  const host = simulatedHost({ now: 30n * dayNs, wallNow: march2024 });
  const source = machineWith(from, host);
  source.kernel.resume();
  host.advance(1_000_000_000n);
  if (guestSets) source.wall.set(guestSets(source.wall.now()));
  source.alarm.arm(1_500_000_000n);
  const seen = source.wall.now();
  const bytes = source.kernel.snapshot();
  const later = simulatedHost({ now: 60_000_000_000n, wallNow: host.wallNow() + 10n * dayNs });
  const target = machineWith(to, later);
  target.kernel.restore(bytes);
  const loaded = target.wall.now();
  target.kernel.resume();
  later.advance(2_000_000_000n);
  const alarm = target.alarm.deadline;
  return {
    seen,
    loaded: loaded - seen,
    after: target.wall.now() - loaded,
    alarm,
    target,
    later,
    virtual: target.clock.now(),
  };
}

describe("a real-time clock", () => {
  it("follows the host, or goes with the virtual clock", () => {
    const host = simulatedHost({ now: 0n, wallNow: march2024 });
    const clock = virtualClock(host.now);
    const follow = wallClock({ clock, hostNow: host.wallNow, mode: "follow" });
    const freeze = wallClock({ clock, hostNow: host.wallNow, mode: "freeze", start: march2024 });
    const bare = wallClock({ clock, hostNow: host.wallNow, mode: "freeze" });
    const born = wallClock({ clock, hostNow: host.wallNow, mode: "follow", start: 5n });
    const read = () => [follow.now() - march2024, freeze.now() - march2024, bare.now(), born.now()];
    expect([follow.mode, freeze.mode, ...read()]).toEqual(["follow", "freeze", 0n, 0n, 0n, 5n]);
    host.advance(10n);
    expect(read()).toEqual([10n, 0n, 0n, 15n]);
    clock.start();
    host.advance(10n);
    expect(read()).toEqual([20n, 10n, 10n, 25n]);
    follow.set(7n);
    freeze.set(8n);
    host.advance(1n);
    expect([follow.now(), freeze.now()]).toEqual([8n, 9n]);
    clock.stop();
    host.advance(1n);
    expect([follow.now(), freeze.now()]).toEqual([9n, 9n]);
  });

  it("goes back with the host's clock where it follows, and not where it does not", () => {
    const host = simulatedHost({ now: 0n, wallNow: march2024 });
    const clock = virtualClock(host.now);
    clock.start();
    const follow = wallClock({ clock, hostNow: host.wallNow, mode: "follow" });
    const freeze = wallClock({ clock, hostNow: host.wallNow, mode: "freeze", start: march2024 });
    host.advance(100n);
    host.stepWall(-60n);
    expect([follow.now() - march2024, freeze.now() - march2024, clock.now()]).toEqual([40n, 100n, 100n]);
    expect(() => host.advance(-1n)).toThrow(RangeError);
  });

  it("sees ten days in a file, or none of them, as its own mode says", () => {
    for (const set of [
      undefined,
      (now: bigint) => now - 3n * dayNs + 1n,
      () => -1n,
      () => 250_000_000_000_000_000_000n,
    ]) {
      const days = (from: WallClockMode, to: WallClockMode) => {
        const { loaded, after, alarm, virtual, seen } = tenDaysLater(from, to, set);
        if (set) expect(seen).toBe(set(from === "follow" ? march2024 + 1_000_000_000n : 1_000_000_000n));
        return [loaded, after, alarm, virtual];
      };
      const rest = [2_000_000_000n, 1_500_000_000n, 3_000_000_000n];
      expect(days("follow", "follow")).toEqual([10n * dayNs, ...rest]);
      expect(days("freeze", "freeze")).toEqual([0n, ...rest]);
      expect(days("follow", "freeze")).toEqual([0n, ...rest]);
      expect(days("freeze", "follow")).toEqual([0n, ...rest]);
    }
  });

  it("goes on in its own mode after a state of the other", () => {
    const frozen = tenDaysLater("follow", "freeze");
    const before = frozen.target.wall.now();
    frozen.later.stepWall(dayNs);
    frozen.target.kernel.pause();
    frozen.later.advance(dayNs);
    expect(frozen.target.wall.now()).toBe(before);
    expect(frozen.target.wall.state()).toMatchObject({ follows: false, host_offset: { seconds: 0n, nanoseconds: 0 } });
    const following = tenDaysLater("freeze", "follow");
    const then = following.target.wall.now();
    following.target.kernel.pause();
    following.later.advance(dayNs);
    expect(following.target.wall.now()).toBe(then + dayNs);
    expect(following.target.wall.state().follows).toBe(true);
  });

  it("asks for no host time where it is frozen, so its state can hold none", () => {
    const saves = [0n, 10n * dayNs, 2n ** 63n - 2n].map((base) => {
      let now = base;
      const host = { now: () => now, wallNow: () => expect.unreachable("the host's wall clock was asked") };
      const { kernel, wall } = machineWith("freeze", host);
      kernel.resume();
      now += 1_234_567_890n;
      wall.set(wall.now() + 5n);
      now += 1n;
      const bytes = kernel.snapshot();
      kernel.restore(bytes);
      expect(wall.now()).toBe(1_234_567_896n);
      return bytes;
    });
    expect(saves[1]).toEqual(saves[0]);
    expect(saves[2]).toEqual(saves[0]);
    // A following clock's state does hold it, which is why this comparison can tell.
    const following = [0n, dayNs].map((wallNow) => machineWith("follow", simulatedHost({ now: 0n, wallNow })));
    expect(following[0]?.kernel.snapshot()).not.toEqual(following[1]?.kernel.snapshot());
  });

  it("is as before when a load fails behind it", () => {
    for (const mode of ["follow", "freeze"] as const) {
      const host = simulatedHost({ now: 7n, wallNow: march2024 });
      const make = (fails: boolean) => {
        const made = machineWith(mode, host, 99n);
        const last = vmstate({ name: "last", version: 1, fields: {} });
        made.kernel.device(last, {
          save: () => ({}),
          load: () => {
            if (fails) {
              fails = false;
              throw new Error("planted");
            }
          },
        });
        return made;
      };
      const source = make(false);
      source.kernel.resume();
      host.advance(dayNs);
      source.alarm.arm(3n * dayNs);
      const target = make(true);
      target.kernel.resume();
      host.advance(50n);
      target.wall.set(1_000n);
      target.alarm.arm(2n * dayNs);
      const before = [target.wall.now(), target.clock.now(), target.alarm.deadline, target.kernel.snapshot()];
      expect(() => target.kernel.restore(source.kernel.snapshot())).toThrow("DEVICE_FAILED");
      expect([target.wall.now(), target.clock.now(), target.alarm.deadline, target.kernel.snapshot()]).toEqual(before);
    }
  });

  it("refuses nanoseconds beyond a second", () => {
    const { wall } = machineWith("freeze", simulatedHost({ now: 0n, wallNow: 0n }), -1n);
    const good = encodeState(wallClockDescription, wall.state());
    expect(wall.state().clock_offset).toEqual({ seconds: -1n, nanoseconds: 999_999_999 });
    expect(decodeState(wallClockDescription, good)).toEqual(wall.state());
    const bad = good.slice();
    new DataView(bad.buffer).setUint32(9, 1_000_000_000);
    let error: unknown;
    try {
      decodeState(wallClockDescription, bad);
    } catch (caught) {
      error = caught;
    }
    if (!isMigrationError(error)) throw error;
    expect([error.code, error.location.path]).toEqual(["FIELD_CHECK", "clock_offset.nanoseconds"]);
  });
});
