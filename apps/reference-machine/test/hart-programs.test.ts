import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { expectedBlock, expectedPacket } from "../src/evidence.ts";
import { decodeImage } from "../src/guest/load-image.ts";
import { Hart } from "../src/hart/hart.ts";
import type { HartState } from "../src/hart/state.ts";
import { evidenceLines, workoutLines } from "./programs/images.ts";
import { PORT, RAM } from "./support/rig.ts";

const RAM_BYTES = 128 * 1024;
/** Steps between two timer interrupts; a prime, so that they fall on ever different instructions. */
const TIMER_STEPS = 4999;

/** Everything that a machine around the workout program holds. */
interface Machine {
  hart: Hart;
  ram: Uint8Array;
  dirty: Uint32Array;
  written: number[];
  line: { up: boolean };
  done: boolean;
}

function makeMachine(ram: Uint8Array): Machine {
  const machine: Machine = {
    ram,
    dirty: new Uint32Array(1),
    written: [],
    line: { up: false },
    done: false,
    hart: new Hart({
      hartId: 0,
      bus: {
        mmioRead: () => undefined,
        mmioWrite(address, _size, value) {
          if (address === PORT) machine.written.push(value);
          if (address === PORT + 4) {
            machine.done = true;
            machine.hart.stop();
          }
          if (address === PORT + 8) machine.hart.setInterruptLine("timer", false);
          return address >= PORT && address <= PORT + 8;
        },
      },
    }),
  };
  machine.hart.attachRam(RAM, ram, machine.dirty);
  return machine;
}

function bootWorkout(seed: number, rounds: number): Machine {
  const ram = new Uint8Array(RAM_BYTES);
  ram.set(decodeImage(workoutLines));
  const machine = makeMachine(ram);
  machine.hart.reset(RAM, seed, rounds);
  return machine;
}

/** A machine that goes on from another's state and a copy of its RAM, as a destination does. */
function migrate(source: Machine): Machine {
  const destination = makeMachine(source.ram.slice());
  destination.hart.load(source.hart.save());
  destination.written.push(...source.written);
  destination.done = source.done;
  return destination;
}

interface Outcome {
  state: HartState;
  written: number[];
  ram: Uint8Array;
  cuts: number;
}

/** Runs to the end; `nextCut` gives the number of steps to the next migration. */
function runToEnd(boot: Machine, nextCut: () => number): Outcome {
  let machine = boot;
  let total = 0;
  let cut = nextCut();
  let timer = TIMER_STEPS;
  let cuts = 0;
  while (!machine.done) {
    // A waiting hart takes no steps: its time passes at once.
    if (machine.hart.idle) total = timer;
    if (total === timer) {
      machine.hart.setInterruptLine("timer", true);
      timer += TIMER_STEPS;
    }
    total += machine.hart.run(Math.min(cut, timer) - total);
    if (total >= cut) {
      machine = migrate(machine);
      cut = total + nextCut();
      cuts++;
    }
  }
  return { state: machine.hart.save(), written: machine.written, ram: machine.ram, cuts };
}

function crc32(bytes: Uint8Array): number {
  let value = ~0;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (0xedb8_8320 & -(value & 1));
  }
  return ~value >>> 0;
}

/** The sorted numbers' checksum of the program's first round. */
function firstResult(seed: number): number {
  const numbers = new Uint32Array(512);
  let word = seed | 0;
  for (let index = 0; index < numbers.length; index++) {
    word ^= word << 13;
    word ^= word >>> 17;
    word ^= word << 5;
    numbers[index] = word;
  }
  numbers.sort();
  return crc32(new Uint8Array(numbers.buffer));
}

describe("a compiled program", () => {
  it("computes what the same algorithms give here", () => {
    const outcome = runToEnd(bootWorkout(0x1234_5678, 1), () => Number.MAX_SAFE_INTEGER);
    expect(outcome.written[0]).toBe(firstResult(0x1234_5678));
    expect(outcome.written[5]).toBe(55);
    expect(outcome.written).toHaveLength(7);
    expect(outcome.written[6]).toBeGreaterThan(10);
  });

  it("goes on identically wherever it is cut", () => {
    const whole = runToEnd(bootWorkout(99, 2), () => Number.MAX_SAFE_INTEGER);
    let cuts = 0;
    fc.assert(
      fc.property(fc.infiniteStream(fc.integer({ min: 1, max: 20_000 })), (steps) => {
        const lengths = steps[Symbol.iterator]();
        const outcome = runToEnd(bootWorkout(99, 2), () => lengths.next().value as number);
        expect(outcome.written).toEqual(whole.written);
        expect(outcome.state).toEqual(whole.state);
        expect(outcome.ram.every((byte, index) => byte === whole.ram[index])).toBe(true);
        cuts += outcome.cuts;
      }),
      { seed: 2, numRuns: 12 },
    );
    expect(cuts).toBeGreaterThan(100);
  });

  it("goes on identically when it is cut after every single step", () => {
    const boot = (): Machine => bootWorkout(7, 1);
    const end = 6000;
    const whole = boot();
    whole.hart.run(end);
    let machine = boot();
    for (let step = 0; step < end; step++) {
      expect(machine.hart.run(1)).toBe(1);
      const next = makeMachine(machine.ram);
      next.hart.load(machine.hart.save());
      machine = next;
    }
    expect(machine.hart.save()).toEqual(whole.hart.save());
    expect(machine.ram.every((byte, index) => byte === whole.ram[index])).toBe(true);
  });

  it("marks every page that it changes", () => {
    const machine = bootWorkout(5, 1);
    const before = machine.ram.slice();
    runToEnd(machine, () => Number.MAX_SAFE_INTEGER);
    const changed = new Uint32Array(1);
    for (let at = 0; at < RAM_BYTES; at++) {
      if (machine.ram[at] !== before[at]) changed[0] = (changed[0] as number) | (1 << (at >>> 12));
    }
    expect(changed[0]).not.toBe(0);
    expect((machine.dirty[0] as number) & (changed[0] as number)).toBe(changed[0] as number | 0);
  });
});

describe("the guest's evidence", () => {
  /** Runs the guest's own code; gives its block, its frame and the page that it marked. */
  function make(number: number, seed: number): { block: Uint8Array; frame: Uint8Array; page: DataView } {
    const machine = makeMachine(new Uint8Array(RAM_BYTES));
    machine.ram.set(decodeImage(evidenceLines));
    machine.hart.reset(RAM, number, seed);
    machine.hart.run(1_000_000);
    expect(machine.done).toBe(true);
    const bytes = new Uint8Array(Uint32Array.from(machine.written).buffer);
    return {
      block: bytes.slice(0, 512),
      frame: bytes.slice(512, 512 + 158),
      page: new DataView(machine.ram.buffer, 0x1_e000, 4096),
    };
  }

  it("is what the host expects", () => {
    const mac = Uint8Array.of(0x52, 0x54, 0x00, 0x12, 0x34, 0x56);
    for (const [number, seed] of [
      [1, 0],
      [2, 0xdead_beef],
      [0xffff_ffff, 1],
      // xorshift32 would stay at zero from here
      [1, 0x9e37_79b9],
      [1, 0x85eb_ca6b],
    ] as const) {
      const made = make(number, seed);
      expect([...made.block]).toEqual([...expectedBlock(number, seed)]);
      expect([...made.frame]).toEqual([...expectedPacket(number, seed, mac)]);
      expect([made.page.getUint32(0, true), made.page.getUint32(4, true)]).toEqual([RAM + 0x1_e000, seed]);
    }
  });
});
