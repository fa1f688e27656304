/**
 * The control and status registers of a machine-mode-only hart (RISC-V privileged architecture, "Machine-Level ISA").
 * Registers that the specification lets read as zero do so and ignore writes.
 */
import { INTERRUPT_LINES_MASK, MSTATUS_MPP, MSTATUS_WRITABLE } from "./state.ts";

/** MXL 1 (32 bits), extensions I and M. */
const MISA_RV32IM = 0x4000_1100;

export interface CsrFile {
  mstatus: number;
  mie: number;
  mip: number;
  mtvec: number;
  mscratch: number;
  mepc: number;
  mcause: number;
  mtval: number;
  /** Value of mcycle before the first step of the current run. */
  mcycleBase: bigint;
  /** Value of minstret before the first step of the current run, less the steps of it that trapped. */
  minstretBase: bigint;
}

function low(value: bigint): number {
  return Number(BigInt.asUintN(32, value));
}

function high(value: bigint): number {
  return Number(BigInt.asUintN(32, value >> 32n));
}

/** mhpmcounter3..31 with their high halves, and mhpmevent3..31. */
function isPerformanceMonitor(number: number): boolean {
  const index = number & 0x1f;
  const group = number & ~0x1f;
  return index >= 3 && (group === 0xb00 || group === 0xb80 || group === 0x320);
}

/**
 * Reads a register as an int32 bit pattern; `undefined` is an illegal instruction.
 * @param steps steps of the current run that are over.
 */
export function readCsr(csrs: CsrFile, hartId: number, number: number, steps: number): number | undefined {
  switch (number) {
    case 0x300:
      return csrs.mstatus;
    case 0x301:
      return MISA_RV32IM;
    case 0x304:
      return csrs.mie;
    case 0x305:
      return csrs.mtvec;
    case 0x340:
      return csrs.mscratch;
    case 0x341:
      return csrs.mepc;
    case 0x342:
      return csrs.mcause;
    case 0x343:
      return csrs.mtval;
    case 0x344:
      return csrs.mip;
    case 0xb00:
      return low(csrs.mcycleBase + BigInt(steps)) | 0;
    case 0xb80:
      return high(csrs.mcycleBase + BigInt(steps)) | 0;
    case 0xb02:
      return low(csrs.minstretBase + BigInt(steps)) | 0;
    case 0xb82:
      return high(csrs.minstretBase + BigInt(steps)) | 0;
    case 0xf14:
      return hartId;
    case 0x310: // mstatush
    case 0x320: // mcountinhibit
    case 0xf11: // mvendorid
    case 0xf12: // marchid
    case 0xf13: // mimpid
    case 0xf15: // mconfigptr
      return 0;
    default:
      return isPerformanceMonitor(number) ? 0 : undefined;
  }
}

/** The counter with one half replaced, as the base that gives this value at the next step (`steps` + 1). */
function rebase(base: bigint, steps: number, value: number, half: "low" | "high"): bigint {
  const now = BigInt.asUintN(64, base + BigInt(steps));
  const written =
    half === "low" ? (BigInt(high(now)) << 32n) | BigInt(value >>> 0) : (BigInt(value >>> 0) << 32n) | BigInt(low(now));
  return written - BigInt(steps + 1);
}

/** Writes a register that `readCsr` knows and that is not read-only by its number; keeps only the bits that exist. */
export function writeCsr(csrs: CsrFile, number: number, value: number, steps: number): void {
  switch (number) {
    case 0x300:
      csrs.mstatus = (value & MSTATUS_WRITABLE) | MSTATUS_MPP;
      break;
    case 0x304:
      csrs.mie = value & INTERRUPT_LINES_MASK;
      break;
    case 0x305:
      csrs.mtvec = value & ~3;
      break;
    case 0x340:
      csrs.mscratch = value;
      break;
    case 0x341:
      csrs.mepc = value & ~3;
      break;
    case 0x342:
      csrs.mcause = value;
      break;
    case 0x343:
      csrs.mtval = value;
      break;
    case 0xb00:
      csrs.mcycleBase = rebase(csrs.mcycleBase, steps, value, "low");
      break;
    case 0xb80:
      csrs.mcycleBase = rebase(csrs.mcycleBase, steps, value, "high");
      break;
    case 0xb02:
      csrs.minstretBase = rebase(csrs.minstretBase, steps, value, "low");
      break;
    case 0xb82:
      csrs.minstretBase = rebase(csrs.minstretBase, steps, value, "high");
      break;
  }
}
