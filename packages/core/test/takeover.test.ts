// "As before" after a failure: whatever throws, and however often.
import { describe, expect, it } from "vitest";
import {
  createKernel,
  type DeviceInit,
  isMigrationError,
  type Kernel,
  type MigrationError,
  type StateOf,
  u8,
  virtualClock,
  vmstate,
} from "../src/index.ts";
import { memory } from "./machine.ts";

const cell = vmstate({ name: "cell", version: 1, fields: { x: u8 } });
type Cell = DeviceInit<StateOf<typeof cell>>;

/** A kernel with cells `a`, `b`, … and what they hold; `more` changes one of them. */
function machine(x: number, more: Record<string, (own: Cell) => Partial<Cell>> = {}) {
  const log: string[] = [];
  const held: Record<string, number> = {};
  let now = 0n;
  const kernel = createKernel({
    machineType: "cells",
    clock: virtualClock(() => {
      now += 1n;
      return now;
    }),
    machine: {
      pause: () => log.push("pause"),
      resume: () => log.push("resume"),
      reset: () => {},
      holdInterrupts: (on) => log.push(on ? "hold" : "release"),
    },
  });
  for (const name of ["a", "b", "c"]) {
    held[name] = x;
    const own: Cell = {
      save: () => ({ x: held[name] as number }),
      load: (state) => {
        held[name] = state.x;
      },
    };
    kernel.device({ ...cell, name, ...(name === "c" ? { priority: "iommu" } : {}) }, { ...own, ...more[name]?.(own) });
  }
  return { kernel, held, log };
}

