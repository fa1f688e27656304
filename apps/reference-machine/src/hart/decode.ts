/**
 * Turns an RV32IM instruction word into a dense operation number, so that the interpreter needs one jump per
 * instruction. Source: The RISC-V Instruction Set Manual, volume I, "RV32/64G Instruction Set Listings".
 */

/** Operation numbers; `hart.ts` switches on them. 0 is every encoding that this hart does not have. */
const OPERATION = {
  illegal: 0,
  lui: 1,
  auipc: 2,
  jal: 3,
  jalr: 4,
  beq: 5,
  bne: 6,
  blt: 7,
  bge: 8,
  bltu: 9,
  bgeu: 10,
  lb: 11,
  lh: 12,
  lw: 13,
  lbu: 14,
  lhu: 15,
  sb: 16,
  sh: 17,
  sw: 18,
  addi: 19,
  slti: 20,
  sltiu: 21,
  xori: 22,
  ori: 23,
  andi: 24,
  slli: 25,
  srli: 26,
  srai: 27,
  add: 28,
  sub: 29,
  sll: 30,
  slt: 31,
  sltu: 32,
  xor: 33,
  srl: 34,
  sra: 35,
  or: 36,
  and: 37,
  mul: 38,
  mulh: 39,
  mulhsu: 40,
  mulhu: 41,
  div: 42,
  divu: 43,
  rem: 44,
  remu: 45,
  fence: 46,
  system: 47,
} as const;

type Mnemonic = keyof typeof OPERATION;

const LOADS: readonly (Mnemonic | undefined)[] = ["lb", "lh", "lw", undefined, "lbu", "lhu"];
const STORES: readonly Mnemonic[] = ["sb", "sh", "sw"];
const BRANCHES: readonly (Mnemonic | undefined)[] = ["beq", "bne", undefined, undefined, "blt", "bge", "bltu", "bgeu"];
const IMMEDIATES: readonly Mnemonic[] = ["addi", "slli", "slti", "sltiu", "xori", "srli", "ori", "andi"];
const REGISTERS: readonly Mnemonic[] = ["add", "sll", "slt", "sltu", "xor", "srl", "or", "and"];
const MULTIPLIES: readonly Mnemonic[] = ["mul", "mulh", "mulhsu", "mulhu", "div", "divu", "rem", "remu"];

/** `opcode`: bits 6..0; `funct3`: bits 14..12; `bit25` and `bit30`: the two bits of funct7 that mean something. */
function mnemonicOf(opcode: number, funct3: number, bit25: number, bit30: number): Mnemonic | undefined {
  switch (opcode) {
    case 0x37:
      return "lui";
    case 0x17:
      return "auipc";
    case 0x6f:
      return "jal";
    case 0x67:
      return funct3 === 0 ? "jalr" : undefined;
    case 0x63:
      return BRANCHES[funct3];
    case 0x03:
      return LOADS[funct3];
    case 0x23:
      return STORES[funct3];
    case 0x13:
      if (funct3 === 1) return bit25 === 0 && bit30 === 0 ? "slli" : undefined;
      if (funct3 === 5) return bit25 === 0 ? (bit30 === 1 ? "srai" : "srli") : undefined;
      return IMMEDIATES[funct3];
    case 0x33:
      if (bit25 === 1) return bit30 === 0 ? MULTIPLIES[funct3] : undefined;
      if (bit30 === 0) return REGISTERS[funct3];
      return funct3 === 0 ? "sub" : funct3 === 5 ? "sra" : undefined;
    case 0x0f:
      return funct3 <= 1 ? "fence" : undefined;
    case 0x73:
      return "system";
    default:
      return undefined;
  }
}

/**
 * Operation by key: opcode in bits 6..0, funct3 in bits 9..7, bit 25 in bit 10, bit 30 in bit 11.
 * The other bits of funct7 are not in the key: register and shift operations must still see `FUNCT7_REST` clear.
 */
export function buildDecodeTable(): Uint8Array {
  const table = new Uint8Array(4096);
  for (let key = 0; key < table.length; key++) {
    const mnemonic = mnemonicOf(key & 0x7f, (key >>> 7) & 7, (key >>> 10) & 1, (key >>> 11) & 1);
    table[key] = OPERATION[mnemonic ?? "illegal"];
  }
  return table;
}

/** Bits 31, 29, 28, 27 and 26: zero in every RV32IM register and shift operation. */
export const FUNCT7_REST: number = 0xbc000000 | 0;

/** J-type immediate: a signed multiple of 2 within 1 MiB. */
export function jumpOffset(word: number): number {
  return ((word >> 31) << 20) | (word & 0xff000) | ((word >>> 9) & 0x800) | ((word >>> 20) & 0x7fe);
}

/** B-type immediate: a signed multiple of 2 within 4 KiB. */
export function branchOffset(word: number): number {
  return ((word >> 31) << 12) | ((word << 4) & 0x800) | ((word >>> 20) & 0x7e0) | ((word >>> 7) & 0x1e);
}

/** S-type immediate. */
export function storeOffset(word: number): number {
  return ((word >> 25) << 5) | ((word >>> 7) & 0x1f);
}
