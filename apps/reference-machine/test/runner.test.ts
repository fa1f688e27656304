// The hart's slices and what ends them: memory that is not there, and the machine's being stopped.
import { timerQueue, virtualClock } from "@godwit/core";
import { describe, expect, it } from "vitest";
import { Hart } from "../src/hart/hart.ts";
import { Runner } from "../src/machine/runner.ts";
import { addi, jal } from "./support/assembler.ts";
import { RAM } from "./support/rig.ts";

function waiting(sliceSteps = 100) {
  const absent = Uint32Array.of(1);
  const hart = new Hart({
    hartId: 0,
    absent: () => (absent[0] === 0 ? undefined : absent),
    bus: { mmioRead: () => undefined, mmioWrite: () => false },
  });
  const ram = new Uint8Array(4096);
  ram.set(new Uint8Array(Uint32Array.of(addi(1, 1, 1), jal(0, -4)).buffer));
  hart.attachRam(RAM, ram, new Uint32Array(1));
  hart.reset(RAM, 0, 0);
  const clock = virtualClock(() => process.hrtime.bigint());
  const timers = timerQueue(clock);
  clock.start();
  const asked: unknown[] = [];
  const failures: unknown[] = [];
  let settle = { resolve: (): void => {}, reject: (_: unknown): void => {} };
  const runner = new Runner({
    hart,
    timers,
    sliceSteps,
    onFailure: (error) => failures.push(error),
    whenPresent(missed) {
      asked.push(missed);
      return new Promise((resolve, reject) => {
        settle = { resolve, reject };
      });
    },
  });
  const until = async (enough: () => boolean): Promise<void> => {
    for (const endMs = Date.now() + 20_000; !enough(); ) {
      if (Date.now() > endMs) throw new Error("it does not come to that");
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  };
  const give = (): void => {
    absent[0] = 0;
    settle.resolve();
  };
  return { hart, runner, timers, clock, asked, failures, give, fail: (error: unknown) => settle.reject(error), until };
}

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
};

describe("a hart that waits for memory", () => {
  it("holds up neither timers nor anybody else, and goes on when it is there", async () => {
    const { runner, timers, clock, asked, give, until } = waiting();
    let due = 0;
    const timer = timers.timer(() => {
      due++;
      if (due < 5) timer.arm(clock.now() + 1_000_000n);
    });
    timer.arm(clock.now());
    runner.start();
    await until(() => due === 5);
    expect([asked, runner.steps]).toEqual([[RAM], 0]);
    give();
    await until(() => runner.steps > 1000);
    runner.stop();
    expect(asked).toHaveLength(1);
  });

  it("does not go on once the machine is stopped, and asks again when that is resumed", async () => {
    const { hart, runner, asked, give, until } = waiting();
    runner.start();
    await until(() => asked.length === 1);
    runner.stop();
    const before = hart.save();
    await turns();
    expect([runner.steps, hart.save()]).toEqual([0, before]);
    runner.start();
    await until(() => asked.length === 2);
    runner.stop();
    give();
    await turns();
    expect([runner.steps, hart.save()]).toEqual([0, before]);
    runner.start();
    await until(() => runner.steps > 0);
    runner.stop();
  });

  it("is told of as a failure where it never comes", async () => {
    const { runner, asked, failures, fail, until } = waiting();
    runner.start();
    await until(() => asked.length === 1);
    const never = new Error("never");
    fail(never);
    await until(() => failures.length > 0);
    expect([failures, runner.steps]).toEqual([[never], 0]);
  });
});

describe("a throttled hart", () => {
  it("is released also where it was stopped and started while it stood", async () => {
    // Slices so long that it stands behind each.
    const { runner, give } = waiting(20_000_000);
    give();
    runner.throttle(0.99);
    runner.start();
    await new Promise((resolve) => setImmediate(resolve));
    runner.stop();
    runner.start();
    await new Promise((resolve) => setImmediate(resolve));
    const before = runner.steps;
    runner.throttle(0);
    // It stands for seconds, or it is released at once.
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(runner.steps).toBeGreaterThan(before);
    runner.stop();
  });

  it("stands whatever wakes it, until it is released", async () => {
    const { runner, give, until } = waiting();
    give();
    runner.throttle(0.99);
    runner.start();
    // Its share is 10 ms of a second; then it stands for the rest of it.
    const stepsOf = async (turns: number, each: () => void): Promise<number> => {
      const from = runner.steps;
      for (let turn = 0; turn < turns; turn++) {
        each();
        await new Promise((resolve) => setImmediate(resolve));
      }
      return runner.steps - from;
    };
    while ((await stepsOf(5, () => {})) > 0) {
      // It runs.
    }
    expect(await stepsOf(50, () => runner.wake())).toBe(0);
    const before = runner.steps;
    runner.throttle(0);
    await until(() => runner.steps > before);
    runner.stop();
  });
});
