/** Just enough of an RV32IM assembler to write a test's instructions by name; each function gives one word. */

const bits = (value: number, width: number): number => value & (2 ** width - 1);

const rType = (opcode: number, funct3: number, funct7: number) => (rd: number, rs1: number, rs2: number) =>
  ((funct7 << 25) | (rs2 << 20) | (rs1 << 15) | (funct3 << 12) | (rd << 7) | opcode) >>> 0;

const iType = (opcode: number, funct3: number) => (rd: number, rs1: number, immediate: number) =>
  ((bits(immediate, 12) << 20) | (rs1 << 15) | (funct3 << 12) | (rd << 7) | opcode) >>> 0;

const shift = (funct3: number, funct7: number) => (rd: number, rs1: number, amount: number) =>
  ((funct7 << 25) | (bits(amount, 5) << 20) | (rs1 << 15) | (funct3 << 12) | (rd << 7) | 0x13) >>> 0;

const sType = (funct3: number) => (source: number, base: number, offset: number) =>
  ((bits(offset >> 5, 7) << 25) | (source << 20) | (base << 15) | (funct3 << 12) | (bits(offset, 5) << 7) | 0x23) >>> 0;

const bType = (funct3: number) => (rs1: number, rs2: number, offset: number) =>
  ((bits(offset >> 12, 1) << 31) |
    (bits(offset >> 5, 6) << 25) |
    (rs2 << 20) |
    (rs1 << 15) |
    (funct3 << 12) |
    (bits(offset >> 1, 4) << 8) |
    (bits(offset >> 11, 1) << 7) |
    0x63) >>>
  0;

const uType = (opcode: number) => (rd: number, upper20: number) =>
  ((bits(upper20, 20) << 12) | (rd << 7) | opcode) >>> 0;

const csrType = (funct3: number) => (rd: number, csr: number, source: number) =>
  ((csr << 20) | (source << 15) | (funct3 << 12) | (rd << 7) | 0x73) >>> 0;

export const lui = uType(0x37);
export const auipc = uType(0x17);
export const jal = (rd: number, offset: number): number =>
  ((bits(offset >> 20, 1) << 31) |
    (bits(offset >> 1, 10) << 21) |
    (bits(offset >> 11, 1) << 20) |
    (bits(offset >> 12, 8) << 12) |
    (rd << 7) |
    0x6f) >>>
  0;
export const jalr = iType(0x67, 0);
export const beq = bType(0);
export const bne = bType(1);
export const blt = bType(4);
export const bge = bType(5);
export const bltu = bType(6);
export const bgeu = bType(7);
export const lb = iType(0x03, 0);
export const lh = iType(0x03, 1);
export const lw = iType(0x03, 2);
export const lbu = iType(0x03, 4);
export const lhu = iType(0x03, 5);
export const sb = sType(0);
export const sh = sType(1);
export const sw = sType(2);
export const addi = iType(0x13, 0);
export const slti = iType(0x13, 2);
export const sltiu = iType(0x13, 3);
export const xori = iType(0x13, 4);
export const ori = iType(0x13, 6);
export const andi = iType(0x13, 7);
export const slli = shift(1, 0);
export const srli = shift(5, 0);
export const srai = shift(5, 0x20);
export const add = rType(0x33, 0, 0);
export const sub = rType(0x33, 0, 0x20);
export const sll = rType(0x33, 1, 0);
export const slt = rType(0x33, 2, 0);
export const sltu = rType(0x33, 3, 0);
export const xor = rType(0x33, 4, 0);
export const srl = rType(0x33, 5, 0);
export const sra = rType(0x33, 5, 0x20);
export const or = rType(0x33, 6, 0);
export const and = rType(0x33, 7, 0);
export const mul = rType(0x33, 0, 1);
export const mulh = rType(0x33, 1, 1);
export const mulhsu = rType(0x33, 2, 1);
export const mulhu = rType(0x33, 3, 1);
export const div = rType(0x33, 4, 1);
export const divu = rType(0x33, 5, 1);
export const rem = rType(0x33, 6, 1);
export const remu = rType(0x33, 7, 1);
export const fence = 0x0ff0_000f;
export const fenceI = 0x0000_100f;
export const ecall = 0x0000_0073;
export const ebreak = 0x0010_0073;
export const mret = 0x3020_0073;
export const wfi = 0x1050_0073;
export const csrrw = csrType(1);
export const csrrs = csrType(2);
export const csrrc = csrType(3);
export const csrrwi = csrType(5);
export const csrrsi = csrType(6);
export const csrrci = csrType(7);
export const nop = addi(0, 0, 0);

export const CSR = {
  mstatus: 0x300,
  misa: 0x301,
  mie: 0x304,
  mtvec: 0x305,
  mscratch: 0x340,
  mepc: 0x341,
  mcause: 0x342,
  mtval: 0x343,
  mip: 0x344,
  mcycle: 0xb00,
  minstret: 0xb02,
  mcycleh: 0xb80,
  minstreth: 0xb82,
  mvendorid: 0xf11,
  mhartid: 0xf14,
} as const;
