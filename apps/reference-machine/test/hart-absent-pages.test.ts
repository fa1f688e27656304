import { isMigrationError, MigrationError } from "@godwit/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeImage } from "../src/guest/load-image.ts";
import { Hart } from "../src/hart/hart.ts";
import type { HartState } from "../src/hart/state.ts";
import { workoutLines } from "./programs/images.ts";
import { addi, lb, lbu, lh, lhu, lui, lw, sb, sh, sw } from "./support/assembler.ts";
import { PORT, RAM } from "./support/rig.ts";

const pageBytes = 4096;
const pages = 32;

/** A hart whose RAM lies elsewhere, page by page, until it is given. */
interface Incomplete {
  readonly hart: Hart;
  readonly ram: Uint8Array;
  readonly dirty: Uint32Array;
  /** What goes to and comes from the bus, in order. */
  readonly log: number[];
  done: boolean;
  /** What the port's register throws at its next accesses. */
  refuse: (Error | undefined)[];
  give(page: number): void;
}

function incomplete(content: Uint8Array, there: readonly number[] = []): Incomplete {
  const ram = new Uint8Array(pages * pageBytes);
  const absent = Uint32Array.of(0xffff_ffff);
  const dirty = new Uint32Array(1);
  const touch = (): void => {
    const error = machine.refuse.shift();
    if (error !== undefined) throw error;
  };
  const machine: Incomplete = {
    ram,
    dirty,
    log: [],
    done: false,
    refuse: [],
    hart: new Hart({
      hartId: 0,
      absent: () => (absent[0] === 0 ? undefined : absent),
      bus: {
        mmioRead(address) {
          touch();
          machine.log.push(address);
          return 0xf0f0_f0f0;
        },
        mmioWrite(address, _size, value) {
          touch();
          machine.log.push(value);
          if (address === PORT + 4) {
            machine.done = true;
            machine.hart.stop();
          }
          if (address === PORT + 8) machine.hart.setInterruptLine("timer", false);
          return true;
        },
      },
    }),
    give(page) {
      ram.set(content.subarray(page * pageBytes, (page + 1) * pageBytes), page * pageBytes);
      absent[0] = (absent[0] as number) & ~(1 << page);
    },
  };
  machine.hart.attachRam(RAM, ram, dirty);
  for (const page of there) machine.give(page);
  return machine;
}

/** Words at the beginning of RAM, and one number all over its last page. */
function contentOf(program: readonly number[]): Uint8Array {
  const content = new Uint8Array(pages * pageBytes);
  content.set(new Uint8Array(Uint32Array.from(program).buffer));
  content.fill(0x9c, (pages - 1) * pageBytes);
  return content;
}

const last = RAM + (pages - 1) * pageBytes;
const x = { base: 5, value: 6, result: 7 } as const;

describe("an instruction whose page is absent", () => {
  const accesses: readonly [name: string, word: number][] = [
    ["lb", lb(x.result, x.base, 3)],
    ["lbu", lbu(x.result, x.base, 3)],
    ["lh", lh(x.result, x.base, 2)],
    ["lhu", lhu(x.result, x.base, 2)],
    ["lw", lw(x.result, x.base, 4)],
    ["sb", sb(x.value, x.base, 3)],
    ["sh", sh(x.value, x.base, 2)],
    ["sw", sw(x.value, x.base, 4)],
  ];

  it.each(accesses)("%s changes nothing, and is begun anew", (_, word) => {
    const program = [lui(x.base, last >>> 12), addi(x.value, 0, 0x5a5), word, addi(1, 1, 1)];
    const content = contentOf(program);
    const { hart, give, ram, dirty } = incomplete(content, [0]);
    hart.reset(RAM, 0, 0);
    expect(hart.run(100)).toBe(2);
    expect((hart.missed as number) & ~(pageBytes - 1)).toBe(last);
    const before = hart.save();
    expect(before).toMatchObject({ pc: RAM + 8, minstret: 2n, mcycle: 2n });
    // As often as it is asked.
    for (let again = 0; again < 3; again++) {
      expect(hart.run(100)).toBe(0);
      expect(hart.save()).toEqual(before);
      expect(dirty[0]).toBe(0);
      expect(ram.subarray((pages - 1) * pageBytes).every((byte) => byte === 0)).toBe(true);
    }
    give(pages - 1);
    expect(hart.run(2)).toBe(2);
    expect(hart.missed).toBe(undefined);

    const whole = incomplete(content, [...Array(pages).keys()]);
    whole.hart.reset(RAM, 0, 0);
    expect(whole.hart.run(4)).toBe(4);
    expect(hart.save()).toEqual(whole.hart.save());
    expect(hart.save().x[1]).toBe(1);
    expect(Buffer.compare(ram.subarray((pages - 1) * pageBytes), whole.ram.subarray((pages - 1) * pageBytes))).toBe(0);
    expect(dirty).toEqual(whole.dirty);
  });

  it("is not fetched", () => {
    const { hart, give } = incomplete(contentOf([addi(1, 1, 1), addi(1, 1, 1)]), [1]);
    hart.reset(RAM, 0, 0);
    expect(hart.run(5)).toBe(0);
    expect(hart.missed).toBe(RAM);
    expect(hart.save()).toMatchObject({ pc: RAM, minstret: 0n, mcause: 0 });
    give(0);
    expect(hart.run(2)).toBe(2);
    expect(hart.save().x[1]).toBe(2);
  });

  it("of an interrupt's handler waits, with the interrupt taken once", () => {
    const { hart, give } = incomplete(contentOf([addi(1, 1, 1)]), [0]);
    hart.reset(RAM, 0, 0);
    hart.load({ ...hart.save(), mtvec: last, mstatus: 0x8, mie: 1 << 7 });
    hart.setInterruptLine("timer", true);
    for (let again = 0; again < 2; again++) {
      expect(hart.run(5)).toBe(0);
      expect(hart.missed).toBe(last);
      expect(hart.save()).toMatchObject({ pc: last, mepc: RAM, mcause: 0x8000_0007, minstret: 0n });
    }
    give(pages - 1);
    // What stands there is no instruction.
    expect(hart.run(1)).toBe(1);
    expect(hart.save()).toMatchObject({ mcause: 2, mepc: last });
  });

  it("is a fault, not a wait, where no RAM is or the address is misaligned", () => {
    const program = [lui(x.base, last >>> 12), lw(x.result, x.base, 2)];
    const { hart } = incomplete(contentOf(program), [0]);
    hart.reset(RAM, 0, 0);
    hart.run(2);
    expect(hart.missed).toBe(undefined);
    expect(hart.save()).toMatchObject({ mcause: 4, mtval: last + 2 });
  });
});

