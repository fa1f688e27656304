import { describe, expect, it } from "vitest";
import * as asm from "./support/assembler.ts";
import { execute, makeRig, PORT, RAM } from "./support/rig.ts";

const MIN = 0x8000_0000;
const MAX = 0x7fff_ffff;
const ONES = 0xffff_ffff;

type RegisterForm = (rd: number, rs1: number, rs2: number) => number;

/** rs1, rs2, expected; from the specification's tables and hand arithmetic. */
const REGISTER_CASES: Record<string, { form: RegisterForm; cases: [number, number, number][] }> = {
  add: {
    form: asm.add,
    cases: [
      [1, 2, 3],
      [ONES, 1, 0],
      [MAX, 1, MIN],
    ],
  },
  sub: {
    form: asm.sub,
    cases: [
      [1, 2, ONES],
      [MIN, 1, MAX],
      [0, MIN, MIN],
    ],
  },
  sll: {
    form: asm.sll,
    cases: [
      [1, 31, MIN],
      [1, 32, 1],
      [ONES, 0xffff_ffe4, 0xffff_fff0],
    ],
  },
  slt: {
    form: asm.slt,
    cases: [
      [ONES, 0, 1],
      [0, ONES, 0],
      [MIN, MAX, 1],
      [5, 5, 0],
    ],
  },
  sltu: {
    form: asm.sltu,
    cases: [
      [ONES, 0, 0],
      [0, ONES, 1],
      [MIN, MAX, 0],
      [5, 5, 0],
    ],
  },
  xor: { form: asm.xor, cases: [[0xf0f0_f0f0, ONES, 0x0f0f_0f0f]] },
  srl: {
    form: asm.srl,
    cases: [
      [MIN, 31, 1],
      [ONES, 32, ONES],
      [0x8765_4321, 4, 0x0876_5432],
    ],
  },
  sra: {
    form: asm.sra,
    cases: [
      [MIN, 31, ONES],
      [MAX, 31, 0],
      [0x8765_4321, 36, 0xf876_5432],
    ],
  },
  or: { form: asm.or, cases: [[0xf000_0000, 0x0000_000f, 0xf000_000f]] },
  and: { form: asm.and, cases: [[0xff00_ff00, 0x0ff0_0ff0, 0x0f00_0f00]] },
  mul: {
    form: asm.mul,
    cases: [
      [ONES, ONES, 1],
      [0x0001_0000, 0x0001_0000, 0],
      [0x1234_5678, 0x9abc_def0, 0x242d_2080],
    ],
  },
  mulh: {
    form: asm.mulh,
    cases: [
      [ONES, ONES, 0],
      [MIN, MIN, 0x4000_0000],
      [MIN, MAX, 0xc000_0000],
      [ONES, 1, ONES],
      [0, MIN, 0],
    ],
  },
  mulhsu: {
    form: asm.mulhsu,
    cases: [
      [ONES, ONES, ONES],
      [MIN, ONES, MIN],
      [1, ONES, 0],
      [MAX, ONES, 0x7fff_fffe],
    ],
  },
  mulhu: {
    form: asm.mulhu,
    cases: [
      [ONES, ONES, 0xffff_fffe],
      [MIN, MIN, 0x4000_0000],
      [MIN, 2, 1],
      [0xffff, 0xffff, 0],
    ],
  },
  div: {
    form: asm.div,
    cases: [
      [7, 2, 3],
      [-7 >>> 0, 2, -3 >>> 0],
      [7, -2 >>> 0, -3 >>> 0],
      [9, 0, ONES],
      [0, 0, ONES],
      [MIN, ONES, MIN],
      [MIN, 1, MIN],
    ],
  },
  divu: {
    form: asm.divu,
    cases: [
      [ONES, 1, ONES],
      [ONES, 2, MAX],
      [MIN, ONES, 0],
      [9, 0, ONES],
    ],
  },
  rem: {
    form: asm.rem,
    cases: [
      [7, 2, 1],
      [-7 >>> 0, 2, ONES],
      [7, -2 >>> 0, 1],
      [-9 >>> 0, 0, -9 >>> 0],
      [MIN, ONES, 0],
      [-8 >>> 0, 4, 0],
    ],
  },
  remu: {
    form: asm.remu,
    cases: [
      [ONES, 16, 15],
      [MIN, ONES, MIN],
      [9, 0, 9],
    ],
  },
};

