import { describe, expect, it } from "vitest";
import { type HartState, hartStateProblem } from "../src/hart/state.ts";
import * as asm from "./support/assembler.ts";
import { CSR } from "./support/assembler.ts";
import { HANDLER, makeRig, PORT, RAM, type Rig } from "./support/rig.ts";

const MIE = 1 << 3;
const MPIE = 1 << 7;
const MPP = 3 << 11;

/** A rig with the trap vector at HANDLER and the given registers. */
function trapRig(words: readonly number[], registers: Readonly<Record<number, number>> = {}): Rig {
  const rig = makeRig();
  rig.put(0, words);
  rig.put(HANDLER - RAM, [asm.mret]);
  const state = { ...rig.hart.save(), mtvec: HANDLER, mstatus: MIE | MPP };
  for (const [register, value] of Object.entries(registers)) state.x[Number(register)] = value;
  rig.hart.load(state);
  return rig;
}

function change(rig: Rig, fields: Partial<HartState>): void {
  rig.hart.load({ ...rig.hart.save(), ...fields });
}

const illegalWords: Record<string, number> = {
  "all zeros": 0,
  "all ones": 0xffff_ffff,
  "a compressed instruction": 0x0001_4501,
  "load funct3 3": 0x0000_3083,
  "load funct3 6": 0x0000_6083,
  "store funct3 3": 0x0000_3023,
  "branch funct3 2": 0x0000_2063,
  "jalr funct3 1": 0x0000_1067,
  "slli with a 6-bit amount": 0x0200_1093,
  "slli with bit 30": 0x4000_1093,
  "srai with bit 31": 0xc000_5093,
  "add with bit 26": 0x0400_00b3,
  "mul with bit 30": 0x4200_00b3,
  "and with bit 30": 0x4000_70b3,
  "fence funct3 2": 0x0000_200f,
  "an atomic": 0x1000_202f,
  sret: 0x1020_0073,
  "mret with a register": 0x3020_00f3,
  "system funct3 4": 0x3000_4073,
  "a CSR that does not exist": asm.csrrs(1, 0x180, 0),
  "mcounteren without user mode": asm.csrrs(1, 0x306, 0),
  "a write to a read-only CSR": asm.csrrw(1, CSR.mhartid, 0),
  "a set in a read-only CSR": asm.csrrsi(1, CSR.mvendorid, 1),
};

