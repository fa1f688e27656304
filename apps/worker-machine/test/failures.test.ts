// What goes wrong between the machine and its worker: nothing hangs, and what still can run goes on.
import { type DeviceInit, isMigrationError, u8, vmstate } from "@godwit/core";
import { describe, expect, it } from "vitest";
import type { FromWorker, WorkerPort } from "../src/cpu/messages.ts";
import type { WorkerMachine } from "../src/machine/machine.ts";
import { progress, records, refusal, runTo, saved, stand } from "./support/drive.ts";
import { startMachine } from "./support/rig.ts";
import { missingWorker, startWorker } from "./support/worker.ts";

const neighbour = vmstate({ name: "neighbour", version: 1, fields: { x: u8 } });

/** A second device beside the CPU; `waits` is what it does of its own while others wait. */
function addNeighbour({ kernel }: WorkerMachine, waits: Pick<DeviceInit<{ x: number }>, "quiesce" | "ready"> = {}) {
  const own = { x: 1, resumed: 0 };
  kernel.device(neighbour, {
    save: () => own,
    load: ({ x }) => {
      own.x = x;
    },
    resumed: () => {
      own.resumed++;
    },
    ...waits,
  });
  return own;
}

/** What a device's own failure says, whether it comes as it is or as the cause of the kernel's. */
async function failure(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "did not fail",
    (error: unknown) => String(isMigrationError(error) ? (error.cause ?? error) : error),
  );
}

/** A worker's port whose answers can be kept back. */
function muffled(port: WorkerPort) {
  const kept: FromWorker[] = [];
  let listener: (message: FromWorker) => void = () => {};
  let isMuffled = false;
  return {
    port: {
      ...port,
      onMessage(own) {
        listener = own;
        port.onMessage((message) => (isMuffled ? kept.push(message) : own(message)));
      },
    } satisfies WorkerPort,
    muffle(): void {
      isMuffled = true;
    },
    release(): void {
      isMuffled = false;
      for (const message of kept.splice(0)) listener(message);
    },
  };
}

describe("a load that fails", () => {
  it("for its stream leaves the running CPU alone", async () => {
    const machine = await startMachine();
    await runTo(machine, 100_000);
    const good = await saved(machine.kernel);
    machine.kernel.resume();
    await progress(machine, 1000);
    expect((await refusal(() => machine.kernel.load(good.slice(0, -100)))).code).toBe("STREAM_TRUNCATED");
    await progress(machine, 1000);
    await stand(machine);
    expect(records(machine)).toBeGreaterThan(100_000 / 24 + 1500);
  });

  it("for a register that no hart can have names it", async () => {
    const machine = await startMachine();
    const bytes = await saved(machine.kernel);
    const name = Buffer.from("worker-hart");
    // Behind the name stand the instance and the version.
    const at = Buffer.from(bytes).indexOf(name) + name.length + 8;
    bytes[at] = 0x80;
    const error = await refusal(() => machine.kernel.load(bytes));
    expect([error.code, error.location.section, error.location.path, error.location.offset]).toEqual([
      "DEVICE_CHECK",
      "worker-hart/0",
      "x[0]",
      at,
    ]);
  });

  it("for a hart that is neither halted nor not is refused, too", async () => {
    const machine = await startMachine();
    const bytes = await saved(machine.kernel);
    const name = Buffer.from("worker-hart");
    // Behind the version: 32 registers, pc, instret.
    const at = Buffer.from(bytes).indexOf(name) + name.length + 8 + 32 * 4 + 4 + 8;
    expect(bytes[at]).toBe(0);
    bytes[at] = 2;
    const error = await refusal(() => machine.kernel.load(bytes));
    expect([error.code, error.location.path, error.location.offset, error.found]).toEqual([
      "DEVICE_CHECK",
      "halted",
      at,
      "2",
    ]);
  });

  it("in a device that does not get ready takes registers and memory back, and the CPU goes on", async () => {
    const source = await startMachine();
    addNeighbour(source);
    await runTo(source, 500_000);
    const bytes = await saved(source.kernel);
    const target = await startMachine();
    const own = addNeighbour(target, { ready: () => Promise.reject(new Error("cold")) });
    target.kernel.resume();
    await progress(target, 1000);
    const error = await refusal(() => target.kernel.load(bytes));
    expect([error.code, error.location.section, error.found]).toEqual(["DEVICE_FAILED", "neighbour/0", "cold"]);
    expect([target.kernel.clock.running, own.resumed]).toEqual([true, 2]);
    await progress(target, 1000);
    await stand(target);
    expect(records(target)).toBeGreaterThanOrEqual(2000);
  });
});

