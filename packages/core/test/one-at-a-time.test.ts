// A machine is in one state at a time: while one is saved or put in place, nothing else may look at it or change it.
import { describe, expect, it } from "vitest";
import {
  createKernel,
  type DeviceInit,
  isMigrationError,
  type Kernel,
  type MigrationError,
  u32,
  type VirtualClock,
  virtualClock,
  vmstate,
} from "../src/index.ts";

const word = vmstate({ name: "word", version: 1, fields: { x: u32 } });
type Word = { x: number };

interface Machine {
  readonly kernel: Kernel;
  readonly clock: VirtualClock;
  readonly held: number[];
  readonly log: string[];
}

function machine(values: readonly number[], more: Partial<DeviceInit<Word>>[] = []): Machine {
  const log: string[] = [];
  let host = 0n;
  const clock = virtualClock(() => host++);
  const kernel = createKernel({
    machineType: "words",
    clock,
    machine: { pause: () => log.push("pause"), resume: () => log.push("resume"), reset: () => {} },
  });
  const held = [...values];
  for (const [i] of values.entries()) {
    kernel.device(word, {
      instance: i,
      save: () => ({ x: held[i] as number }),
      load: ({ x }) => {
        held[i] = x;
      },
      ...more[i],
    });
  }
  return { kernel, clock, held, log };
}