describe("exceptions", () => {
  for (const [name, word] of Object.entries(illegalWords)) {
    it(`illegal instruction: ${name}`, () => {
      const rig = trapRig([word], { 1: 77 });
      rig.hart.run(1);
      const state = rig.hart.save();
      expect(state).toMatchObject({ pc: HANDLER, mcause: 2, mepc: RAM, mtval: word, mstatus: MPIE | MPP });
      expect([state.x[1], state.mcycle, state.minstret]).toEqual([77, 1n, 0n]);
    });
  }

  const end = RAM + 64 * 1024;
  const accesses: [string, number, Record<number, number>, { mcause: number; mtval: number }][] = [
    ["ecall", asm.ecall, {}, { mcause: 11, mtval: 0 }],
    ["ebreak", asm.ebreak, {}, { mcause: 3, mtval: RAM }],
    ["lw at 2", asm.lw(1, 2, 0), { 2: RAM + 2 }, { mcause: 4, mtval: RAM + 2 }],
    ["lh at 1", asm.lh(1, 2, 0), { 2: RAM + 1 }, { mcause: 4, mtval: RAM + 1 }],
    ["sw at 3", asm.sw(1, 2, 0), { 2: RAM + 3 }, { mcause: 6, mtval: RAM + 3 }],
    ["sh at 1", asm.sh(1, 2, 0), { 2: RAM + 1 }, { mcause: 6, mtval: RAM + 1 }],
    ["lw at 2 of a device", asm.lw(1, 2, 0), { 2: PORT + 2 }, { mcause: 4, mtval: PORT + 2 }],
    ["lw beyond RAM", asm.lw(1, 2, 0), { 2: end }, { mcause: 5, mtval: end }],
    ["lb below RAM", asm.lb(1, 2, -1), { 2: RAM }, { mcause: 5, mtval: RAM - 1 }],
    ["sw beyond RAM", asm.sw(1, 2, 0), { 2: end }, { mcause: 7, mtval: end }],
    ["sb at the top of memory", asm.sb(1, 2, -1), { 2: 0 }, { mcause: 7, mtval: 0xffff_ffff }],
    ["jal to 2", asm.jal(1, 6), {}, { mcause: 0, mtval: RAM + 6 }],
    ["jalr to 2", asm.jalr(1, 2, 3), { 2: RAM }, { mcause: 0, mtval: RAM + 2 }],
    ["a taken branch to 2", asm.beq(0, 0, 6), {}, { mcause: 0, mtval: RAM + 6 }],
  ];
  for (const [name, word, registers, expected] of accesses) {
    it(name, () => {
      const rig = trapRig([word], { 1: 77, ...registers });
      const before = rig.ram.slice();
      rig.hart.run(1);
      const state = rig.hart.save();
      expect(state).toMatchObject({ ...expected, pc: HANDLER, mepc: RAM, mstatus: MPIE | MPP });
      expect(state.x[1]).toBe(77);
      expect(rig.ram.every((byte, index) => byte === before[index])).toBe(true);
      expect([...rig.dirty]).toEqual([0]);
    });
  }

  it("a branch to 2 that is not taken does not trap", () => {
    const rig = trapRig([asm.bne(0, 0, 6)]);
    rig.hart.run(1);
    expect(rig.hart.pc).toBe(RAM + 4);
  });

  it("fetch outside RAM names the address that was fetched", () => {
    const rig = trapRig([asm.jalr(0, 2, 0)], { 2: PORT });
    rig.hart.run(1);
    expect(rig.hart.pc).toBe(PORT);
    rig.hart.run(1);
    expect(rig.hart.save()).toMatchObject({ pc: HANDLER, mcause: 1, mepc: PORT, mtval: PORT });
  });

  it("a trap with interrupts masked leaves them masked after mret", () => {
    const rig = trapRig([asm.ecall]);
    change(rig, { mstatus: MPIE | MPP });
    rig.hart.run(1);
    expect(rig.hart.save().mstatus).toBe(MPP);
    rig.hart.run(1);
    expect(rig.hart.save()).toMatchObject({ pc: RAM, mstatus: MPIE | MPP });
  });

  it("mret goes back to mepc and restores MIE from MPIE", () => {
    for (const [before, after] of [
      [MPIE | MPP, MIE | MPIE | MPP],
      [MIE | MPP, MPIE | MPP],
    ] as const) {
      const rig = trapRig([asm.mret]);
      change(rig, { mstatus: before, mepc: RAM + 0x40 });
      rig.hart.run(1);
      expect(rig.hart.save()).toMatchObject({ pc: RAM + 0x40, mstatus: after });
    }
  });
});

