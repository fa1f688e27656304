// RV32I, an instruction at a time: expected values are from the specification's text.
import { describe, expect, it } from "vitest";
import { Hart, trapCause } from "../src/cpu/hart.ts";
import type { FromWorker } from "../src/cpu/messages.ts";
import { serveCpu } from "../src/cpu/serve.ts";

interface Before {
  readonly x?: Readonly<Record<number, number>>;
  readonly pc?: number;
  readonly ram?: Readonly<Record<number, number>>;
}

/** Executes one word at `pc` (0x100 by default). */
function step(word: number, { x = {}, pc = 0x100, ram = {} }: Before = {}) {
  const bytes = new Uint8Array(0x1000);
  const view = new DataView(bytes.buffer);
  view.setInt32(pc, word, true);
  for (const [at, value] of Object.entries(ram)) view.setInt32(Number(at), value, true);
  const hart = new Hart(bytes);
  const registers = new Int32Array(32);
  for (const [n, value] of Object.entries(x)) registers[Number(n)] = value;
  hart.registers = { x: registers, pc, instret: 0, halted: false, cause: 0 };
  hart.execute(1);
  return { ...hart.registers, view };
}

const r = (funct7: number, funct3: number) => (funct7 << 25) | (2 << 20) | (1 << 15) | (funct3 << 12) | (3 << 7) | 0x33;
const i = (funct3: number, immediate: number) => (immediate << 20) | (1 << 15) | (funct3 << 12) | (3 << 7) | 0x13;