function errorOf(work: () => unknown): MigrationError {
  try {
    work();
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

async function refusal(work: Promise<unknown>): Promise<MigrationError> {
  const error: unknown = await work.then(
    () => undefined,
    (caught: unknown) => caught,
  );
  if (isMigrationError(error)) return error;
  throw error ?? new Error("nothing was refused");
}

/** A door that a test opens. */
function gate(): { readonly open: () => void; readonly opened: Promise<void>; readonly fail: (error: Error) => void } {
  let open = (): void => {};
  let fail = (_: Error): void => {};
  const opened = new Promise<void>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  return { open, opened, fail };
}

describe("while a machine is saved", () => {
  it("no other state is put in place, and it does not run", async () => {
    const { kernel, held, log } = machine([1, 2]);
    const other = machine([7, 8]).kernel.snapshot();
    kernel.resume();
    const chunks: Uint8Array[] = [];
    for await (const chunk of kernel.save()) {
      chunks.push(chunk);
      if (chunks.length > 1) continue;
      expect(errorOf(() => kernel.restore(other)).code).toBe("ATTEMPT_ACTIVE");
      expect((await refusal(kernel.load(other))).code).toBe("ATTEMPT_ACTIVE");
      expect(errorOf(() => kernel.resume()).code).toBe("ATTEMPT_ACTIVE");
      expect(errorOf(() => kernel.snapshot()).code).toBe("ATTEMPT_ACTIVE");
    }
    expect(held).toEqual([1, 2]);
    expect(log.at(-1)).toBe("resume");
    const target = machine([0, 0]);
    await target.kernel.load(chunks);
    expect(target.held).toEqual([1, 2]);
    kernel.restore(other);
    expect(held).toEqual([7, 8]);
  });

  it("its last part is not written while its clock runs", () => {
    const { kernel, clock } = machine([1]);
    const attempt = kernel.outgoing();
    for (const _ of attempt.setup());
    clock.start();
    expect(errorOf(() => [...attempt.complete()]).code).toBe("CLOCK_RUNNING");
    attempt.end(false);
    kernel.snapshot();
  });
});

it("a handler's last part is not written on while its clock runs, either", () => {
  const { kernel, clock } = machine([]);
  let left = 3;
  const never = () => {
    throw new Error("not asked for");
  };
  kernel.iterable({
    idstr: "ram",
    version: 1,
    setup: () => {},
    pending: () => ({ mustPrecopyBytes: 0, canPostcopyBytes: 0 }),
    iterate: () => true,
    complete: (out) => {
      out.raw(new Uint8Array(300_000));
      return --left === 0;
    },
    cleanup: () => {},
    stage: never,
  });
  const attempt = kernel.outgoing();
  for (const _ of attempt.setup());
  const error = errorOf(() => {
    for (const _ of attempt.complete()) clock.start();
  });
  expect([error.code, left]).toEqual(["CLOCK_RUNNING", 2]);
  attempt.end(false);
});

describe("while a state is put in place", () => {
  it("a second one waits its turn, and the first stays", async () => {
    const door = gate();
    const { kernel, held } = machine([0], [{ ready: () => door.opened }]);
    const one = machine([1]).kernel.snapshot();
    const two = machine([2]).kernel.snapshot();
    const first = kernel.load(one);
    await Promise.resolve();
    await new Promise((resolve) => setTimeout(resolve, 1));
    expect(held).toEqual([1]);
    expect((await refusal(kernel.load(two))).code).toBe("ATTEMPT_ACTIVE");
    expect(errorOf(() => kernel.restore(two)).code).toBe("ATTEMPT_ACTIVE");
    expect(errorOf(() => kernel.snapshot()).code).toBe("ATTEMPT_ACTIVE");
    expect(errorOf(() => kernel.outgoing()).code).toBe("ATTEMPT_ACTIVE");
    expect(errorOf(() => kernel.resume()).code).toBe("ATTEMPT_ACTIVE");
    door.open();
    await first;
    expect(held).toEqual([1]);
    kernel.restore(two);
    expect(held).toEqual([2]);
  });

  it("the first one's failure takes back what it did, and nothing else", async () => {
    const door = gate();
    const { kernel, held } = machine([5], [{ ready: () => door.opened }]);
    const first = kernel.load(machine([1]).kernel.snapshot());
    await new Promise((resolve) => setTimeout(resolve, 1));
    await refusal(kernel.load(machine([2]).kernel.snapshot()));
    door.fail(new Error("cold"));
    expect((await refusal(first)).code).toBe("DEVICE_FAILED");
    expect(held).toEqual([5]);
  });

  it("the attempt is neither committed again nor thrown away, and the registry stays frozen for the next", async () => {
    const door = gate();
    const { kernel, held } = machine([0], [{ ready: () => door.opened }]);
    const attempt = kernel.incoming();
    attempt.push(machine([1]).kernel.snapshot());
    attempt.end();
    const committing = attempt.commit();
    expect((await refusal(attempt.commit())).code).toBe("ATTEMPT_ENDED");
    expect(errorOf(() => attempt.discard()).code).toBe("ATTEMPT_ACTIVE");
    door.open();
    await committing;
    attempt.discard();
    expect(held).toEqual([1]);
    const next = kernel.incoming();
    expect(errorOf(() => kernel.device(word, { instance: 9, save: () => ({ x: 0 }), load: () => {} })).code).toBe(
      "REGISTRY_FROZEN",
    );
    next.discard();
    kernel.device(word, { instance: 9, save: () => ({ x: 0 }), load: () => {} });
  });

  it("a device that restores or looks at the machine from its own load is refused, and all is as before", () => {
    const other = machine([3, 4]).kernel.snapshot();
    for (const look of [(of: Kernel) => of.restore(other), (of: Kernel) => of.snapshot()]) {
      let isArmed = true;
      const target: Machine = machine(
        [1, 2],
        [
          {},
          {
            load: ({ x }) => {
              target.held[1] = x;
              if (isArmed) look(target.kernel);
            },
          },
        ],
      );
      const error = errorOf(() => {
        target.kernel.restore(other);
      });
      expect(error.code).toBe("MACHINE_TORN");
      isArmed = false;
      expect(target.held).toEqual([1, 2]);
    }
  });
});

describe("two sections for one device", () => {
  it("are refused whole as in pieces", () => {
    const source = machine([1]);
    source.kernel.device(word, { path: "slot", save: () => ({ x: 2 }), load: () => {} });
    const bytes = source.kernel.snapshot();
    for (const size of [bytes.length, 7, 1]) {
      const target = machine([]);
      let x = 0;
      target.kernel.device(word, {
        path: "slot",
        instance: 0,
        save: () => ({ x }),
        load: (state) => {
          x = state.x;
        },
      });
      const attempt = target.kernel.incoming();
      const error = errorOf(() => {
        for (let at = 0; at < bytes.length; at += size) attempt.push(bytes.subarray(at, at + size));
      });
      expect([error.code, error.location.section]).toEqual(["SECTION_DUPLICATE", "slot/word/0"]);
      expect(x).toBe(0);
    }
  });
});

describe("a machine that is torn", () => {
  function torn(): Machine {
    return machine(
      [1],
      [
        {
          load: () => {
            throw new Error("planted");
          },
        },
      ],
    );
  }

  it("stands after a load", async () => {
    const { kernel, clock, log } = torn();
    kernel.resume();
    expect((await refusal(kernel.load(machine([2]).kernel.snapshot()))).code).toBe("MACHINE_TORN");
    expect([clock.running, log.at(-1)]).toEqual([false, "pause"]);
  });

  it("stands after a restore", () => {
    const { kernel, clock, log } = torn();
    kernel.resume();
    expect(errorOf(() => kernel.restore(machine([2]).kernel.snapshot())).code).toBe("MACHINE_TORN");
    expect([clock.running, log.at(-1)]).toEqual([false, "pause"]);
  });
});

describe("what others throw", () => {
  it("a device's resumed keeps no other from being told, and the state is in place", () => {
    const told: number[] = [];
    const resumed = (i: number) => () => {
      told.push(i);
      if (i === 0) throw new Error("planted");
    };
    const { kernel, held } = machine([1, 2], [{ resumed: resumed(0) }, { resumed: resumed(1) }]);
    kernel.clock.start();
    const error = errorOf(() => kernel.restore(machine([3, 4]).kernel.snapshot()));
    expect([error.code, error.location.section]).toEqual(["DEVICE_FAILED", "word/0"]);
    expect([told, held, kernel.clock.running]).toEqual([[0, 1], [3, 4], true]);
  });
});

describe("registrations", () => {
  it("of another machine are no successors here", () => {
    const one = machine([]);
    const other = machine([]);
    const init = { save: () => ({ x: 0 }), load: () => {} };
    const foreign = other.kernel.device(word, init);
    one.kernel.device(word, init);
    const old = vmstate({ name: "old", version: 1, fields: { x: u32 } });
    expect(errorOf(() => one.kernel.split(old, { into: { a: foreign }, convert: (a) => ({ a }) })).code).toBe(
      "DEFINITION_INVALID",
    );
  });
});