describe("control and status registers", () => {
  it("read-write, set and clear give the old value", () => {
    const rig = trapRig(
      [
        asm.csrrw(3, CSR.mscratch, 1),
        asm.csrrs(4, CSR.mscratch, 2),
        asm.csrrc(5, CSR.mscratch, 1),
        asm.csrrwi(6, CSR.mscratch, 21),
        asm.csrrsi(7, CSR.mscratch, 10),
        asm.csrrci(8, CSR.mscratch, 1),
        asm.csrrs(9, CSR.mscratch, 0),
      ],
      { 1: 0xf0, 2: 0x8000_000f },
    );
    rig.hart.run(7);
    expect([...rig.hart.save().x.slice(3, 10)]).toEqual([0, 0xf0, 0x8000_00ff, 0x8000_000f, 21, 31, 30]);
  });

  it("csrrw with one register as source and destination swaps", () => {
    const rig = trapRig([asm.csrrw(1, CSR.mscratch, 1)], { 1: 5 });
    change(rig, { mscratch: 9 });
    rig.hart.run(1);
    expect([rig.hart.save().x[1], rig.hart.save().mscratch]).toEqual([9, 5]);
  });

  it("keep only the bits that exist", () => {
    const write = (csr: number): number => {
      const rig = trapRig([asm.csrrw(0, csr, 1), asm.csrrs(2, csr, 0)], { 1: 0xffff_ffff });
      rig.hart.run(2);
      return rig.hart.save().x[2] as number;
    };
    expect(write(CSR.mstatus)).toBe(MIE | MPIE | MPP);
    expect(write(CSR.mie)).toBe(0x888);
    expect(write(CSR.mip)).toBe(0);
    expect(write(CSR.mtvec)).toBe(0xffff_fffc);
    expect(write(CSR.mepc)).toBe(0xffff_fffc);
    expect(write(CSR.mcause)).toBe(0xffff_ffff);
    expect(write(CSR.mtval)).toBe(0xffff_ffff);
    expect(write(CSR.misa)).toBe(0x4000_1100);
    expect(write(0x320)).toBe(0);
    expect(write(0xb03)).toBe(0);
    expect(write(0x33f)).toBe(0);
  });

  it("mhartid is the hart's number", () => {
    const rig = trapRig([asm.csrrs(1, CSR.mhartid, 0)], { 1: 5 });
    rig.hart.run(1);
    expect(rig.hart.save().x[1]).toBe(0);
  });

  it("counters count steps and retired instructions, across runs", () => {
    const rig = trapRig([asm.nop, asm.ecall, asm.csrrs(1, CSR.mcycle, 0), asm.csrrs(2, CSR.minstret, 0)]);
    rig.hart.run(2);
    change(rig, { mepc: RAM + 8 });
    rig.hart.run(3);
    const state = rig.hart.save();
    expect([state.x[1], state.x[2], state.mcycle, state.minstret]).toEqual([3, 3, 5n, 4n]);
  });

  it("a counter reads what was written at the instruction after, and carries into its high half", () => {
    for (const [lowHalf, highHalf] of [
      [CSR.mcycle, CSR.mcycleh],
      [CSR.minstret, CSR.minstreth],
    ] as const) {
      const rig = trapRig(
        [
          asm.nop,
          asm.csrrw(0, highHalf, 2),
          asm.csrrw(0, lowHalf, 1),
          asm.csrrs(3, lowHalf, 0),
          asm.csrrs(4, highHalf, 0),
          asm.csrrs(5, lowHalf, 0),
        ],
        { 1: 0xffff_ffff, 2: 0x7fff_ffff },
      );
      rig.hart.run(6);
      expect([...rig.hart.save().x.slice(3, 6)]).toEqual([0xffff_ffff, 0x8000_0000, 1]);
    }
  });

  it("counters wrap at 64 bits", () => {
    const rig = trapRig([asm.nop, asm.csrrs(1, CSR.mcycle, 0), asm.csrrs(2, CSR.mcycleh, 0)]);
    change(rig, { mcycle: 2n ** 64n - 1n, minstret: 2n ** 64n - 1n });
    rig.hart.run(3);
    const state = rig.hart.save();
    expect([state.x[1], state.x[2], state.mcycle, state.minstret]).toEqual([0, 0, 2n, 2n]);
  });
});