describe("RV32I", () => {
  it.each([
    ["ADD", r(0, 0), 0x7fff_ffff, 1, -0x8000_0000],
    ["SUB", r(0x20, 0), -0x8000_0000, 1, 0x7fff_ffff],
    ["SLL by the low five bits", r(0, 1), 1, 33, 2],
    ["SLT", r(0, 2), -1, 1, 1],
    ["SLTU", r(0, 3), -1, 1, 0],
    ["XOR", r(0, 4), 0b1100, 0b1010, 0b0110],
    ["SRL", r(0, 5), -1, 28, 15],
    ["SRA", r(0x20, 5), -16, 2, -4],
    ["OR", r(0, 6), 0b1100, 0b1010, 0b1110],
    ["AND", r(0, 7), 0b1100, 0b1010, 0b1000],
  ])("%s", (_name, word, a, b, result) => {
    const { x, pc, instret } = step(word, { x: { 1: a, 2: b } });
    expect([x[3], pc, instret]).toEqual([result, 0x104, 1]);
  });

  it.each([
    ["ADDI", i(0, -1), 0, -1],
    ["SLTI", i(2, -1), -2, 1],
    ["SLTIU compares with the immediate extended by its sign", i(3, -1), 5, 1],
    ["XORI", i(4, -1), 0x0f, ~0x0f],
    ["ORI", i(6, 0x70), 0x0f, 0x7f],
    ["ANDI", i(7, 0x3c), 0xff, 0x3c],
    ["SLLI", i(1, 4), 3, 48],
    ["SRLI", i(5, 4), -16, 0x0fff_ffff],
    ["SRAI", i(5, 0x404), -256, -16],
  ])("%s", (_name, word, a, result) => {
    expect(step(word, { x: { 1: a } }).x[3]).toBe(result);
  });

  it("LUI, AUIPC, and x0, which stays zero", () => {
    expect(step(0xabcd_e1b7 | 0).x[3]).toBe(0xabcd_e000 | 0);
    expect(step(0x0000_1197, { pc: 0x200 }).x[3]).toBe(0x1200);
    expect(step(0xabcd_e037 | 0).x[0]).toBe(0);
  });

  it("JAL and JALR: forward and back, with the return address", () => {
    // jal x1, +16; jal x1, -4; jalr x1, 5(x1)
    expect(step(0x0100_00ef)).toMatchObject({ pc: 0x110 });
    expect(step(0x0100_00ef).x[1]).toBe(0x104);
    expect(step(0xffdf_f0ef | 0)).toMatchObject({ pc: 0xfc });
    const jalr = step(0x0050_80e7, { x: { 1: 0x400 } });
    expect([jalr.pc, jalr.x[1]]).toEqual([0x404, 0x104]);
  });

  it.each([
    ["BEQ", 0, 5, 5, 5, 6],
    ["BNE", 1, 5, 6, 5, 5],
    ["BLT", 4, -1, 1, 1, -1],
    ["BGE", 5, 1, -1, -1, 1],
    ["BLTU", 6, 1, -1, -1, 1],
    ["BGEU", 7, -1, 1, 1, -1],
  ])("%s", (_name, funct3, a, b, c, d) => {
    // to pc - 8
    const word = (0xfe20_8ce3 & ~0x7000) | (funct3 << 12);
    expect(step(word, { x: { 1: a, 2: b } }).pc).toBe(0xf8);
    expect(step(word, { x: { 1: c, 2: d } }).pc).toBe(0x104);
  });

  it.each([
    ["LB", 0, -2],
    ["LH", 1, 0x7ffe],
    ["LW", 2, 0x1234_7ffe],
    ["LBU", 4, 0xfe],
    ["LHU", 5, 0x7ffe],
  ])("%s", (_name, funct3, result) => {
    // 4(x1)
    const word = (4 << 20) | (1 << 15) | (funct3 << 12) | (3 << 7) | 0x03;
    expect(step(word, { x: { 1: 0x800 }, ram: { 2052: 0x1234_7ffe } }).x[3]).toBe(result);
  });

  it.each([
    ["SB", 0, 0x1111_11dd],
    ["SH", 1, 0x1111_ccdd],
    ["SW", 2, 0xaabb_ccdd | 0],
  ])("%s", (_name, funct3, result) => {
    // x2 to -4(x1)
    const word = (0x7f << 25) | (2 << 20) | (1 << 15) | (funct3 << 12) | (0x1c << 7) | 0x23;
    const { view } = step(word, { x: { 1: 0x804, 2: 0xaabb_ccdd | 0 }, ram: { 2048: 0x1111_1111 } });
    expect(view.getInt32(0x800, true)).toBe(result);
  });

  it("FENCE does nothing", () => {
    expect(step(0x0ff0_000f)).toMatchObject({ pc: 0x104, instret: 1, halted: false });
  });

  it.each([
    ["ECALL", 0x0000_0073, {}, trapCause.environmentCall],
    ["EBREAK", 0x0010_0073, {}, trapCause.breakpoint],
    ["a word of zeros", 0, {}, trapCause.illegal],
    ["MUL, which RV32I lacks", r(1, 0), {}, trapCause.illegal],
    ["SUB's variant of AND", r(0x20, 7), {}, trapCause.illegal],
    ["SRAI's variant of SLLI", i(1, 0x404), {}, trapCause.illegal],
    ["a load of eight bytes", 0x0000_b183, {}, trapCause.illegal],
    ["a load from outside", 0x0000_a183, { x: { 1: 0xffd } }, trapCause.loadAccess],
    ["a store to outside", 0x0020_a023, { x: { 1: -4 } }, trapCause.storeAccess],
  ])("halts at %s, which is not retired", (_name, word, before, cause) => {
    expect(step(word, before)).toMatchObject({ pc: 0x100, instret: 0, halted: true, cause });
  });

  it("halts where it cannot fetch, and executes no more", () => {
    const hart = new Hart(new Uint8Array(16));
    const at = (pc: number) => {
      hart.registers = { x: new Int32Array(32), pc, instret: 3, halted: false, cause: 0 };
      hart.execute(5);
      const { cause, halted, instret } = hart.registers;
      return [cause, halted, instret];
    };
    expect(at(2)).toEqual([trapCause.fetchMisaligned, true, 3]);
    expect(at(16)).toEqual([trapCause.fetchAccess, true, 3]);
  });
});

describe("the worker's side", () => {
  it("answers in order, and stops a run whose stop was asked for before it began", () => {
    const told: FromWorker[] = [];
    const serve = serveCpu((message) => told.push(message));
    expect(() => serve({ type: "run", run: 1, until: 5 })).toThrow("before");
    const control = new SharedArrayBuffer(4);
    const ram = new SharedArrayBuffer(64);
    // jal x0, 0
    new DataView(ram).setInt32(0, 0x6f, true);
    serve({ type: "attach", ram, control });
    serve({ type: "run", run: 1, until: 1000 });
    Atomics.store(new Int32Array(control), 0, 2);
    serve({ type: "run", run: 2, until: Number.MAX_SAFE_INTEGER });
    const registers = { x: new Int32Array(32), pc: 0, instret: 7, halted: false, cause: 0 };
    serve({ type: "load", id: 9, registers });
    // The word still names run 2: this run does not end before its limit.
    serve({ type: "run", run: 3, until: 5000 });
    expect(told.map((message) => [message.type, "registers" in message ? message.registers.instret : 0])).toEqual([
      ["stopped", 1000],
      ["stopped", 1061],
      ["loaded", 0],
      ["stopped", 5000],
    ]);
  });
});
