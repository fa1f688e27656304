// Waiting: `quiesce` before the clock stops, `ready` before the machine runs, and nothing in between.
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

const cell = vmstate({ name: "cell", version: 1, fields: { x: u8 } });
type Cell = DeviceInit<StateOf<typeof cell>>;
type Name = "a" | "b" | "c";

/** Cells `a`, `b` and `c` that note what is asked of them; `own` changes one. */
function machine(x: number, own: Partial<Record<Name, Partial<Cell>>> = {}) {
  const log: string[] = [];
  const held = { a: x, b: x, c: x };
  let now = 0n;
  const kernel = createKernel({
    machineType: "cells",
    clock: virtualClock(() => {
      now += 1n;
      return now;
    }),
    machine: { pause: () => log.push("pause"), resume: () => log.push("resume"), reset: () => {} },
  });
  for (const name of ["a", "b", "c"] as const) {
    kernel.device(
      { ...cell, name },
      {
        quiesce: async () => void log.push(`quiesce ${name}`),
        save: () => {
          log.push(`save ${name}`);
          return { x: held[name] };
        },
        load: (state) => {
          log.push(`load ${name} ${state.x}`);
          held[name] = state.x;
        },
        ready: async () => void log.push(`ready ${name}`),
        resumed: () => log.push(`resumed ${name}`),
        ...own[name],
      },
    );
  }
  return { kernel, log, held };
}

async function bytesOf(kernel: Kernel): Promise<Uint8Array> {
  const parts: number[] = [];
  for await (const chunk of kernel.save()) parts.push(...chunk);
  return Uint8Array.from(parts);
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

/** What a device's own failure says, whether it comes as it is or as the cause of the kernel's. */
async function failure(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
  } catch (error) {
    return String(isMigrationError(error) ? (error.cause ?? error) : error);
  }
  return "did not fail";
}

const turn = () => new Promise<void>((resolve) => setTimeout(resolve, 0));
const resumedAll = ["resume", "resumed a", "resumed b", "resumed c"];

describe("quiesce", () => {
  it("is asked of all at once and waited for, while the clock runs; what is saved is what it left", async () => {
    const { kernel, log, held } = machine(1, {
      a: {
        quiesce: async () => {
          log.push("quiesce a begins");
          await turn();
          await turn();
          held.a = 42;
          log.push(`quiesce a ends, running: ${kernel.clock.running}`);
        },
      },
    });
    kernel.resume();
    log.length = 0;
    const bytes = await bytesOf(kernel);
    expect(log).toEqual([
      "quiesce a begins",
      "quiesce b",
      "quiesce c",
      "quiesce a ends, running: true",
      "pause",
      "save a",
      "save b",
      "save c",
      ...resumedAll,
    ]);
    const target = machine(0);
    await target.kernel.load(bytes);
    expect(target.held).toEqual({ a: 42, b: 1, c: 1 });
  });

  it("comes before a load over a machine that runs, once the stream is known to be good", async () => {
    const bytes = await bytesOf(machine(7).kernel);
    const { kernel, log } = machine(1);
    kernel.resume();
    log.length = 0;
    await refusal(() => kernel.load(bytes.slice(0, -1)));
    expect(log).toEqual([]);
    await kernel.load(bytes);
    expect(log.slice(0, 4)).toEqual(["quiesce a", "quiesce b", "quiesce c", "pause"]);
  });

  it("that fails such a load leaves the machine running as it was, and names the device", async () => {
    const bytes = await bytesOf(machine(7).kernel);
    const { kernel, log, held } = machine(1, { b: { quiesce: () => Promise.reject(new Error("planted")) } });
    kernel.resume();
    log.length = 0;
    const error = await refusal(() => kernel.load(bytes));
    expect([error.code, error.location.section, error.found]).toEqual(["DEVICE_FAILED", "b/0", "planted"]);
    expect(held).toEqual({ a: 1, b: 1, c: 1 });
    expect(log).toEqual(["quiesce a", "quiesce c", ...resumedAll]);
  });

  it("of a machine that stands leaves it standing", async () => {
    const { kernel, log } = machine(1);
    await bytesOf(kernel);
    expect(kernel.clock.running).toBe(false);
    expect(log.filter((line) => line.startsWith("resume"))).toEqual([]);
  });

  it.each([
    ["rejects", () => Promise.reject(new Error("planted"))],
    [
      "throws",
      () => {
        throw new Error("planted");
      },
    ],
    ["rejects late", () => turn().then(() => Promise.reject(new Error("planted")))],
  ])("that %s fails the save: nothing was paused, and what others hold back goes on", async (_how, quiesce) => {
    let isBroken = true;
    const { kernel, log } = machine(1, { b: { quiesce: () => (isBroken ? quiesce() : Promise.resolve()) } });
    kernel.resume();
    log.length = 0;
    expect(await failure(() => bytesOf(kernel))).toContain("planted");
    expect(log.filter((line) => !line.startsWith("quiesce"))).toEqual(resumedAll);
    expect(kernel.clock.running).toBe(true);
    // The registry has thawed, and the next attempt is not refused.
    kernel.device({ ...cell, name: "d" }, { save: () => ({ x: 1 }), load: () => {} });
    isBroken = false;
    expect((await bytesOf(kernel)).length).toBeGreaterThan(100);
  });

  it("has an end, too, where the reader of the save goes away", async () => {
    const { kernel, log } = machine(1);
    kernel.resume();
    log.length = 0;
    for await (const _chunk of kernel.save()) break;
    expect(log.slice(-4)).toEqual(resumedAll);
    expect(kernel.clock.running).toBe(true);
    expect((await bytesOf(kernel)).length).toBeGreaterThan(100);
  });

  it("is not disturbed by a second save, which is refused", async () => {
    let release = () => {};
    const { kernel, log } = machine(1, {
      a: {
        quiesce: () =>
          new Promise<void>((resolve) => {
            release = resolve;
          }),
      },
    });
    kernel.resume();
    const first = bytesOf(kernel);
    await turn();
    log.length = 0;
    expect((await refusal(() => bytesOf(kernel))).code).toBe("ATTEMPT_ACTIVE");
    expect(log).toEqual([]);
    release();
    expect((await first).length).toBeGreaterThan(100);
  });

  it("and `ready` are not waited for by a snapshot, which is one instant", () => {
    const { kernel, log } = machine(1);
    kernel.resume();
    log.length = 0;
    kernel.restore(kernel.snapshot());
    expect(log.some((line) => line.startsWith("quiesce") || line.startsWith("ready"))).toBe(false);
    expect(log.filter((line) => line.startsWith("load"))).toEqual(["load a 1", "load b 1", "load c 1"]);
  });
});

