// The clock harness of the testkit, on devices that keep time rightly and on devices that each do one thing wrong.
import {
  type ClockCode,
  ClockError,
  type ClockFinding,
  checkClocks,
  clockFindings,
  runTimers,
  type SimulatedHost,
  type TimedMachine,
} from "@godwit/testkit/clocks";
import { describe, expect, it } from "vitest";
import {
  array,
  createKernel,
  type Kernel,
  struct,
  subsection,
  type TimerQueue,
  timer,
  timerQueue,
  u8,
  u64,
  virtualClock,
  vmstate,
  type WallClockMode,
  wallClock,
  wallClockDescription,
} from "../src/index.ts";

const untilNs = 10_000n;

interface Parts {
  readonly kernel: Kernel;
  readonly timers: TimerQueue;
  readonly host: SimulatedHost;
  /** Says that the device fired now. */
  readonly fires: (device?: string) => void;
}

interface Device {
  start(): void;
  /** A device that keeps its time outside the queue looks here for what is due. */
  poll?(): void;
  wall?: NonNullable<TimedMachine["wall"]>;
}

/** A machine around one device. */
function machineOf(make: (parts: Parts) => Device) {
  return (host: SimulatedHost): TimedMachine => {
    const clock = virtualClock(host.now);
    const timers = timerQueue(clock);
    const kernel = createKernel({
      machineType: "timed-1.0",
      clock,
      machine: { pause: () => {}, resume: () => {}, reset: () => {} },
    });
    const fired: Record<string, bigint[]> = { pit: [] };
    const fires = (device = "pit") => {
      const times = fired[device] ?? [];
      fired[device] = times;
      times.push(clock.now());
    };
    const { poll, ...device } = make({ kernel, timers, host, fires });
    const run = (until: bigint) => {
      if (poll === undefined) return runTimers(host, timers, until);
      for (; ; host.advance(1n)) {
        poll();
        if (clock.now() >= until) return;
      }
    };
    return { kernel, run, fired: () => fired, ...device };
  };
}

const pit = vmstate({ name: "pit", version: 1, fields: { period: u64, next: timer, once: timer, ticks: u64 } });
interface PitState {
  period: bigint;
  next: bigint | null;
  once: bigint | null;
  ticks: bigint;
}

/** A periodic timer and a one-shot one; `wrong` replaces what is saved or loaded. */
function pitMachine(
  wrong: {
    save?: (state: PitState, parts: Parts) => PitState;
    load?: (state: PitState, parts: Parts, fire: () => void) => PitState;
    /** An alarm that is not pending leaves the one that was. */
    stale?: boolean;
  } = {},
) {
  return machineOf((parts) => {
    const { kernel, timers, fires } = parts;
    let period = 0n;
    let ticks = 0n;
    const next = timers.timer((deadline) => {
      ticks++;
      fires();
      next.arm(deadline + period);
    });
    const once = timers.timer(() => fires("alarm"));
    kernel.device(pit, {
      save() {
        const state = { period, next: next.deadline, once: once.deadline, ticks };
        return wrong.save?.(state, parts) ?? state;
      },
      load(loaded) {
        const state = wrong.load?.(loaded, parts, () => fires()) ?? loaded;
        period = state.period;
        ticks = state.ticks;
        next.arm(state.next);
        if (!(wrong.stale && state.once === null)) once.arm(state.once);
      },
    });
    return {
      start() {
        period = 1_700n;
        next.arm(timers.clock.now() + 1_000n);
        once.arm(timers.clock.now() + 6_500n);
      },
    };
  });
}

const codesOf = (findings: readonly ClockFinding[]) => new Set(findings.map(({ code }) => code));
const only = (...codes: ClockCode[]) => new Set(codes);
const findingsOf = (setup: ReturnType<typeof machineOf>, wallFields: string[] = []) =>
  clockFindings({ setup, untilNs, wallFields });

