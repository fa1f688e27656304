// The machine: RAM, a hart that runs the guest, and a printer that numbers its lines. It knows nothing of tabs.
import { createKernel, type Kernel, MigrationError, u32, u64n, virtualClock, vmstate } from "@godwit/core";
import { barrierTracker, type RamOffer, ram, ramBlock } from "@godwit/ram-dirty-tracker";
import { boot, checksum, examine, type Registers, ramBytes, step } from "./guest.ts";
import type { Evidence } from "./words.ts";

const hart = vmstate({ name: "two-tabs-hart", version: 1, fields: { steps: u64n, chain: u32 } });
const printer = vmstate({ name: "two-tabs-printer", version: 1, fields: { lines: u32 } });

/** The guest prints a line after so many steps. */
const stepsPerLine = 1024;

export interface TabMachineInit {
  /** Each line that the guest prints, by its number. */
  print(line: number): void;
  /** Asked when a machine comes in: whether this printer has paper for what has been printed already. */
  hasPaper(): boolean;
  /** Lets it run, and stand. */
  running(isRunning: boolean): void;
}

export interface TabMachine {
  readonly kernel: Kernel;
  readonly ram: RamOffer;
  /** Runs the guest, unless it stands. */
  execute(steps: number): void;
  /** What it holds now, against what the guest must have done; takes a while. */
  evidence(): Evidence;
  /** What it held when a load had put it in place and it had not run yet. */
  readonly arrived: { readonly steps: number; readonly checksum: string } | undefined;
}

export function tabMachine(init: TabMachineInit): TabMachine {
  let memory: Uint8Array = new Uint8Array(ramBytes);
  boot(memory);
  const tracker = barrierTracker(ramBytes);
  const registers: Registers = { steps: 0, chain: 0 };
  let lines = 0;
  let isRunning = false;
  let isLoaded = false;
  let arrived: { readonly steps: number; readonly checksum: string } | undefined;
  const setRunning = (runs: boolean): void => {
    isRunning = runs;
    init.running(runs);
  };
  const kernel = createKernel({
    machineType: "two-tabs-1.0",
    clock: virtualClock(() => BigInt(Math.round(performance.now() * 1e6))),
    machine: {
      pause: () => setRunning(false),
      resume: () => setRunning(true),
      reset() {
        Object.assign(registers, { steps: 0, chain: 0 });
        lines = 0;
        boot(memory);
      },
    },
  });
  const offer = kernel.use(
    ram({
      blocks: [
        ramBlock({
          idstr: "two-tabs.ram",
          bytes: () => memory,
          adopt: (incoming) => {
            memory = incoming;
          },
          tracker,
          map: [{ gpa: 0, offset: 0, length: ramBytes }],
        }),
      ],
    }),
  );
  kernel.device(hart, {
    save: () => registers,
    load(state) {
      Object.assign(registers, state);
      isLoaded = true;
    },
    resumed() {
      if (isLoaded) arrived = { steps: registers.steps, checksum: checksum(memory) };
      isLoaded = false;
    },
  });
  kernel.device(printer, {
    save: () => ({ lines }),
    check(state) {
      if (init.hasPaper()) return undefined;
      throw new MigrationError("DEVICE_CHECK", "the printer is out of paper", {
        path: "lines",
        expected: "0",
        found: String(state.lines),
      });
    },
    load(state) {
      lines = state.lines;
    },
  });
  return {
    kernel,
    ram: offer,
    execute(steps) {
      if (!isRunning) return;
      const words = new Uint32Array(memory.buffer, memory.byteOffset, ramBytes / 4);
      for (let left = steps; left > 0; left--) {
        const page = step(registers, words) >>> tracker.pageShift;
        tracker.words[page >>> 5] = (tracker.words[page >>> 5] as number) | (1 << (page & 31));
        if (registers.steps % stepsPerLine === 0) init.print(++lines);
      }
    },
    evidence: () => ({
      steps: registers.steps,
      lines,
      checksum: checksum(memory),
      problems: examine(registers, memory),
    }),
    get arrived() {
      return arrived;
    },
  };
}