const IMMEDIATE_CASES: Record<string, { form: RegisterForm; cases: [number, number, number][] }> = {
  addi: {
    form: asm.addi,
    cases: [
      [0, -2048, 0xffff_f800],
      [ONES, 1, 0],
      [MAX, 2047, 0x8000_07fe],
    ],
  },
  slti: {
    form: asm.slti,
    cases: [
      [ONES, 0, 1],
      [0, -1, 0],
      [MIN, -2048, 1],
    ],
  },
  sltiu: {
    form: asm.sltiu,
    cases: [
      [0, 1, 1],
      [5, -1, 1],
      [ONES, -1, 0],
      [0xffff_f7ff, -2048, 1],
    ],
  },
  xori: { form: asm.xori, cases: [[0x1234_5678, -1, 0xedcb_a987]] },
  ori: { form: asm.ori, cases: [[0x1234_5000, -2048, 0xffff_f800]] },
  andi: { form: asm.andi, cases: [[0x1234_5fff, -2048, 0x1234_5800]] },
  slli: {
    form: asm.slli,
    cases: [
      [1, 31, MIN],
      [0xdead_beef, 0, 0xdead_beef],
    ],
  },
  srli: { form: asm.srli, cases: [[MIN, 31, 1]] },
  srai: { form: asm.srai, cases: [[MIN, 31, ONES]] },
};

describe("register and immediate operations", () => {
  for (const [name, { form, cases }] of Object.entries(REGISTER_CASES)) {
    it(name, () => {
      for (const [a, b, expected] of cases) {
        expect(execute([form(3, 1, 2)], { 1: a, 2: b })[3], `${name} ${a}, ${b}`).toBe(expected);
      }
    });
  }
  for (const [name, { form, cases }] of Object.entries(IMMEDIATE_CASES)) {
    it(name, () => {
      for (const [a, immediate, expected] of cases) {
        expect(execute([form(3, 1, immediate)], { 1: a })[3], `${name} ${a}, ${immediate}`).toBe(expected);
      }
    });
  }

  it("lui and auipc", () => {
    expect(execute([asm.lui(5, 0xfffff)])[5]).toBe(0xffff_f000);
    expect(execute([asm.nop, asm.auipc(5, 0xfffff)])[5]).toBe(RAM + 4 - 0x1000);
  });

  it("reads its sources before it writes its destination", () => {
    expect(execute([asm.sub(1, 1, 1)], { 1: 77 })[1]).toBe(0);
    expect(execute([asm.mulhu(2, 2, 2)], { 2: ONES })[2]).toBe(0xffff_fffe);
  });

  it("keeps x0 at zero whatever writes it", () => {
    const words = [
      asm.addi(0, 0, 5),
      asm.lui(0, 1),
      asm.jal(0, 4),
      asm.lw(0, 1, 0),
      asm.csrrw(0, asm.CSR.mscratch, 1),
      asm.add(3, 0, 0),
    ];
    const x = execute(words, { 1: RAM, 3: 9 });
    expect([x[0], x[3]]).toEqual([0, 0]);
  });

  it("fence and fence.i change nothing but pc", () => {
    const rig = makeRig();
    rig.put(0, [asm.fence, asm.fenceI]);
    const before = rig.hart.save();
    rig.hart.run(2);
    expect(rig.hart.save()).toEqual({ ...before, pc: RAM + 8, mcycle: 2n, minstret: 2n });
  });
});

