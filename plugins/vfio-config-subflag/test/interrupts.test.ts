// No interrupt before the interrupt controller is there, in any mode; and none is lost.
import { describe, expect, it } from "vitest";
import { at, testConfig } from "./support/config.ts";
import { boot, contents, modes, send, testMachine } from "./support/machine.ts";
import { errorOf, rejection } from "./support/walk.ts";

describe.each(modes)("$name", ({ dialect, configOrder }) => {
  const options = { dialect, configOrder };
  const moved = async (more: Parameters<typeof testMachine>[1] = {}) => {
    const [source, target] = [testMachine([options]), testMachine([options], more)];
    boot(source);
    const { bytes } = await send(source, { between: () => source.devices[0]?.function.driver.work(2) });
    return { source, target, bytes };
  };

  it("routes vectors once the controller is loaded, and delivers once the machine runs", async () => {
    const { target, bytes } = await moved();
    await target.kernel.load(bytes);
    expect(target.log).toEqual(["hold", "load irqchip", "attach 1.0", "load last", "release"]);
    // The device has raised its vector while it was loaded: it waits, and is not lost.
    expect(target.delivered).toEqual([]);
    expect(target.devices[0]?.function.interrupts.pba[0]).toBe(1);
    target.kernel.resume();
    expect(target.log.slice(5)).toEqual(["resume", "signal 1.0"]);
    expect(target.delivered).toEqual(["1.0"]);
    target.devices[0]?.function.driver.work(1);
    expect(target.delivered).toEqual(["1.0", "1.0"]);
  });

  it("a controller that fails to load gets no route, and the machine's own are as they were", async () => {
    const { target, bytes } = await moved();
    boot(target);
    target.devices[0]?.function.configWrite(0x3c, 1, 0x33);
    const before = target.devices.map(contents);
    target.log.length = 0;
    target.failController = true;
    const error = await rejection(target.kernel.load(bytes));
    expect(target.devices.map(contents)).toEqual(before);
    expect([error.code, error.location.section]).toEqual(["DEVICE_FAILED", "irqchip/0"]);
    expect(target.log.filter((line) => /attach|detach|signal/.test(line))).toEqual([]);
    target.delivered.length = 0;
    target.devices[0]?.function.driver.work(1);
    expect(target.delivered).toEqual(["1.0"]);
  });

  it("what fails behind it takes everything back, routes and pending interrupts too", async () => {
    let fails = true;
    const { target, bytes } = await moved({
      failLast: () => {
        const now = fails;
        fails = false;
        return now;
      },
    });
    boot(target);
    target.devices[0]?.function.driver.work(7);
    const [jobs, driver] = [7n, target.devices[0]?.function.driver];
    const error = await rejection(target.kernel.load(bytes));
    expect([error.code, error.location.section]).toEqual(["DEVICE_FAILED", "last/0"]);
    expect(target.devices[0]?.function.driver).toBe(driver);
    expect([driver?.jobs, driver?.state]).toEqual([jobs, "RUNNING"]);
    target.delivered.length = 0;
    target.devices[0]?.function.driver.work(1);
    expect(target.delivered).toEqual(["1.0"]);
    // And the same stream still loads.
    await target.kernel.load(bytes);
    expect(target.devices[0]?.function.driver.jobs).toBe(6n);
  });

  it("a masked vector, and MSI-X that is not enabled, wait for the guest", async () => {
    const [source, target] = [testMachine([options]), testMachine([options])];
    boot(source);
    const own = source.devices[0]?.function;
    own?.msixWrite(12, 4, 1);
    own?.driver.work(1);
    expect(source.delivered).toEqual([]);
    await target.kernel.load((await send(source)).bytes);
    target.kernel.resume();
    expect([target.delivered, target.devices[0]?.function.interrupts.pba[0]]).toEqual([[], 1]);
    target.devices[0]?.function.msixWrite(12, 4, 0);
    expect([target.delivered, target.devices[0]?.function.interrupts.pba[0]]).toEqual([["1.0"], 0]);
    target.devices[0]?.function.configWrite(at.msix + 2, 2, 0xc000);
    target.devices[0]?.function.driver.work(1);
    expect(target.delivered).toEqual(["1.0"]);
    target.devices[0]?.function.configWrite(at.msix + 2, 2, 0x8000);
    expect(target.delivered).toEqual(["1.0", "1.0"]);
  });

  it("the pin of a function without MSI-X waits as well", async () => {
    const pin = { ...options, config: testConfig({ vectors: 0 }) };
    const [source, target] = [testMachine([pin]), testMachine([pin])];
    source.kernel.resume();
    source.devices[0]?.function.driver.work(1);
    expect(source.delivered).toEqual(["1.pin"]);
    await target.kernel.load((await send(source)).bytes);
    expect(target.delivered).toEqual([]);
    target.kernel.resume();
    expect(target.delivered).toEqual(["1.pin"]);
    target.devices[0]?.function.interrupts.lowerIntx();
    expect(target.devices[0]?.function.interrupts.irqState[0]).toBe(0);
  });
});

describe.each(modes)("$name", ({ dialect, configOrder }) => {
  it("the pin serves a function whose MSI-X the guest has not enabled yet, on either side", async () => {
    const options = { dialect, configOrder };
    const [source, target] = [testMachine([options]), testMachine([options])];
    source.kernel.resume();
    source.devices[0]?.function.driver.work(1);
    expect([source.delivered, source.devices[0]?.function.interrupts.pba[0]]).toEqual([["1.pin"], 0]);
    await target.kernel.load((await send(source)).bytes);
    expect(target.delivered).toEqual([]);
    target.kernel.resume();
    expect(target.delivered).toEqual(["1.pin"]);
  });
});

it("a vector that the function does not have is the driver's fault, and told at once", () => {
  for (const [vectors, wrong] of [
    [4, 4],
    [4, -1],
    [4, 0.5],
    [0, 1],
  ] as const) {
    const machine = testMachine([{ vector: wrong, config: testConfig({ vectors }) }]);
    machine.kernel.resume();
    const error = errorOf(() => machine.devices[0]?.function.driver.work(1));
    expect([error.code, error.found, machine.delivered]).toEqual(["VFIO_DRIVER", `vector ${wrong}`, []]);
  }
});

it("nothing goes out while it is held, even if the machine ran", () => {
  const machine = testMachine([{}]);
  boot(machine);
  const interrupts = machine.devices[0]?.function.interrupts;
  const undo = interrupts?.hold();
  interrupts?.raise(0);
  expect([machine.delivered, interrupts?.pba[0]]).toEqual([[], 1]);
  undo?.();
  interrupts?.deliver();
  expect([machine.delivered, interrupts?.pba[0]]).toEqual([["1.0"], 0]);
});

it("the rig sees a route without a controller, and an interrupt that nobody can take", async () => {
  const machine = testMachine([{}]);
  boot(machine);
  machine.kernel.machine.holdInterrupts?.(true);
  expect(() => machine.devices[0]?.function.interrupts.enable()).toThrow("the interrupt controller is not there");
  machine.kernel.machine.holdInterrupts?.(false);
  machine.devices[0]?.function.interrupts.enable();
  machine.kernel.machine.holdInterrupts?.(true);
  expect(() => machine.devices[0]?.function.driver.work(1)).toThrow("an interrupt that nobody could take");
});