describe("interrupts", () => {
  const lines = [
    ["software", 3],
    ["timer", 7],
    ["external", 11],
  ] as const;

  for (const [line, code] of lines) {
    it(`${line}: taken before the next instruction when enabled`, () => {
      const rig = trapRig([asm.nop, asm.nop]);
      rig.put(HANDLER - RAM, [asm.nop]);
      change(rig, { mie: 1 << code });
      rig.hart.run(1);
      rig.hart.setInterruptLine(line, true);
      rig.hart.run(1);
      expect(rig.hart.save()).toMatchObject({
        pc: HANDLER + 4,
        mstatus: MPIE | MPP,
        mcause: (0x8000_0000 | code) >>> 0,
        mepc: RAM + 4,
        mtval: 0,
        minstret: 2n,
      });
    });

    it(`${line}: neither MIE nor mie alone lets it in`, () => {
      for (const fields of [
        { mie: 1 << code, mstatus: MPP },
        { mie: 0x888 & ~(1 << code), mstatus: MIE | MPP },
      ]) {
        const rig = trapRig([asm.nop, asm.csrrs(1, CSR.mip, 0)]);
        change(rig, fields);
        rig.hart.setInterruptLine(line, true);
        rig.hart.run(2);
        expect([rig.hart.pc, rig.hart.save().x[1]]).toEqual([RAM + 8, 1 << code]);
      }
    });
  }

  it("are taken in the order external, software, timer", () => {
    const taken: number[] = [];
    const rig = trapRig([asm.nop]);
    change(rig, { mie: 0x888 });
    for (const [line] of lines) rig.hart.setInterruptLine(line, true);
    for (const line of ["external", "software", "timer"] as const) {
      change(rig, { mstatus: MIE | MPP, pc: RAM });
      rig.put(HANDLER - RAM, [asm.nop]);
      rig.hart.run(1);
      taken.push(rig.hart.save().mcause & 0xff);
      rig.hart.setInterruptLine(line, false);
    }
    expect(taken).toEqual([11, 3, 7]);
  });

  it("follow the level: a line that fell again is not taken", () => {
    const rig = trapRig([asm.nop, asm.nop]);
    change(rig, { mie: 0x888 });
    rig.hart.setInterruptLine("timer", true);
    rig.hart.setInterruptLine("timer", false);
    rig.hart.run(2);
    expect(rig.hart.pc).toBe(RAM + 8);
  });

  const enabling: [string, number, Partial<HartState>, Record<number, number>, number][] = [
    ["a write to mstatus", asm.csrrsi(0, CSR.mstatus, 8), { mstatus: MPP, mie: 0x80 }, {}, RAM + 4],
    ["a write to mie", asm.csrrs(0, CSR.mie, 1), { mie: 0 }, { 1: 0x80 }, RAM + 4],
    ["mret", asm.mret, { mstatus: MPIE | MPP, mie: 0x80, mepc: RAM + 0x40 }, {}, RAM + 0x40],
  ];
  for (const [name, word, fields, registers, mepc] of enabling) {
    it(`${name} that enables a pending one is followed by it at once`, () => {
      const rig = trapRig([word, asm.nop], registers);
      rig.put(0x40, [asm.nop]);
      change(rig, fields);
      rig.hart.setInterruptLine("timer", true);
      rig.hart.run(1);
      expect(rig.hart.save()).toMatchObject({ pc: HANDLER, mcause: 0x8000_0007, mepc });
    });
  }

  it("a line that the bus raises during an access counts from the next instruction on", () => {
    for (const access of [asm.lw(2, 1, 0), asm.sw(2, 1, 0)]) {
      const rig = trapRig([access, asm.addi(3, 0, 1)], { 1: PORT });
      change(rig, { mie: 0x800 });
      rig.onAccess = () => rig.hart.setInterruptLine("external", true);
      rig.hart.run(1);
      expect(rig.hart.save()).toMatchObject({ pc: HANDLER, mcause: 0x8000_000b, mepc: RAM + 4, minstret: 1n });
      expect(rig.hart.save().x[3]).toBe(0);
    }
  });

  it("stop ends the run after the access that asked for it", () => {
    for (const access of [asm.lw(2, 1, 0), asm.lhu(2, 1, 0), asm.lb(2, 1, 0), asm.sw(2, 1, 0), asm.sh(2, 1, 0)]) {
      const rig = trapRig([asm.nop, access, asm.nop, asm.nop], { 1: PORT });
      rig.onAccess = () => rig.hart.stop();
      expect(rig.hart.run(100)).toBe(2);
      expect(rig.hart.pc).toBe(RAM + 8);
      expect(rig.hart.run(1)).toBe(1);
    }
  });
});