describe("jumps and branches", () => {
  it("jal and jalr link and land", () => {
    const forward = makeRig();
    forward.put(0, [asm.jal(1, 0x7fc)]);
    forward.hart.run(1);
    expect([forward.hart.pc, forward.hart.save().x[1]]).toEqual([RAM + 0x7fc, RAM + 4]);

    const back = makeRig();
    back.put(8, [asm.jal(1, -8)]);
    back.hart.load({ ...back.hart.save(), pc: RAM + 8 });
    back.hart.run(1);
    expect([back.hart.pc, back.hart.save().x[1]]).toEqual([RAM, RAM + 12]);

    const same = makeRig();
    const state = same.hart.save();
    state.x[1] = RAM + 0x101;
    same.hart.load(state);
    same.put(0, [asm.jalr(1, 1, -1)]);
    same.hart.run(1);
    expect([same.hart.pc, same.hart.save().x[1]]).toEqual([RAM + 0x100, RAM + 4]);
  });

  it("jal reaches 1 MiB both ways", () => {
    const rig = makeRig(4 * 1024 * 1024);
    rig.put(0x20_0000, [asm.jal(0, -0x10_0000)]);
    rig.put(0x10_0000, [asm.jal(0, 0xf_fffc)]);
    rig.hart.load({ ...rig.hart.save(), pc: RAM + 0x20_0000 });
    rig.hart.run(1);
    expect(rig.hart.pc).toBe(RAM + 0x10_0000);
    rig.hart.run(1);
    expect(rig.hart.pc).toBe(RAM + 0x1f_fffc);
  });

  const pairs: [number, number][] = [
    [0, 0],
    [1, 2],
    [2, 1],
    [ONES, 1],
    [1, ONES],
    [MIN, MAX],
    [MAX, MIN],
    [MIN, MIN],
  ];
  const conditions: Record<string, [RegisterForm, (a: number, b: number) => boolean]> = {
    beq: [asm.beq, (a, b) => a === b],
    bne: [asm.bne, (a, b) => a !== b],
    blt: [asm.blt, (a, b) => (a | 0) < (b | 0)],
    bge: [asm.bge, (a, b) => (a | 0) >= (b | 0)],
    bltu: [asm.bltu, (a, b) => a < b],
    bgeu: [asm.bgeu, (a, b) => a >= b],
  };
  for (const [name, [form, holds]] of Object.entries(conditions)) {
    it(name, () => {
      for (const [a, b] of pairs) {
        for (const offset of [0xffc, -0x1000, 8, -4]) {
          const rig = makeRig();
          const state = rig.hart.save();
          state.pc = RAM + 0x2000;
          state.x[1] = a;
          state.x[2] = b;
          rig.hart.load(state);
          rig.put(0x2000, [form(1, 2, offset)]);
          rig.hart.run(1);
          const target = RAM + 0x2000 + (holds(a, b) ? offset : 4);
          expect(rig.hart.pc, `${name} ${a}, ${b}, ${offset}`).toBe(target);
        }
      }
    });
  }
});

