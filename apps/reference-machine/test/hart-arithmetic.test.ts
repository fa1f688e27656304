import fc from "fast-check";
import { expect, it } from "vitest";
import * as asm from "./support/assembler.ts";
import { execute } from "./support/rig.ts";

const signed = (value: number): bigint => BigInt.asIntN(32, BigInt(value));
const unsigned = (value: number): bigint => BigInt.asUintN(32, BigInt(value));

type Form = (rd: number, rs1: number, rs2: number) => number;
type Meaning = (a: number, b: number) => bigint;

/** Every register operation over unbounded integers, as the specification words it. */
const MEANINGS: Record<string, [Form, Meaning]> = {
  add: [asm.add, (a, b) => unsigned(a) + unsigned(b)],
  sub: [asm.sub, (a, b) => unsigned(a) - unsigned(b)],
  sll: [asm.sll, (a, b) => unsigned(a) << (unsigned(b) & 31n)],
  slt: [asm.slt, (a, b) => (signed(a) < signed(b) ? 1n : 0n)],
  sltu: [asm.sltu, (a, b) => (unsigned(a) < unsigned(b) ? 1n : 0n)],
  xor: [asm.xor, (a, b) => unsigned(a) ^ unsigned(b)],
  srl: [asm.srl, (a, b) => unsigned(a) >> (unsigned(b) & 31n)],
  sra: [asm.sra, (a, b) => signed(a) >> (unsigned(b) & 31n)],
  or: [asm.or, (a, b) => unsigned(a) | unsigned(b)],
  and: [asm.and, (a, b) => unsigned(a) & unsigned(b)],
  mul: [asm.mul, (a, b) => unsigned(a) * unsigned(b)],
  mulh: [asm.mulh, (a, b) => (signed(a) * signed(b)) >> 32n],
  mulhsu: [asm.mulhsu, (a, b) => (signed(a) * unsigned(b)) >> 32n],
  mulhu: [asm.mulhu, (a, b) => (unsigned(a) * unsigned(b)) >> 32n],
  div: [asm.div, (a, b) => (b === 0 ? -1n : signed(a) / signed(b))],
  divu: [asm.divu, (a, b) => (b === 0 ? -1n : unsigned(a) / unsigned(b))],
  rem: [asm.rem, (a, b) => (b === 0 ? signed(a) : signed(a) % signed(b))],
  remu: [asm.remu, (a, b) => (b === 0 ? unsigned(a) : unsigned(a) % unsigned(b))],
};

const word = fc.oneof(
  fc.integer({ min: 0, max: 0xffff_ffff }),
  fc.constantFrom(0, 1, 2, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, 0xffff_fffe, 0xffff_ffff),
);

for (const [name, [form, meaning]] of Object.entries(MEANINGS)) {
  it(`${name} means the same over unbounded integers`, () => {
    fc.assert(
      fc.property(word, word, (a, b) => {
        const expected = Number(BigInt.asUintN(32, meaning(a, b)));
        expect(execute([form(3, 1, 2)], { 1: a, 2: b })[3]).toBe(expected);
      }),
      { seed: 1, numRuns: 200 },
    );
  });
}
