// The instructions that the guest program is written with, as RISC-V words.

/** Registers by their names in the calling convention. */
export const [t0, t1, t2, s0, s1, s2, s3, s4, s5, s6, t3] = [5, 6, 7, 8, 9, 18, 19, 20, 21, 22, 28] as const;

type Register = number;

function immediateType(opcode: number, funct3: number, rd: Register, rs1: Register, immediate: number): number {
  return (immediate << 20) | (rs1 << 15) | (funct3 << 12) | (rd << 7) | opcode;
}

function registerType(funct3: number, rd: Register, rs1: Register, rs2: Register): number {
  return (rs2 << 20) | (rs1 << 15) | (funct3 << 12) | (rd << 7) | 0x33;
}

/** rd = `value`, whose low 12 bits are zero. */
export const lui = (rd: Register, value: number) => (value & 0xffff_f000) | (rd << 7) | 0x37;
export const addi = (rd: Register, rs1: Register, immediate: number) => immediateType(0x13, 0, rd, rs1, immediate);
export const xori = (rd: Register, rs1: Register, immediate: number) => immediateType(0x13, 4, rd, rs1, immediate);
export const slli = (rd: Register, rs1: Register, bits: number) => immediateType(0x13, 1, rd, rs1, bits);
export const srli = (rd: Register, rs1: Register, bits: number) => immediateType(0x13, 5, rd, rs1, bits);
export const add = (rd: Register, rs1: Register, rs2: Register) => registerType(0, rd, rs1, rs2);
export const xor = (rd: Register, rs1: Register, rs2: Register) => registerType(4, rd, rs1, rs2);
export const and = (rd: Register, rs1: Register, rs2: Register) => registerType(7, rd, rs1, rs2);
export const lw = (rd: Register, offset: number, rs1: Register) => immediateType(0x03, 2, rd, rs1, offset);
export const sw = (rs2: Register, offset: number, rs1: Register) =>
  ((offset >> 5) << 25) | (rs2 << 20) | (rs1 << 15) | (2 << 12) | ((offset & 31) << 7) | 0x23;
/** A jump by `offset` bytes that keeps no return address. */
export const jump = (offset: number) =>
  ((offset >> 20) << 31) | ((offset & 0x7fe) << 20) | ((offset & 0x800) << 9) | (offset & 0xf_f000) | 0x6f;