describe("loads and stores", () => {
  it("extend signs, or do not", () => {
    const rig = makeRig();
    rig.put(0x100, [0x80ff_7f81]);
    const state = rig.hart.save();
    state.x[1] = RAM + 0x102;
    rig.hart.load(state);
    rig.put(0, [
      asm.lb(2, 1, -2),
      asm.lb(3, 1, -1),
      asm.lbu(4, 1, 0),
      asm.lb(5, 1, 1),
      asm.lh(6, 1, -2),
      asm.lh(7, 1, 0),
      asm.lhu(8, 1, 0),
      asm.lw(9, 1, -2),
    ]);
    rig.hart.run(8);
    expect([...rig.hart.save().x.slice(2, 10)]).toEqual([
      0xffff_ff81, 0x7f, 0xff, 0xffff_ff80, 0x7f81, 0xffff_80ff, 0x80ff, 0x80ff_7f81,
    ]);
  });

  it("store only their own bytes, at each lane", () => {
    for (const [form, size] of [
      [asm.sb, 1],
      [asm.sh, 2],
      [asm.sw, 4],
    ] as const) {
      for (let lane = 0; lane < 4; lane += size) {
        const rig = makeRig();
        rig.put(0x100, [0x1111_1111, 0x2222_2222, 0x3333_3333]);
        const state = rig.hart.save();
        state.x[1] = RAM + 0x110;
        state.x[2] = 0xa1b2_c3d4;
        rig.hart.load(state);
        rig.put(0, [form(2, 1, lane - 12)]);
        const expected = rig.ram.slice(0x100, 0x10c);
        expected.set([0xd4, 0xc3, 0xb2, 0xa1].slice(0, size), 4 + lane);
        rig.hart.run(1);
        expect(rig.ram.slice(0x100, 0x10c), `size ${size} lane ${lane}`).toEqual(expected);
      }
    }
  });

  it("mark the page of each store, and no other", () => {
    const rig = makeRig(64 * 4096);
    const state = rig.hart.save();
    state.x[1] = RAM + 0x4ffc;
    state.x[3] = RAM + 33 * 4096;
    state.x[4] = RAM + 63 * 4096 + 4094;
    rig.hart.load(state);
    rig.put(0, [asm.lw(2, 1, 0), asm.sw(2, 1, 0), asm.sb(2, 3, 0), asm.sh(2, 4, 0)]);
    rig.hart.run(1);
    expect([...rig.dirty]).toEqual([0, 0]);
    rig.hart.run(3);
    expect([...rig.dirty]).toEqual([1 << 4, (MIN | (1 << 1)) >>> 0]);
  });

  it("see code that was just stored", () => {
    const rig = makeRig();
    const state = rig.hart.save();
    state.x[1] = RAM + 8;
    state.x[2] = asm.addi(5, 0, 42);
    rig.hart.load(state);
    rig.put(0, [asm.sw(2, 1, 0), asm.fenceI, asm.addi(5, 0, 1)]);
    rig.hart.run(3);
    expect(rig.hart.save().x[5]).toBe(42);
  });

  it("go to the bus outside RAM, with their size, and extend what it answers", () => {
    const rig = makeRig();
    rig.ports
      .set(PORT, 0xffff_ff80)
      .set(PORT + 2, 0x8001)
      .set(PORT + 1, 0x80);
    const state = rig.hart.save();
    state.x[1] = PORT;
    state.x[2] = 0xa1b2_c3d4;
    rig.hart.load(state);
    rig.put(0, [
      asm.lw(3, 1, 0),
      asm.lh(4, 1, 2),
      asm.lhu(5, 1, 2),
      asm.lb(6, 1, 1),
      asm.lbu(7, 1, 1),
      asm.sw(2, 1, 0),
      asm.sh(2, 1, 2),
      asm.sb(2, 1, 1),
    ]);
    rig.hart.run(8);
    expect([...rig.hart.save().x.slice(3, 8)]).toEqual([0xffff_ff80, 0xffff_8001, 0x8001, 0xffff_ff80, 0x80]);
    expect(rig.log.slice(5)).toEqual([
      { kind: "write", address: PORT, size: 4, value: 0xa1b2_c3d4 },
      { kind: "write", address: PORT + 2, size: 2, value: 0xc3d4 },
      { kind: "write", address: PORT + 1, size: 1, value: 0xd4 },
    ]);
    expect([...rig.dirty]).toEqual([0]);
  });

  it("know where RAM ends, to the byte", () => {
    const rig = makeRig();
    const end = RAM + rig.ram.length;
    rig.ports.set(end, 7);
    const state = rig.hart.save();
    state.x[1] = end;
    rig.hart.load(state);
    rig.put(0, [asm.sb(1, 1, -1), asm.lw(2, 1, -4), asm.lw(3, 1, 0)]);
    rig.hart.run(3);
    expect([rig.hart.save().x[3], rig.log.length]).toEqual([7, 1]);
  });
});

describe("attached RAM", () => {
  it("is replaced as a whole by the next attachRam", () => {
    const rig = makeRig();
    rig.put(0, [asm.addi(5, 5, 1), asm.sw(5, 0, 0)]);
    rig.hart.run(1);
    const fresh = new Uint8Array(2 * 4096);
    new DataView(fresh.buffer).setUint32(4, asm.addi(5, 5, 100), true);
    rig.hart.attachRam(RAM, fresh, new Uint32Array(1));
    rig.hart.run(1);
    expect(rig.hart.save().x[5]).toBe(101);
  });

  it("refuses RAM that it cannot address, and a bitmap that does not cover it", () => {
    const { hart } = makeRig();
    const page = new Uint8Array(4096);
    expect(() => hart.attachRam(RAM + 4, page, new Uint32Array(1))).toThrow(RangeError);
    expect(() => hart.attachRam(RAM, new Uint8Array(5000), new Uint32Array(1))).toThrow(RangeError);
    expect(() => hart.attachRam(RAM, new Uint8Array(new ArrayBuffer(8192), 2, 4096), new Uint32Array(1))).toThrow(
      RangeError,
    );
    expect(() => hart.attachRam(RAM, new Uint8Array(33 * 4096), new Uint32Array(1))).toThrow(RangeError);
    expect(() => hart.attachRam(0xffff_f000, new Uint8Array(8192), new Uint32Array(1))).toThrow(RangeError);
  });

  it("may not be replaced while the hart runs", () => {
    const rig = makeRig();
    const state = rig.hart.save();
    state.x[1] = PORT;
    rig.hart.load(state);
    rig.put(0, [asm.sw(0, 1, 0)]);
    rig.onAccess = () => rig.hart.attachRam(RAM, rig.ram, rig.dirty);
    expect(() => rig.hart.run(1)).toThrow(/running/);
  });
});