async function refusal(work: () => unknown): Promise<MigrationError> {
  try {
    await work();
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  throw new Error("was not refused");
}

async function stream(kernel: Kernel): Promise<Uint8Array> {
  const parts: number[] = [];
  for await (const chunk of kernel.save()) parts.push(...chunk);
  return Uint8Array.from(parts);
}

describe("taking a state over", () => {
  it("loads the clock first, whatever the priorities", async () => {
    const report = await machine(1).kernel.load(await stream(machine(7).kernel));
    expect(report.loadOrder).toEqual(["timer/0", "c/0", "a/0", "b/0"]);
  });

  it("puts everybody back even when a load throws every time, and says that this device is torn", async () => {
    const bytes = await stream(machine(7).kernel);
    const { kernel, held, log } = machine(1, {
      b: () => ({
        load: () => {
          throw new Error("always");
        },
      }),
    });
    const error = await refusal(() => kernel.load(bytes));
    expect([error.code, error.location.section, error.found]).toEqual(["MACHINE_TORN", "b/0", "always"]);
    expect(error.detail).toBe(
      "load threw (a refusal belongs in check), and so did putting the old state back: load of b/0",
    );
    expect(held).toEqual({ a: 1, b: 1, c: 1 });
    expect(log).toEqual(["hold", "hold", "release"]);
  });

  it("names every device that did not take its old state back, whichever step failed first", async () => {
    const bytes = await stream(machine(7).kernel);
    const once = (own: Cell) => ({
      load: (state: { x: number }) => {
        if (state.x === 1) throw new Error("not again");
        own.load(state);
      },
    });
    const { kernel } = machine(1, { a: once, b: () => ({ ready: () => Promise.reject(new Error("cold")) }), c: once });
    const error = await refusal(() => kernel.load(bytes));
    expect([error.code, error.location.section, error.found]).toEqual(["MACHINE_TORN", "b/0", "cold"]);
    expect(error.detail).toBe("a device did not get ready, and so did putting the old state back: load of c/0, a/0");
    expect((error.cause as AggregateError).errors.map(String)).toEqual([
      "Error: cold",
      "Error: not again",
      "Error: not again",
    ]);
  });

  it("tells the step that failed: a load, what a retired device hands on, or none of a device", async () => {
    const bytes = await stream(machine(7).kernel);
    const detailOf = async ({ kernel }: { kernel: Kernel }) => (await refusal(() => kernel.load(bytes))).detail;
    let times = 0;
    const first = machine(1, {
      b: (own) => ({
        load: (state) => {
          own.load(state);
          if (++times === 1) throw new Error("once");
        },
      }),
    });
    expect(await detailOf(first)).toBe("load threw (a refusal belongs in check); the machine is as before");
    const without = machine(1);
    const gone = machine(7);
    gone.kernel.device({ ...cell, name: "gone" }, { save: () => ({ x: 3 }), load: () => {} });
    without.kernel.retired(
      { ...cell, name: "gone" },
      {
        handOn: () => {
          throw new Error("full");
        },
      },
    );
    const error = await refusal(async () => without.kernel.load(await stream(gone.kernel)));
    expect([error.location.section, error.detail]).toEqual(["gone/0", "handOn threw; the machine is as before"]);
    const held = machine(1);
    const { machine: own } = held.kernel;
    let holds = 0;
    own.holdInterrupts = () => {
      if (++holds === 2) throw new Error("stuck");
    };
    const last = await refusal(() => held.kernel.load(bytes));
    expect([last.location.section, last.detail]).toEqual([
      undefined,
      "taking the state over threw; the machine is as before",
    ]);
  });

  it("takes everything back when a device does not get ready", async () => {
    const bytes = await stream(machine(7).kernel);
    const { kernel, held, log } = machine(1, { b: () => ({ ready: () => Promise.reject(new Error("cold")) }) });
    kernel.resume();
    const error = await refusal(() => kernel.load(bytes));
    expect([error.code, error.location.section, error.found]).toEqual(["DEVICE_FAILED", "b/0", "cold"]);
    expect(error.detail).toBe("a device did not get ready; the machine is as before");
    expect(held).toEqual({ a: 1, b: 1, c: 1 });
    expect(kernel.clock.running).toBe(true);
    expect(log).toEqual(["resume", "pause", "hold", "release", "hold", "release", "resume"]);
  });

  it("refuses a promise from load and check, and changes nothing", async () => {
    const bytes = await stream(machine(7).kernel);
    const asyncLoad = machine(1, { b: () => ({ load: (async () => Promise.reject(new Error("late"))) as never }) });
    const first = await refusal(() => asyncLoad.kernel.load(bytes));
    expect(first.location.section).toBe("b/0");
    expect(asyncLoad.held).toEqual({ a: 1, b: 1, c: 1 });
    const asyncCheck = machine(1, { b: () => ({ check: (async () => undefined) as never }) });
    const second = await refusal(() => asyncCheck.kernel.load(bytes));
    expect([second.code, second.location.section]).toEqual(["DEVICE_ASYNC", "b/0"]);
    expect(asyncCheck.log).toEqual([]);
  });

  it("gives a device whose section was not needed what its absence means", async () => {
    const optional = (x: number) => {
      const of = machine(1);
      const own = { x };
      of.kernel.device(
        vmstate({ name: "optional", version: 1, fields: { x: u8 }, needed: (s) => s.x !== 0, absent: { x: 0 } }),
        {
          save: () => own,
          load: (state) => Object.assign(own, state),
        },
      );
      return { ...of, own };
    };
    const { kernel, own } = optional(0);
    const quiet = kernel.snapshot();
    own.x = 5;
    const busy = kernel.snapshot();
    expect(busy.length).toBeGreaterThan(quiet.length);
    kernel.restore(quiet);
    expect(own.x).toBe(0);
    kernel.restore(busy);
    expect(own.x).toBe(5);
    expect(() => vmstate({ name: "x", version: 1, fields: { x: u8 }, needed: () => true })).toThrow(
      "DEFINITION_INVALID",
    );
  });

  it("refuses a stream that does not say of which machine it is", async () => {
    const bytes = await stream(machine(7).kernel);
    const configurationBytes = 1 + 4 + "cells".length;
    const { kernel, held } = machine(1);
    const error = await refusal(() =>
      kernel.load(Uint8Array.from([...bytes.subarray(0, 8), ...bytes.subarray(8 + configurationBytes)])),
    );
    expect([error.code, error.location.section]).toEqual(["SECTION_MISSING", "configuration"]);
    expect(held).toEqual({ a: 1, b: 1, c: 1 });
  });

  it("tells what waits for what before the first byte, on either side", () => {
    const { kernel } = machine(1, { a: () => ({ after: ["b"] }), b: () => ({ after: ["a"] }) });
    expect(() => kernel.outgoing()).toThrow("DEPENDENCY_CYCLE");
    expect(() => kernel.incoming()).toThrow("DEPENDENCY_CYCLE");
    kernel.device(cell, { save: () => ({ x: 1 }), load: () => {} });
  });

  it("stands only where the machine stands", async () => {
    const { kernel, held } = machine(1);
    const attempt = kernel.incoming();
    attempt.push(machine(7).kernel.snapshot());
    attempt.end();
    kernel.resume();
    expect((await refusal(() => attempt.commit())).code).toBe("CLOCK_RUNNING");
    expect(held).toEqual({ a: 1, b: 1, c: 1 });
  });
});

describe("an attempt and its forks", () => {
  const stored = () => {
    const store = { bytes: new Uint8Array(64).fill(1), staged: 0, committed: 0 };
    const { kernel } = machine(1);
    kernel.iterable(memory(store));
    return { kernel, store };
  };

  it("cannot be committed once a fork was fed: nobody knows whose the memory is", async () => {
    const { kernel, store } = stored();
    const bytes = stored().kernel.snapshot();
    const attempt = kernel.incoming();
    const half = bytes.length >> 1;
    attempt.push(bytes.subarray(0, half));
    const fork = attempt.fork();
    fork.push(bytes.subarray(half));
    attempt.push(bytes.subarray(half));
    attempt.end();
    expect((await refusal(() => attempt.commit())).code).toBe("ATTEMPT_ENDED");
    expect(store.committed).toBe(0);
    expect(() => fork.end()).toThrow("ATTEMPT_ENDED");
  });

  it("is over, and the registry thaws, even when a handler's discard throws", async () => {
    const { kernel } = machine(1);
    const store = { bytes: new Uint8Array(64), staged: 0, committed: 0 };
    const base = memory(store);
    kernel.iterable({
      ...base,
      stage: () => ({
        ...base.stage(),
        discard: () => {
          throw new Error("planted");
        },
      }),
    });
    const error = await refusal(() => kernel.load(stored().kernel.snapshot().slice(0, -1)));
    expect(error.code).toBe("STREAM_TRUNCATED");
    kernel.device(cell, { save: () => ({ x: 1 }), load: () => {} });
  });
});
