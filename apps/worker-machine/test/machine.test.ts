// A machine whose CPU runs in another thread, saved while it runs: no instruction lost, repeated or torn.
import { describe, expect, it } from "vitest";
import { Hart } from "../src/cpu/hart.ts";
import { loadProgram, ramBytes } from "../src/guest/program.ts";
import { joined, progress, records, refusal, runTo, saved, sleep, stand } from "./support/drive.ts";
import { startMachine } from "./support/rig.ts";

/** What an unpaused hart in this thread holds after as many instructions. */
function unpaused(instret: number) {
  const ram = new Uint8Array(ramBytes);
  loadProgram(ram);
  const hart = new Hart(ram);
  hart.execute(instret);
  return { ram, registers: hart.registers };
}

describe("a machine with its CPU in a worker", () => {
  it("stops between two instructions, where its registers and its memory agree", async () => {
    const machine = await startMachine();
    machine.kernel.resume();
    await progress(machine, 5000);
    const registers = await stand(machine);
    expect(records(machine)).toBeGreaterThanOrEqual(5000);
    const before = machine.ram.slice();
    await sleep(20);
    expect(Buffer.compare(machine.ram, before)).toBe(0);
    const same = unpaused(registers.instret);
    expect(registers).toEqual(same.registers);
    expect(Buffer.compare(machine.ram, same.ram)).toBe(0);
  });

  it("is saved while it runs, goes on, and a second machine goes on from the save", async () => {
    const source = await startMachine();
    const target = await startMachine();
    source.kernel.resume();
    await progress(source, 20_000);
    const bytes = await saved(source.kernel);
    expect(source.kernel.clock.running).toBe(true);
    await progress(source, 10_000);

    const report = await target.kernel.load(bytes);
    expect(report.sections.map(({ idstr, phase }) => `${idstr} ${phase}`)).toEqual([
      "ram start",
      "ram end",
      "timer full",
      "worker-hart full",
    ]);
    const loaded = records(target);
    expect(loaded).toBeGreaterThanOrEqual(20_000);
    target.kernel.resume();
    await progress(target, 10_000);
    await stand(target);
    await stand(source);
    expect(records(target)).toBeGreaterThanOrEqual(loaded + 10_000);
    expect(records(source)).toBeGreaterThanOrEqual(loaded + 10_000);
  });

  it("after a thousand pauses is where an unpaused run is", async () => {
    const machine = await startMachine();
    const target = await startMachine();
    const stops = new Set<number>();
    let last = 0;
    for (let i = 1; i <= 1000; i++) {
      machine.kernel.resume();
      // Some runs are stopped at once, others come further.
      if (i % 3 === 0) await sleep(i % 2);
      const { instret, pc } = await stand(machine);
      expect(instret).toBeGreaterThan(last);
      last = instret;
      stops.add(pc);
      if (i % 50 === 0) {
        machine.kernel.resume();
        await target.kernel.load(await saved(machine.kernel));
        records(target);
      }
    }
    // All over the loop, not at some convenient instruction only.
    expect(stops.size).toBeGreaterThan(12);
    await stand(machine);
    const end = machine.cpu.registers.instret + 100_003;
    const registers = await runTo(machine, end);
    expect(registers.instret).toBe(end);
    records(machine);
    const same = unpaused(end);
    expect(registers).toEqual(same.registers);
    expect(Buffer.compare(machine.ram, same.ram)).toBe(0);
  });

  it("has equal bytes for equal state, whatever happened on the way", async () => {
    const frozen = { hostNow: () => 0n };
    const straight = await startMachine(frozen);
    await runTo(straight, 300_007);
    const paused = await startMachine(frozen);
    for (const instret of [1, 3, 50_000, 50_001, 222_222]) await runTo(paused, instret);
    const other = await startMachine(frozen);
    await other.kernel.load(await saved(paused.kernel));
    await runTo(other, 300_007);
    expect(Buffer.compare(await saved(straight.kernel), await saved(other.kernel))).toBe(0);
  });

  it("is sent while it dirties its memory, page after page", async () => {
    const source = await startMachine();
    const target = await startMachine();
    source.kernel.resume();
    await progress(source, 1000);
    const attempt = source.kernel.outgoing();
    const chunks: Uint8Array[] = [];
    const take = (part: Iterable<Uint8Array>) => {
      for (const chunk of part) chunks.push(chunk.slice());
    };
    try {
      take(attempt.setup());
      for (let round = 0; round < 5; round++) {
        expect(attempt.pending(true).mustPrecopyBytes + attempt.pending(false).canPostcopyBytes).toBeGreaterThan(0);
        take(attempt.iterate(Number.MAX_SAFE_INTEGER));
        await progress(source, 2000);
      }
      await stand(source);
      take(attempt.complete());
    } finally {
      attempt.end(true);
    }
    await target.kernel.load(joined(chunks));
    expect(records(target)).toBe(records(source));
    expect(Buffer.compare(target.ram, source.ram)).toBe(0);
    expect(target.cpu.registers).toEqual(source.cpu.registers);
    target.kernel.resume();
    await progress(target, 1000);
    await stand(target);
    records(target);
  });

  it("rewinds to a snapshot, taken and put back while it stands", async () => {
    const machine = await startMachine();
    machine.kernel.resume();
    await progress(machine, 1000);
    await stand(machine);
    const then = records(machine);
    const slot = machine.kernel.snapshot();
    machine.kernel.resume();
    await progress(machine, 5000);
    await stand(machine);
    expect(records(machine)).toBeGreaterThanOrEqual(then + 5000);
    machine.kernel.restore(slot);
    expect(records(machine)).toBe(then);
    machine.kernel.resume();
    await progress(machine, 1000);
    await stand(machine);
    expect(records(machine)).toBeGreaterThanOrEqual(then + 1000);
  });

  it("has no instant while it runs: a snapshot without quiesce is refused, and the CPU runs on", async () => {
    const machine = await startMachine();
    machine.kernel.resume();
    await progress(machine, 100);
    const error = await refusal(() => machine.kernel.snapshot());
    expect([error.code, error.location.section]).toEqual(["DEVICE_FAILED", "worker-hart/0"]);
    expect(String(error.cause)).toContain("before quiesce has ended");
    await progress(machine, 100);
    await stand(machine);
    records(machine);
  });

  it("is reset while it stands", async () => {
    const machine = await startMachine();
    await runTo(machine, 100_000);
    machine.kernel.machine.reset();
    const registers = await runTo(machine, 4321);
    const same = unpaused(4321);
    expect(registers).toEqual(same.registers);
    expect(Buffer.compare(machine.ram, same.ram)).toBe(0);
  });

  it("that has halted stays so where it is loaded", async () => {
    const source = await startMachine();
    // The first instruction of the record becomes EBREAK.
    new DataView(source.ram.buffer).setInt32(4 * 7, 0x0010_0073, true);
    const halted = await runTo(source, 1_000_000);
    expect(halted).toMatchObject({ pc: 28, instret: 7, halted: true, cause: 3 });
    const target = await startMachine();
    await target.kernel.load(await saved(source.kernel));
    expect(target.cpu.registers).toEqual(halted);
    target.kernel.resume();
    expect(await stand(target)).toEqual(halted);
  });
});