describe("a stop that comes to nothing", () => {
  it("because another device does not quiesce: the CPU goes on, nothing is lost", async () => {
    const machine = await startMachine();
    const own = addNeighbour(machine, { quiesce: () => Promise.reject(new Error("a request hangs")) });
    machine.kernel.resume();
    await progress(machine, 1000);
    for (let i = 0; i < 100; i++) expect(await failure(saved(machine.kernel))).toContain("a request hangs");
    expect(own.resumed).toBe(101);
    await progress(machine, 1000);
    await machine.cpu.stop();
    records(machine);
  });

  it("because the machine is resumed first: whoever waits for the stop is told that there is none", async () => {
    const machine = await startMachine();
    machine.kernel.resume();
    await progress(machine, 1000);
    const quiesced = failure(machine.kernel.quiesce());
    machine.kernel.resume();
    expect(await quiesced).toBe("Error: the CPU was resumed before it had stopped");
    await progress(machine, 1000);
    await stand(machine);
    records(machine);
  });

  it("because the worker is late: the machine goes on, the CPU as soon as it answers, and the next save works", async () => {
    const worker = muffled(await startWorker());
    const machine = await startMachine({ worker: worker.port, timeoutMs: 50 });
    const own = addNeighbour(machine);
    machine.kernel.resume();
    await progress(machine, 1000);
    worker.muffle();
    expect(await failure(saved(machine.kernel))).toBe("Error: the CPU's worker did not stop within 50 ms");
    expect([machine.kernel.clock.running, own.resumed]).toEqual([true, 2]);
    worker.release();
    await progress(machine, 1000);
    const target = await startMachine();
    addNeighbour(target);
    await target.kernel.load(await saved(machine.kernel));
    expect(records(target)).toBeGreaterThanOrEqual(2000);
  });
});

describe("a worker that is gone", () => {
  it("while it ran: a save fails and says so, and the other devices go on", async () => {
    const worker = await startWorker();
    const machine = await startMachine({ worker, timeoutMs: 300 });
    const own = addNeighbour(machine);
    machine.kernel.resume();
    await progress(machine, 1000);
    // Behind the machine's back. A web worker that was terminated tells nobody; Node's thread does.
    worker.terminate();
    const told = await failure(saved(machine.kernel));
    expect(told).toMatch(/^Error: the CPU's worker (did not stop within 300 ms|is gone and cannot stop: .+)$/);
    expect([machine.kernel.clock.running, own.resumed]).toEqual([true, 2]);
    expect(await failure(machine.kernel.quiesce())).toMatch(/^Error: the CPU's worker /);
  });

  it("while it ran, by its machine: whoever waits is told at once", async () => {
    const machine = await startMachine({ timeoutMs: 60_000 });
    machine.kernel.resume();
    const reached = failure(machine.cpu.reach(Number.MAX_SAFE_INTEGER, 60_000));
    machine.close();
    const reason = "terminated by its machine";
    expect(await reached).toBe(`Error: the CPU's worker is gone and cannot reach its limit: ${reason}`);
    expect(await failure(saved(machine.kernel))).toBe(`Error: the CPU's worker is gone and cannot stop: ${reason}`);
  });

  it("while it stood: everything is here, so the machine is saved, and another goes on", async () => {
    const machine = await startMachine();
    await runTo(machine, 123_456);
    machine.close();
    const target = await startMachine();
    await target.kernel.load(await saved(machine.kernel));
    const before = records(target);
    expect(target.cpu.registers.instret).toBe(123_456);
    target.kernel.resume();
    await progress(target, 100);
    await stand(target);
    expect(records(target)).toBeGreaterThanOrEqual(before + 100);
  });

  it("at the destination: the load fails in `ready`, and the machine is as before", async () => {
    const source = await startMachine();
    await runTo(source, 100_000);
    const bytes = await saved(source.kernel);
    const worker = await startWorker();
    const target = await startMachine({ worker, timeoutMs: 300 });
    await runTo(target, 2000);
    const { registers } = target.cpu;
    const memory = target.ram.slice();
    worker.terminate();
    const error = await refusal(() => target.kernel.load(bytes));
    expect([error.code, error.location.section]).toEqual(["DEVICE_FAILED", "worker-hart/0"]);
    expect(error.found).toMatch(/^the CPU's worker (did not|is gone and cannot) take its registers/);
    expect(target.cpu.registers).toEqual(registers);
    expect(Buffer.compare(target.ram, memory)).toBe(0);
  });

  it("because it threw: what it threw is told", async () => {
    const worker = await startWorker();
    const machine = await startMachine({ worker, timeoutMs: 20_000 });
    worker.postMessage({ type: "load", id: 1, registers: null as never });
    expect(await failure(machine.cpu.give().then(() => machine.cpu.reach(10, 20_000)))).toMatch(
      /^Error: the CPU's worker is gone and cannot reach its limit: [\s\S]*null/,
    );
  });

  it("because it never came: its module does not exist", async () => {
    const machine = await startMachine({ worker: missingWorker(), timeoutMs: 20_000 });
    machine.kernel.resume();
    // Whether the news comes before the run or during it is up to the runtime: either way nothing runs, and who waits is told.
    expect(await failure(machine.cpu.reach(10, 20_000))).toMatch(
      /^Error: the CPU's worker is gone and cannot reach its limit: .+/,
    );
  });
});