describe("devices that keep time rightly", () => {
  it("pass with a period and an alarm", async () => {
    await checkClocks({ setup: pitMachine(), untilNs });
  });

  it("pass with real-time clocks of both modes, where the following one says so", async () => {
    const rtc = vmstate({
      name: "rtc",
      version: 1,
      fields: { count: u8, wall: struct(wallClockDescription), next: timer },
    });
    const machine = (mode: WallClockMode) =>
      machineOf(({ kernel, timers, host, fires }) => {
        const wall = wallClock({ clock: timers.clock, hostNow: host.wallNow, mode });
        const next = timers.timer((deadline) => {
          fires();
          next.arm(deadline + 3_000n);
        });
        kernel.device(rtc, {
          save: () => ({ count: 1, wall: wall.state(), next: next.deadline }),
          load: (state) => {
            wall.load(state.wall);
            next.arm(state.next);
          },
        });
        return {
          wall,
          start() {
            wall.set(wall.now() + 5n);
            next.arm(timers.clock.now() + 500n);
          },
        };
      });
    expect(await findingsOf(machine("freeze"))).toEqual([]);
    expect(await findingsOf(machine("follow"), ["rtc/0 wall"])).toEqual([]);
    // Not declared, it is what it is: host time in a state.
    const findings = await findingsOf(machine("follow"));
    expect(codesOf(findings)).toEqual(only("HOST_TIME_STORED"));
    expect(new Set(findings.map(({ path }) => path))).toEqual(
      new Set(["wall.clock_offset.seconds", "wall.clock_offset.nanoseconds"]),
    );
    expect(findings[0]?.text).toMatch(
      /section rtc\/0, field wall\.clock_offset\.\w+, depends on the host's wall clock/,
    );
  });
});