describe("ready", () => {
  it("is waited for, one after the other and when all have loaded, before the machine may run", async () => {
    const bytes = await bytesOf(machine(7).kernel);
    const { kernel, log } = machine(1, {
      a: {
        after: ["b"],
        ready: async () => {
          await turn();
          log.push(`ready a, running: ${kernel.clock.running}`);
        },
      },
      b: {
        ready: async () => {
          await turn();
          log.push("ready b");
        },
      },
    });
    const loading = kernel.load(bytes);
    await loading;
    expect(log.filter((line) => !line.startsWith("save"))).toEqual([
      "load b 7",
      "load a 7",
      "load c 7",
      "ready b",
      "ready a, running: false",
      "ready c",
    ]);
    kernel.resume();
    expect(log.slice(-4)).toEqual(resumedAll);
  });

  it.each([
    ["rejects", () => Promise.reject(new Error("cold"))],
    [
      "throws",
      () => {
        throw new Error("cold");
      },
    ],
  ])("that %s takes all back, those that were ready included, and later ones are not asked", async (_how, ready) => {
    const bytes = await bytesOf(machine(7).kernel);
    const { kernel, log, held } = machine(1, { b: { ready } });
    kernel.resume();
    log.length = 0;
    const error = await refusal(() => kernel.load(bytes));
    expect([error.code, error.location.section, error.found]).toEqual(["DEVICE_FAILED", "b/0", "cold"]);
    expect(held).toEqual({ a: 1, b: 1, c: 1 });
    expect(log.filter((line) => !line.startsWith("save") && !line.startsWith("quiesce"))).toEqual([
      "pause",
      "load a 7",
      "load b 7",
      "load c 7",
      "ready a",
      "load a 1",
      "load b 1",
      "load c 1",
      ...resumedAll,
    ]);
    expect(kernel.clock.running).toBe(true);
  });
});

describe("a promise where there is no waiting", () => {
  const late = { x: 1 };
  const answers: [string, () => unknown][] = [
    ["a promise", () => Promise.resolve(late)],
    ["a promise that fails later", () => turn().then(() => Promise.reject(new Error("late")))],
    // biome-ignore lint/suspicious/noThenProperty: what is tried is that anything with a `then` is a promise
    ["anything with a `then`", () => ({ then: (resolve: (value: unknown) => void) => resolve(late) })],
  ];

  it.each(answers)("from save is SAVE_ASYNC, however the machine is saved: %s", async (_what, save) => {
    const { kernel, log } = machine(1, { b: { save: save as never } });
    kernel.resume();
    const told = ({ code, location }: MigrationError) => [code, location.side, location.section];
    const expected = ["SAVE_ASYNC", "source", "b/0"];
    expect(told(await refusal(() => bytesOf(kernel)))).toEqual(expected);
    expect(log.slice(-4)).toEqual(resumedAll);
    expect(told(await refusal(() => kernel.snapshot()))).toEqual(expected);
    const attempt = kernel.outgoing();
    for (const _chunk of attempt.setup());
    kernel.pause();
    expect(told(await refusal(() => [...attempt.complete()]))).toEqual(expected);
    attempt.end(false);
    expect(kernel.clock.running).toBe(false);
    await turn();
  });

  it.each(answers)("from save is SAVE_ASYNC where a load asks for the way back, too: %s", async (_what, save) => {
    const bytes = await bytesOf(machine(7).kernel);
    const { kernel, held } = machine(1, { b: { save: save as never } });
    const error = await refusal(() => kernel.load(bytes));
    expect([error.code, error.location.side, error.location.section]).toEqual(["SAVE_ASYNC", "destination", "b/0"]);
    expect(held).toEqual({ a: 1, b: 1, c: 1 });
    await turn();
  });

  it.each(answers)(
    "from load is DEVICE_ASYNC, and the machine is torn in that device only: %s",
    async (_what, load) => {
      const bytes = await bytesOf(machine(7).kernel);
      const { kernel, held } = machine(1, { b: { load: load as never } });
      const error = await refusal(() => kernel.load(bytes));
      // What it does later is its own affair; nobody can take it back.
      expect([error.code, error.location.section]).toEqual(["MACHINE_TORN", "b/0"]);
      expect(error.found).toContain("DEVICE_ASYNC");
      expect(held).toEqual({ a: 1, b: 1, c: 1 });
      await turn();
    },
  );

  it.each(answers)("from check is DEVICE_ASYNC before anything is loaded: %s", async (_what, check) => {
    const bytes = await bytesOf(machine(7).kernel);
    const { kernel, log } = machine(1, { b: { check: check as never } });
    const error = await refusal(() => kernel.load(bytes));
    expect([error.code, error.location.section]).toEqual(["DEVICE_ASYNC", "b/0"]);
    expect(log).toEqual([]);
    await turn();
  });
});