describe("wfi", () => {
  it("waits without steps until an enabled interrupt is pending, then takes it after itself", () => {
    const rig = trapRig([asm.wfi, asm.nop]);
    change(rig, { mie: 0x80 });
    expect(rig.hart.run(10)).toBe(1);
    expect([rig.hart.idle, rig.hart.run(10), rig.hart.save().waiting]).toEqual([true, 0, true]);
    rig.hart.setInterruptLine("external", true);
    expect([rig.hart.idle, rig.hart.run(10)]).toEqual([true, 0]);
    rig.hart.setInterruptLine("timer", true);
    expect(rig.hart.idle).toBe(false);
    rig.hart.run(1);
    expect(rig.hart.save()).toMatchObject({ waiting: false, mcause: 0x8000_0007, mepc: RAM + 4, mcycle: 2n });
  });

  it("goes on without a trap when interrupts are masked in mstatus", () => {
    const rig = trapRig([asm.wfi, asm.addi(1, 0, 9)]);
    change(rig, { mie: 0x80, mstatus: MPP });
    expect(rig.hart.run(10)).toBe(1);
    rig.hart.setInterruptLine("timer", true);
    rig.hart.run(1);
    expect([rig.hart.pc, rig.hart.save().x[1]]).toEqual([RAM + 8, 9]);
  });

  it("does not wait when one is pending already", () => {
    const rig = trapRig([asm.wfi, asm.nop]);
    change(rig, { mie: 0x800, mstatus: MPP });
    rig.hart.setInterruptLine("external", true);
    expect(rig.hart.run(2)).toBe(2);
    expect(rig.hart.pc).toBe(RAM + 8);
  });
});

describe("state", () => {
  it("save gives copies, and load takes copies", () => {
    const rig = trapRig([asm.nop]);
    const saved = rig.hart.save();
    saved.x[5] = 99;
    expect(rig.hart.save().x[5]).toBe(0);
    rig.hart.load(saved);
    saved.x[5] = 1;
    expect(rig.hart.save().x[5]).toBe(99);
  });

  it("a hart that waits goes on waiting where it is loaded, and one that runs does not", () => {
    const source = trapRig([asm.wfi, asm.addi(1, 0, 9)]);
    change(source, { mie: 0x80 });
    source.hart.run(1);
    const destination = trapRig([asm.wfi, asm.addi(1, 0, 9)]);
    destination.hart.load(source.hart.save());
    expect([destination.hart.idle, destination.hart.run(10)]).toEqual([true, 0]);
    destination.hart.load({ ...source.hart.save(), waiting: false });
    expect([destination.hart.idle, destination.hart.run(1), destination.hart.save().x[1]]).toEqual([false, 1, 9]);
  });

  it("what a hart saves has no problem", () => {
    const rig = trapRig([asm.wfi]);
    rig.hart.run(1);
    expect(hartStateProblem(rig.hart.save())).toBeUndefined();
  });

  const broken: [string, Partial<HartState>, string][] = [
    ["31 registers", { x: new Uint32Array(31) }, "x"],
    ["a value in x0", { x: new Uint32Array(32).fill(1) }, "x[0]"],
    ["an odd pc", { pc: RAM + 2 }, "pc"],
    ["a vectored mtvec", { mtvec: HANDLER + 1 }, "mtvec"],
    ["an odd mepc", { mepc: 1 }, "mepc"],
    ["user mode in MPP", { mstatus: MIE }, "mstatus"],
    ["an unknown mie bit", { mie: 0x200 }, "mie"],
    ["an unknown mip bit", { mip: 1 }, "mip"],
  ];
  for (const [name, fields, field] of broken) {
    it(`names the field of a state with ${name}`, () => {
      expect(hartStateProblem({ ...trapRig([]).hart.save(), ...fields })?.field).toBe(field);
    });
  }
});
