// The failing device and handler fail where they are told to and nowhere else, and a machine survives them.
import { u8, vmstate } from "@godwit/core";
import { describe, expect, it } from "vitest";
import { type DeviceCall, failingDevice, failingIterable, type IterableCall } from "../src/failing.ts";
import { codeOf, machine, saved } from "./machine.ts";

const stream = async (value: number): Promise<Uint8Array> => {
  const kernel = machine();
  failingDevice(kernel).state = { value };
  return saved(kernel);
};

describe("a failing device", () => {
  it("works where nothing is to fail, and remembers what it saw", async () => {
    const kernel = machine();
    const device = failingDevice(kernel);
    await kernel.load(await stream(77));
    expect(device.state).toEqual({ value: 77 });
    const names = device.calls.all.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(["check", "load", "ready"]));
    expect(device.calls.all.find(({ name }) => name === "load")).toEqual({
      ...{ name: "load", args: [{ value: 77 }], failed: false },
    });
    expect(device.calls.failures("load")).toBe(0);
  });

  it.each<[DeviceCall, boolean]>([
    ["check", true],
    ["load", true],
    ["ready", true],
    ["save", false],
    ["quiesce", false],
  ])("fails its first %s, leaves the machine as it was, and then works", async (call, onLoad) => {
    const kernel = machine();
    const error = new Error("the disk is on fire");
    const device = failingDevice(kernel, { fail: { [call]: 1 }, with: error });
    device.state = { value: 4 };
    const bytes = await stream(9);
    const run = async (): Promise<unknown> => (onLoad ? kernel.load(bytes) : saved(kernel));
    const thrown = await Promise.resolve()
      .then(run)
      .then(
        () => undefined,
        (reason: unknown) => reason,
      );
    expect(thrown === error || (thrown as { cause?: unknown }).cause === error).toBe(true);
    expect(device.calls.failures(call)).toBe(1);
    expect(device.state).toEqual({ value: 4 });
    await run();
    expect(device.calls.failures(call)).toBe(1);
    expect(device.state).toEqual({ value: onLoad ? 9 : 4 });
  });

  it("fails at the calls that are named, or always, or as it is told later", async () => {
    const kernel = machine();
    const device = failingDevice(kernel, { idstr: "odd", instance: 3, fail: { save: [2, 3] } });
    const codes = async (times: number) => {
      const failed: boolean[] = [];
      for (let i = 0; i < times; i++) failed.push((await codeOf(() => saved(kernel))) !== "none");
      return failed;
    };
    expect(await codes(4)).toEqual([false, true, true, false]);
    device.calls.fail({ save: "always" });
    expect(await codes(3)).toEqual([true, true, true]);
    device.calls.fail({ save: 2 });
    expect(await codes(3)).toEqual([false, true, false]);
    device.calls.fail();
    expect(await codes(2)).toEqual([false, false]);
    expect(device.calls.count("save")).toBe(12);
    const text = new TextDecoder().decode(await saved(kernel));
    expect(text).toContain('"name": "odd", "instance_id": 3');
  });

  it("takes half of a state over where its load fails, so that the way back is needed", async () => {
    const description = vmstate({ name: "failing", version: 1, fields: { a: u8, b: u8 } });
    const make = (state: { a: number; b: number }, fail: { load?: number }) => {
      const kernel = machine();
      return { kernel, device: failingDevice(kernel, { description, state, fail }) };
    };
    const { kernel, device } = make({ a: 1, b: 2 }, { load: 1 });
    const states: unknown[] = [];
    let state = device.state;
    Object.defineProperty(device, "state", {
      get: () => state,
      set: (next) => {
        states.push(next);
        state = next;
      },
    });
    expect(await codeOf(async () => kernel.load(await saved(make({ a: 8, b: 9 }, {}).kernel)))).toBe("DEVICE_FAILED");
    expect(states).toEqual([
      { a: 8, b: 2 },
      { a: 1, b: 2 },
    ]);
  });

  it("tears the machine where the way back fails as well", async () => {
    const kernel = machine();
    const device = failingDevice(kernel, { fail: { load: [1, 2] } });
    device.state = { value: 4 };
    expect(await codeOf(async () => kernel.load(await stream(9)))).toBe("MACHINE_TORN");
    expect(device.state).toEqual({ value: 4 });
    expect(device.calls.count("load")).toBe(2);
  });
});

describe("a failing iterable", () => {
  const data = Uint8Array.from({ length: 200_000 }, (_, i) => (i * 7) & 0xff);
  const source = (fail: Partial<Record<IterableCall, number>> = {}) => {
    const kernel = machine();
    return { kernel, handler: failingIterable(kernel, { data, fail }) };
  };

  it("carries its data", async () => {
    const from = source();
    const kernel = machine();
    const to = failingIterable(kernel, { data: new Uint8Array(data.length) });
    await kernel.load(await saved(from.kernel));
    expect(Buffer.compare(to.data, data)).toBe(0);
    expect(from.handler.calls.count("complete")).toBeGreaterThan(1);
    expect(to.calls.count("commit")).toBe(1);
  });

  it.each<IterableCall>(["setup", "complete"])("fails its first %s and cleans up; then it works", async (call) => {
    const { kernel, handler } = source({ [call]: 1 });
    expect(await codeOf(() => saved(kernel))).not.toBe("none");
    expect(handler.calls.failures(call)).toBe(1);
    expect(handler.calls.all.at(-1)).toEqual({ name: "cleanup", args: [false], failed: false });
    expect((await saved(kernel)).length).toBeGreaterThan(data.length);
  });

  it.each<IterableCall>(["stage", "decode", "commit"])(
    "fails its first %s with nothing changed; then it works",
    async (call) => {
      const bytes = await saved(source().kernel);
      const kernel = machine();
      const before = new Uint8Array(data.length);
      const to = failingIterable(kernel, { data: before, fail: { [call]: 1 } });
      expect(await codeOf(() => kernel.load(bytes))).not.toBe("none");
      expect(Buffer.compare(to.data, before)).toBe(0);
      await kernel.load(bytes);
      expect(Buffer.compare(to.data, data)).toBe(0);
    },
  );

  it("refuses a piece beyond its data", async () => {
    const kernel = machine();
    const to = failingIterable(kernel, { data: new Uint8Array(100) });
    expect(await codeOf(async () => kernel.load(await saved(source().kernel)))).toBe("LENGTH_BOUND");
    expect(to.data).toEqual(new Uint8Array(100));
  });
});