describe("a register whose device needs a page that is absent", () => {
  const absent = new MigrationError("PAGE_ABSENT", "the page has not come yet", { path: "ram", offset: 4096 });
  const port = [lui(x.base, PORT >>> 12), addi(x.value, 0, 0x77)];

  it("is written again, and hears of it once", () => {
    const machine = incomplete(contentOf([...port, sw(x.value, x.base, 0), addi(1, 1, 1)]), [0]);
    const { hart } = machine;
    hart.reset(RAM, 0, 0);
    machine.refuse = [absent, absent];
    expect(hart.run(10)).toBe(2);
    expect(hart.missed).toBe(absent);
    const before = hart.save();
    expect(hart.run(10)).toBe(0);
    expect(hart.save()).toEqual(before);
    expect(hart.run(2)).toBe(2);
    expect(machine.log).toEqual([0x77]);
    expect(hart.save()).toMatchObject({ pc: RAM + 16, minstret: 4n });
  });

  it("is read again, also when all of the hart's own pages are there", () => {
    const machine = incomplete(contentOf([...port, lbu(x.result, x.base, 0)]), [...Array(pages).keys()]);
    const { hart } = machine;
    hart.reset(RAM, 0, 0);
    machine.refuse = [absent];
    expect(hart.run(3)).toBe(2);
    expect(hart.missed).toBe(absent);
    expect(hart.run(1)).toBe(1);
    expect(machine.log).toEqual([PORT]);
    expect(hart.save().x[x.result]).toBe(0xf0);
  });

  it("lets every other error through", () => {
    const machine = incomplete(contentOf([...port, sw(x.value, x.base, 0)]), [0]);
    machine.hart.reset(RAM, 0, 0);
    machine.refuse = [new MigrationError("MEMORY_UNMAPPED", "no memory")];
    let thrown: unknown;
    try {
      machine.hart.run(3);
    } catch (error) {
      thrown = error;
    }
    expect(isMigrationError(thrown) && thrown.code).toBe("MEMORY_UNMAPPED");
  });
});

describe("a compiled program whose pages come one by one", () => {
  const timerSteps = 4999;

  interface Outcome {
    readonly state: HartState;
    readonly log: readonly number[];
    readonly ram: Uint8Array;
    readonly waits: number;
  }

  /** `unasked`: a page that comes beside each that is waited for; of those that are there already nothing is heard. */
  function run(there: readonly number[], unasked: (missed: number) => number): Outcome {
    const content = new Uint8Array(pages * pageBytes);
    content.set(decodeImage(workoutLines));
    const machine = incomplete(content, there);
    const { hart } = machine;
    hart.reset(RAM, 99, 1);
    const given = new Set(there);
    const give = (page: number): void => {
      if (!given.has(page)) machine.give(page);
      given.add(page);
    };
    let waits = 0;
    for (let total = 0, timer = timerSteps; !machine.done; ) {
      if (hart.idle) total = timer;
      if (total === timer) {
        hart.setInterruptLine("timer", true);
        timer += timerSteps;
      }
      total += hart.run(timer - total);
      if (hart.missed === undefined) continue;
      waits++;
      give(((hart.missed as number) - RAM) >>> 12);
      give(unasked(waits));
    }
    for (let page = 0; page < pages; page++) give(page);
    return { state: hart.save(), log: machine.log, ram: machine.ram, waits };
  }

  it("does the same as with all of them there", () => {
    const whole = run([...Array(pages).keys()], () => 0);
    expect(whole.waits).toBe(0);
    let waits = 0;
    fc.assert(
      fc.property(fc.array(fc.nat(pages - 1), { minLength: 1, maxLength: pages }), (order) => {
        const outcome = run([], (wait) => order[wait % order.length] as number);
        expect(outcome.log).toEqual(whole.log);
        expect(outcome.state).toEqual(whole.state);
        expect(Buffer.compare(outcome.ram, whole.ram)).toBe(0);
        waits += outcome.waits;
      }),
      { seed: 6, numRuns: 20 },
    );
    expect(waits).toBeGreaterThan(40);
  });
});