describe("devices that do one thing wrong are caught, with the right verdict", () => {
  /** Counts on the host's clock, as much emulator code does. */
  const onHostTime = machineOf(({ kernel, host, fires }) => {
    let period = 0n;
    let due: bigint | null = null;
    kernel.device(pit, {
      save: () => ({ period, next: due, once: null, ticks: 0n }),
      load(state) {
        period = state.period;
        due = state.next;
      },
    });
    return {
      start() {
        period = 1_700n;
        due = host.now() + 1_000n;
      },
      poll() {
        if (due === null || host.now() < due) return;
        fires();
        due += period;
      },
    };
  });

  it("a host deadline in the state: fires at once, or never", async () => {
    const findings = await findingsOf(onHostTime);
    expect(codesOf(findings)).toEqual(only("HOST_TIME_STORED", "FIRES_AT_ONCE", "NEVER_FIRES", "FIRING_ADDED"));
    // That a field may hold the host's wall time excuses no other clock.
    expect(codesOf(await findingsOf(onHostTime, ["pit/0 next"]))).toEqual(codesOf(findings));
    const text = (code: ClockCode) => findings.find((one) => one.code === code)?.text;
    expect(text("HOST_TIME_STORED")).toBe(
      "section pit/0, field next, depends on the host's monotonic clock: saved at the same virtual time on two hosts " +
        "whose monotonic clocks are 604800123456789 ns apart, it differs, by exactly as much as the clocks " +
        "(saved 1 ns before the deadline 1000 ns)",
    );
    expect(text("FIRES_AT_ONCE")).toBe(
      "pit fires at once: 1 firing at 999 ns, right after the load; it was due at 1000 ns " +
        "(saved 1 ns before the deadline 1000 ns; loaded with host clocks ten days ahead)",
    );
    expect(text("NEVER_FIRES")).toBe(
      "pit never fires: due at 1000 ns; 6 firings should have come by 10999 ns " +
        "(saved 1 ns before the deadline 1000 ns; loaded with host clocks ten days behind)",
    );
  });

  it("the same, beside the kernel's back: the moment of the save is stored and the time since then made up for", async () => {
    const since = vmstate({ name: "pit", version: 1, fields: { stamps: array(u64, 2), next: timer } });
    const machine = machineOf(({ kernel, timers, host, fires }) => {
      const next = timers.timer((deadline) => {
        fires();
        next.arm(deadline + 1_700n);
      });
      kernel.device(since, {
        save: () => ({ stamps: BigUint64Array.of(1n, host.now()), next: next.deadline }),
        load: (state) => next.arm(state.next && state.next - (host.now() - (state.stamps[1] as bigint))),
      });
      return { start: () => next.arm(timers.clock.now() + 1_000n) };
    });
    const findings = await findingsOf(machine);
    expect(codesOf(findings)).toEqual(only("HOST_TIME_STORED", "FIRES_AT_ONCE", "NEVER_FIRES", "FIRES_EARLY"));
    expect(findings[0]).toMatchObject({ device: "pit/0", path: "stamps[1]" });
  });

  it("the time that remains, taken for a deadline", async () => {
    const remaining = pitMachine({
      save: (state, { timers }) => ({ ...state, next: state.next && state.next - timers.clock.now() }),
    });
    const findings = await findingsOf(remaining);
    expect(codesOf(findings)).toEqual(only("FIRES_AT_ONCE", "FIRES_EARLY"));
  });

  it("a period that begins anew at the load: late", async () => {
    const restarted = pitMachine({
      load: (state, { timers }) => ({ ...state, next: state.next && timers.clock.now() + state.period }),
    });
    const findings = await findingsOf(restarted);
    // Where it is saved at a deadline, late by a whole period is one firing less.
    expect(codesOf(findings)).toEqual(only("FIRES_LATE", "FIRING_LOST"));
    const late = findings.find(({ code }) => code === "FIRES_LATE");
    expect(late).toMatchObject({ device: "pit", lateNs: 1_699n });
    expect(late?.text).toContain("fires late by 1699 ns: at 2699 ns, due at 1000 ns");
  });

  it("a deadline that is rounded down: early", async () => {
    const rounded = pitMachine({ load: (state) => ({ ...state, once: state.once && state.once - 40n }) });
    const findings = await findingsOf(rounded);
    expect(findings.map(({ code, device, lateNs }) => [code, device, lateNs])).toContainEqual([
      "FIRES_EARLY",
      "alarm",
      -40n,
    ]);
    expect(findings.every(({ device }) => device === "alarm")).toBe(true);
  });

  it("everything fires on load", async () => {
    const burst = pitMachine({
      load(state, _, fire) {
        if (state.next !== null) for (let i = 0; i < 3; i++) fire();
        return state;
      },
    });
    const findings = await findingsOf(burst);
    expect(codesOf(findings)).toEqual(only("FIRES_AT_ONCE"));
    expect(findings[0]?.text).toContain(
      "pit fires at once: 3 firings at 999 ns, right after the load; it was due at 1000 ns",
    );
  });

  it("a timer that is not armed again: never fires", async () => {
    const findings = await findingsOf(pitMachine({ load: (state) => ({ ...state, next: null, once: null }) }));
    expect(codesOf(findings)).toEqual(only("NEVER_FIRES"));
    expect(new Set(findings.map(({ device }) => device))).toEqual(new Set(["pit", "alarm"]));
  });

  it("one of two timers not armed again", async () => {
    const findings = await findingsOf(pitMachine({ load: (state) => ({ ...state, once: null }) }));
    expect(findings.map(({ code, device }) => [code, device])).toEqual([["NEVER_FIRES", "alarm"]]);
  });

  it("a load that does not cancel what was armed before", async () => {
    const findings = await findingsOf(pitMachine({ stale: true }));
    expect(findings.map(({ code, device }) => [code, device])).toEqual([
      ["FIRES_AT_ONCE", "alarm"],
      ["FIRING_ADDED", "alarm"],
    ]);
    for (const { text } of findings) expect(text).toContain("machine used before");
  });

  it("a save that disturbs the machine that goes on", async () => {
    const cancelled = machineOf(({ kernel, timers, fires }) => {
      const next = timers.timer((deadline) => {
        fires();
        next.arm(deadline + 1_700n);
      });
      const one = vmstate({ name: "pit", version: 1, fields: { next: timer } });
      kernel.device(one, {
        save() {
          const state = { next: next.deadline };
          next.cancel();
          return state;
        },
        load: (state) => next.arm(state.next),
      });
      return { start: () => next.arm(timers.clock.now() + 1_000n) };
    });
    const findings = await findingsOf(cancelled);
    expect(codesOf(findings)).toEqual(only("NEVER_FIRES"));
    expect(findings[0]?.text).toContain("the source itself goes on");
  });

  it("host wall time in the state, in a subsection, though no timer is wrong", async () => {
    const stamped = vmstate({
      name: "pit",
      version: 1,
      fields: {
        next: timer,
        banks: array(struct(vmstate({ name: "bank", version: 1, fields: { a: u8, at: u64 } })), 2),
      },
      subsections: {
        log: subsection({
          name: "pit/log",
          version: 1,
          fields: { kind: u8, saved: u64 },
          absent: { kind: 0, saved: 0n },
        }),
      },
    });
    const machine = (stampBank: boolean) =>
      machineOf(({ kernel, timers, host, fires }) => {
        const next = timers.timer(() => fires());
        kernel.device(stamped, {
          save: () => ({
            next: next.deadline,
            banks: [
              { a: 1, at: 0n },
              { a: 2, at: stampBank ? host.wallNow() / 1_000n : 0n },
            ],
            log: { kind: 1, saved: stampBank ? 0n : host.wallNow() },
          }),
          load: (state) => next.arm(state.next),
        });
        return { start: () => next.arm(timers.clock.now() + 1_000n) };
      });
    for (const [stampBank, path] of [
      [true, "banks[1].at"],
      [false, "pit/log.saved"],
    ] as const) {
      const findings = await findingsOf(machine(stampBank));
      expect(findings.map(({ code, device, path }) => [code, device, path])).toEqual([
        ["HOST_TIME_STORED", "pit/0", path],
      ]);
      expect(findings[0]?.text).toContain("the host's wall clock");
      expect(await findingsOf(machine(stampBank), [`pit/0 ${path}`])).toEqual([]);
    }
  });

  it("a real-time clock that is said to be frozen and follows, and the other way round", async () => {
    const rtc = vmstate({ name: "rtc", version: 1, fields: { wall: struct(wallClockDescription), next: timer } });
    const machine = (mode: WallClockMode, said: WallClockMode) =>
      machineOf(({ kernel, timers, host, fires }) => {
        const wall = wallClock({ clock: timers.clock, hostNow: host.wallNow, mode });
        const next = timers.timer(() => fires());
        kernel.device(rtc, {
          save: () => ({ wall: wall.state(), next: next.deadline }),
          load: (state) => {
            wall.load(state.wall);
            next.arm(state.next);
          },
        });
        return { wall: { mode: said, now: wall.now }, start: () => next.arm(timers.clock.now() + 1_000n) };
      });
    const tenDaysNs = 864_000_000_000_000n;
    const [follows] = await findingsOf(machine("follow", "freeze"), ["rtc/0 wall"]);
    expect(follows).toMatchObject({ code: "WALL_CLOCK_WRONG", lateNs: tenDaysNs });
    expect(follows?.text).toContain(`the guest's clock (freeze) is ${tenDaysNs} ns ahead right after the load`);
    const [frozen] = await findingsOf(machine("freeze", "follow"));
    expect(frozen).toMatchObject({ code: "WALL_CLOCK_WRONG", lateNs: -tenDaysNs });
  });

  it("a frozen clock's state with the host's time in it", async () => {
    const rtc = vmstate({ name: "rtc", version: 1, fields: { wall: struct(wallClockDescription), next: timer } });
    // Born with the host's date, as if that were harmless: two saves of the same run are never the same.
    const born = machineOf(({ kernel, timers, host, fires }) => {
      const wall = wallClock({ clock: timers.clock, hostNow: host.wallNow, mode: "freeze", start: host.wallNow() });
      const next = timers.timer(() => fires());
      kernel.device(rtc, { save: () => ({ wall: wall.state(), next: next.deadline }), load: (s) => next.arm(s.next) });
      return { start: () => next.arm(timers.clock.now() + 1_000n) };
    });
    const findings = await findingsOf(born);
    expect(codesOf(findings)).toEqual(only("HOST_TIME_STORED"));
    expect(findings[0]?.path).toMatch(/^wall\.clock_offset\./);
  });

  it("a machine that does not repeat itself, or fires nothing, or throws", async () => {
    let count = 0n;
    const chance = pitMachine({ save: (state) => ({ ...state, ticks: count++ }) });
    const [first] = await findingsOf(chance);
    expect(first).toMatchObject({ code: "NOT_DETERMINISTIC", device: "pit/0" });
    expect(first?.text).toContain("field ticks");
    const idle = machineOf(() => ({ start: () => {} }));
    expect(await findingsOf(idle)).toMatchObject([{ code: "NOTHING_FIRED", device: "pit" }]);
    const failing = pitMachine({ save: () => ({ period: 0n, next: -1n, once: null, ticks: 0n }) });
    expect(await findingsOf(failing)).toMatchObject([{ code: "MACHINE_FAILED", cases: 14 }]);
  });

  it("one error tells all, by its code first", async () => {
    const error = await checkClocks({ setup: onHostTime, untilNs }).then(
      () => undefined,
      (caught) => caught,
    );
    expect(error).toBeInstanceOf(ClockError);
    expect(error.code).toBe("HOST_TIME_STORED");
    expect(error.message.split("\n").map((line: string) => line.split(":")[0])).toEqual(
      error.findings.map(({ code }: ClockFinding) => code),
    );
  });
});
