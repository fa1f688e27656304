/**
 * One RISC-V hart: RV32IM with Zicsr and Zifencei, machine mode only, interpreted.
 * What a run does depends only on the state, the RAM, the bus's answers and the interrupt lines, never on how the steps
 * are divided into runs: a hart saved between any two steps and loaded elsewhere goes on as if nothing had happened.
 */
import { isMigrationError, type MigrationError } from "@godwit/core";
import type { Bus } from "./bus.ts";
import { type CsrFile, readCsr, writeCsr } from "./csr.ts";
import { branchOffset, buildDecodeTable, FUNCT7_REST, jumpOffset, storeOffset } from "./decode.ts";
import { multiplyHighSigned, multiplyHighSignedUnsigned, multiplyHighUnsigned } from "./multiply.ts";
import {
  type HartState,
  INTERRUPT_LINE,
  INTERRUPT_LINES_MASK,
  type InterruptLine,
  MSTATUS_MIE,
  MSTATUS_MPIE,
  MSTATUS_MPP,
  MSTATUS_WRITABLE,
} from "./state.ts";

/** mcause codes of the exceptions that this hart raises. */
const EXCEPTION = {
  fetchMisaligned: 0,
  fetchFault: 1,
  illegalInstruction: 2,
  breakpoint: 3,
  loadMisaligned: 4,
  loadFault: 5,
  storeMisaligned: 6,
  storeFault: 7,
  environmentCall: 11,
} as const;

const INTERRUPT_CAUSE = 0x8000_0000 | 0;
const MIN_INT = -0x8000_0000;

/** Of the pending and enabled lines the external one is taken first, then software, then timer (privileged spec, mip). */
const LINES_BY_PRIORITY: readonly number[] = [INTERRUPT_LINE.external, INTERRUPT_LINE.software, INTERRUPT_LINE.timer];

export interface HartInit {
  hartId: number;
  bus: Bus;
  /**
   * Asked at each run: the pages of RAM that are not there (post-copy), one bit per 4 KiB page as in the dirty bitmap;
   * undefined where all are, and then nothing is looked up. No page may go during a run.
   */
  absent?: () => Uint32Array | undefined;
}

export class Hart {
  readonly hartId: number;
  readonly #bus: Bus;
  readonly #operations: Uint8Array = buildDecodeTable();
  readonly #x = new Int32Array(32);
  readonly #csrs: CsrFile = {
    mstatus: MSTATUS_MPP,
    mie: 0,
    mip: 0,
    mtvec: 0,
    mscratch: 0,
    mepc: 0,
    mcause: 0,
    mtval: 0,
    mcycleBase: 0n,
    minstretBase: 0n,
  };
  #pc = 0;
  #waiting = false;

  #ramBase = 0;
  #words: Int32Array = new Int32Array(0);
  #halves: Int16Array = new Int16Array(0);
  #dirty: Uint32Array = new Uint32Array(0);
  readonly #absentPages: () => Uint32Array | undefined;
  /** During a run: pages of RAM that are not there, and the one that the run ended at. */
  #absent: Uint32Array | undefined;
  #missed: number | MigrationError | undefined;

  #running = false;
  #stopRequested = false;

  constructor(init: HartInit) {
    this.hartId = init.hartId;
    this.#bus = init.bus;
    this.#absentPages = init.absent ?? (() => undefined);
  }

  /**
   * Gives the hart its RAM, again whenever the bytes or the bitmap are replaced (never during a run).
   * @param base physical address of the first byte, a multiple of 4 KiB.
   * @param bytes whole 4 KiB pages, at a multiple of 4 in their buffer; `base + length` is at most 4 GiB.
   * @param dirty one bit per 4 KiB page, page 0 in bit 0 of word 0; each store of the hart sets its page's bit.
   */
  attachRam(base: number, bytes: Uint8Array, dirty: Uint32Array): void {
    const pages = bytes.byteLength / 4096;
    if (this.#running) throw new Error("attachRam: the hart is running");
    if (base % 4096 !== 0 || bytes.byteOffset % 4 !== 0 || !Number.isInteger(pages)) {
      throw new RangeError("attachRam: RAM must be whole, aligned 4 KiB pages");
    }
    if (base + bytes.byteLength > 2 ** 32) throw new RangeError("attachRam: RAM ends beyond 4 GiB");
    if (dirty.length * 32 < pages) throw new RangeError(`attachRam: ${dirty.length} dirty words for ${pages} pages`);
    if (new Uint8Array(new Uint32Array([1]).buffer)[0] !== 1) {
      throw new Error("attachRam: the hart reads RAM through typed arrays, which needs a little-endian host");
    }
    this.#ramBase = base | 0;
    this.#words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    this.#halves = new Int16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
    this.#dirty = dirty;
  }

  /** Power-on state: all zero but `pc` and the two argument registers. */
  reset(pc: number, a0: number, a1: number): void {
    const x = new Uint32Array(32);
    x[10] = a0;
    x[11] = a1;
    this.load({
      pc,
      x,
      mstatus: 0,
      mie: 0,
      mip: 0,
      mtvec: 0,
      mscratch: 0,
      mepc: 0,
      mcause: 0,
      mtval: 0,
      mcycle: 0n,
      minstret: 0n,
      waiting: false,
    });
  }

  /** In `wfi` with no enabled interrupt pending: a run would take no step. */
  get idle(): boolean {
    return this.#waiting && !this.#wakeUpPending();
  }

  /**
   * The memory that the last run ended for: the instruction at `pc` needs it, has not begun, and is begun anew by the
   * next run. A physical address of a page of RAM that is not there, or what a device's register threw (`PAGE_ABSENT`).
   */
  get missed(): number | MigrationError | undefined {
    return this.#missed;
  }

  get pc(): number {
    return this.#pc >>> 0;
  }

  /** Drives one interrupt line. May be called by the bus during a run: it counts from the next instruction on. */
  setInterruptLine(line: InterruptLine, level: boolean): void {
    const bit = 1 << INTERRUPT_LINE[line];
    this.#csrs.mip = level ? this.#csrs.mip | bit : this.#csrs.mip & ~bit;
  }

  /** For the bus: ends the current run after the instruction that is being executed. */
  stop(): void {
    this.#stopRequested = true;
  }

  save(): HartState {
    const csrs = this.#csrs;
    return {
      pc: this.#pc >>> 0,
      x: Uint32Array.from(this.#x, (value) => value >>> 0),
      mstatus: csrs.mstatus >>> 0,
      mie: csrs.mie >>> 0,
      mip: csrs.mip >>> 0,
      mtvec: csrs.mtvec >>> 0,
      mscratch: csrs.mscratch >>> 0,
      mepc: csrs.mepc >>> 0,
      mcause: csrs.mcause >>> 0,
      mtval: csrs.mtval >>> 0,
      mcycle: BigInt.asUintN(64, csrs.mcycleBase),
      minstret: BigInt.asUintN(64, csrs.minstretBase),
      waiting: this.#waiting,
    };
  }

  /** Takes a state whole. Bits that this hart does not have are dropped; `hartStateProblem` finds them beforehand. */
  load(state: HartState): void {
    const csrs = this.#csrs;
    for (let register = 1; register < 32; register++) this.#x[register] = state.x[register] ?? 0;
    this.#pc = state.pc & ~3;
    csrs.mstatus = (state.mstatus & MSTATUS_WRITABLE) | MSTATUS_MPP;
    csrs.mie = state.mie & INTERRUPT_LINES_MASK;
    csrs.mip = state.mip & INTERRUPT_LINES_MASK;
    csrs.mtvec = state.mtvec & ~3;
    csrs.mscratch = state.mscratch | 0;
    csrs.mepc = state.mepc & ~3;
    csrs.mcause = state.mcause | 0;
    csrs.mtval = state.mtval | 0;
    csrs.mcycleBase = state.mcycle;
    csrs.minstretBase = state.minstret;
    this.#waiting = state.waiting;
  }

  /**
   * Takes up to `maxSteps` steps and answers how many it took. A step is an instruction, retired or trapping.
   * It is fewer when the hart waits in `wfi` with nothing pending, when the bus called `stop`, or when an instruction
   * needs memory that is not there (`missed`).
   */
  run(maxSteps: number): number {
    if (this.#running) throw new Error("run: the hart is running");
    this.#missed = undefined;
    if (this.#waiting) {
      if (!this.#wakeUpPending()) return 0;
      this.#waiting = false;
    }
    this.#running = true;
    this.#stopRequested = false;
    this.#absent = this.#absentPages();
    try {
      return this.#execute(maxSteps);
    } finally {
      this.#running = false;
    }
  }

  #execute(maxSteps: number): number {
    const x = this.#x;
    const words = this.#words;
    const halves = this.#halves;
    const dirty = this.#dirty;
    const operations = this.#operations;
    const ramBase = this.#ramBase;
    const ramWords = words.length;
    const absent = this.#absent;
    // While pages are absent no access takes the fast way, which knows nothing of them.
    const fastWords = absent === undefined ? ramWords : 0;
    let limit = maxSteps;
    let steps = 0;
    let pc = this.#enterInterrupt(this.#pc);

    execution: while (steps < limit) {
      // Word indices stay below 2^30, so that every index and comparison is a small integer even with 3 GiB of RAM.
      const fetchIndex = (pc - ramBase) >>> 2;
      if (fetchIndex >= fastWords) {
        if (fetchIndex >= ramWords) {
          pc = this.#trap(EXCEPTION.fetchFault, pc, pc);
          steps++;
          continue;
        }
        if (this.#isAbsent(pc)) break;
      }
      const word = words[fetchIndex] as number;
      const rs1 = x[(word >>> 15) & 0x1f] as number;
      const rs2 = x[(word >>> 20) & 0x1f] as number;
      const key = (word & 0x7f) | ((word >>> 5) & 0x380) | ((word >>> 15) & 0x400) | ((word >>> 19) & 0x800);
      let result = 0;
      // The literals are OPERATION's: engines make a jump table of literals only.
      switch (operations[key] as number) {
        case 1: // lui
          result = word & ~0xfff;
          break;
        case 2: // auipc
          result = pc + (word & ~0xfff);
          break;
        case 3: {
          // jal
          const target = (pc + jumpOffset(word)) | 0;
          if ((target & 2) !== 0) {
            pc = this.#trap(EXCEPTION.fetchMisaligned, pc, target);
          } else {
            x[(word >>> 7) & 0x1f] = pc + 4;
            x[0] = 0;
            pc = target;
          }
          steps++;
          continue;
        }
        case 4: {
          // jalr
          const target = (rs1 + (word >> 20)) & ~1;
          if ((target & 2) !== 0) {
            pc = this.#trap(EXCEPTION.fetchMisaligned, pc, target);
          } else {
            x[(word >>> 7) & 0x1f] = pc + 4;
            x[0] = 0;
            pc = target;
          }
          steps++;
          continue;
        }
        case 5: // beq
          pc = rs1 === rs2 ? this.#branch(pc, word) : (pc + 4) | 0;
          steps++;
          continue;
        case 6: // bne
          pc = rs1 !== rs2 ? this.#branch(pc, word) : (pc + 4) | 0;
          steps++;
          continue;
        case 7: // blt
          pc = rs1 < rs2 ? this.#branch(pc, word) : (pc + 4) | 0;
          steps++;
          continue;
        case 8: // bge
          pc = rs1 >= rs2 ? this.#branch(pc, word) : (pc + 4) | 0;
          steps++;
          continue;
        case 9: // bltu
          pc = (rs1 ^ MIN_INT) < (rs2 ^ MIN_INT) ? this.#branch(pc, word) : (pc + 4) | 0;
          steps++;
          continue;
        case 10: // bgeu
          pc = (rs1 ^ MIN_INT) >= (rs2 ^ MIN_INT) ? this.#branch(pc, word) : (pc + 4) | 0;
          steps++;
          continue;
        case 11: // lb
        case 14: {
          // lbu
          const address = (rs1 + (word >> 20)) | 0;
          const index = (address - ramBase) >>> 2;
          if (index < fastWords) {
            const byte = (words[index] as number) >>> ((address & 3) << 3);
            result = (word & 0x4000) === 0 ? (byte << 24) >> 24 : byte & 0xff;
            break;
          }
          pc = this.#loadSlowly(pc, word, address, 1);
          if (this.#missed !== undefined) break execution;
          steps++;
          if (this.#stopRequested) limit = steps;
          continue;
        }
        case 12: // lh
        case 15: {
          // lhu
          const address = (rs1 + (word >> 20)) | 0;
          const index = (address - ramBase) >>> 1;
          if ((address & 1) === 0 && index >>> 1 < fastWords) {
            const half = halves[index] as number;
            result = (word & 0x4000) === 0 ? half : half & 0xffff;
            break;
          }
          pc = this.#loadSlowly(pc, word, address, 2);
          if (this.#missed !== undefined) break execution;
          steps++;
          if (this.#stopRequested) limit = steps;
          continue;
        }
        case 13: {
          // lw
          const address = (rs1 + (word >> 20)) | 0;
          const index = (address - ramBase) >>> 2;
          if ((address & 3) === 0 && index < fastWords) {
            result = words[index] as number;
            break;
          }
          pc = this.#loadSlowly(pc, word, address, 4);
          if (this.#missed !== undefined) break execution;
          steps++;
          if (this.#stopRequested) limit = steps;
          continue;
        }
        case 16: {
          // sb
          const address = (rs1 + storeOffset(word)) | 0;
          const index = (address - ramBase) >>> 2;
          if (index < fastWords) {
            steps++;
            const shift = (address & 3) << 3;
            words[index] = ((words[index] as number) & ~(0xff << shift)) | ((rs2 & 0xff) << shift);
            const page = index >>> 10;
            dirty[page >>> 5] = (dirty[page >>> 5] as number) | (1 << (page & 31));
            pc = (pc + 4) | 0;
            continue;
          }
          pc = this.#storeSlowly(pc, address, 1, rs2 & 0xff);
          if (this.#missed !== undefined) break execution;
          steps++;
          if (this.#stopRequested) limit = steps;
          continue;
        }
        case 17: {
          // sh
          const address = (rs1 + storeOffset(word)) | 0;
          const index = (address - ramBase) >>> 1;
          if ((address & 1) === 0 && index >>> 1 < fastWords) {
            steps++;
            halves[index] = rs2;
            const page = index >>> 11;
            dirty[page >>> 5] = (dirty[page >>> 5] as number) | (1 << (page & 31));
            pc = (pc + 4) | 0;
            continue;
          }
          pc = this.#storeSlowly(pc, address, 2, rs2 & 0xffff);
          if (this.#missed !== undefined) break execution;
          steps++;
          if (this.#stopRequested) limit = steps;
          continue;
        }
        case 18: {
          // sw
          const address = (rs1 + storeOffset(word)) | 0;
          const index = (address - ramBase) >>> 2;
          if ((address & 3) === 0 && index < fastWords) {
            steps++;
            words[index] = rs2;
            const page = index >>> 10;
            dirty[page >>> 5] = (dirty[page >>> 5] as number) | (1 << (page & 31));
            pc = (pc + 4) | 0;
            continue;
          }
          pc = this.#storeSlowly(pc, address, 4, rs2 >>> 0);
          if (this.#missed !== undefined) break execution;
          steps++;
          if (this.#stopRequested) limit = steps;
          continue;
        }
        case 19: // addi
          result = rs1 + (word >> 20);
          break;
        case 20: // slti
          result = rs1 < word >> 20 ? 1 : 0;
          break;
        case 21: // sltiu
          result = (rs1 ^ MIN_INT) < ((word >> 20) ^ MIN_INT) ? 1 : 0;
          break;
        case 22: // xori
          result = rs1 ^ (word >> 20);
          break;
        case 23: // ori
          result = rs1 | (word >> 20);
          break;
        case 24: // andi
          result = rs1 & (word >> 20);
          break;
        case 46: // fence, fence.i: one hart that fetches from RAM itself and whose stores are seen at once
          break;
        case 47: // ecall, ebreak, mret, wfi, csr*
          pc = this.#system(pc, word, steps);
          steps++;
          if (this.#stopRequested) limit = steps;
          continue;
        case 0:
          pc = this.#trap(EXCEPTION.illegalInstruction, pc, word);
          steps++;
          continue;
        default:
          if ((word & FUNCT7_REST) !== 0) {
            pc = this.#trap(EXCEPTION.illegalInstruction, pc, word);
            steps++;
            continue;
          }
          switch (operations[key] as number) {
            case 25: // slli
              result = rs1 << ((word >>> 20) & 0x1f);
              break;
            case 26: // srli
              result = rs1 >>> ((word >>> 20) & 0x1f);
              break;
            case 27: // srai
              result = rs1 >> ((word >>> 20) & 0x1f);
              break;
            case 28: // add
              result = rs1 + rs2;
              break;
            case 29: // sub
              result = rs1 - rs2;
              break;
            case 30: // sll
              result = rs1 << (rs2 & 0x1f);
              break;
            case 31: // slt
              result = rs1 < rs2 ? 1 : 0;
              break;
            case 32: // sltu
              result = (rs1 ^ MIN_INT) < (rs2 ^ MIN_INT) ? 1 : 0;
              break;
            case 33: // xor
              result = rs1 ^ rs2;
              break;
            case 34: // srl
              result = rs1 >>> (rs2 & 0x1f);
              break;
            case 35: // sra
              result = rs1 >> (rs2 & 0x1f);
              break;
            case 36: // or
              result = rs1 | rs2;
              break;
            case 37: // and
              result = rs1 & rs2;
              break;
            case 38: // mul
              result = Math.imul(rs1, rs2);
              break;
            case 39: // mulh
              result = multiplyHighSigned(rs1, rs2);
              break;
            case 40: // mulhsu
              result = multiplyHighSignedUnsigned(rs1, rs2);
              break;
            case 41: // mulhu
              result = multiplyHighUnsigned(rs1, rs2);
              break;
            case 42: // div: by zero gives -1; `| 0` brings the one overflow, -2^31 / -1, back to -2^31
              result = rs2 === 0 ? -1 : (rs1 / rs2) | 0;
              break;
            case 43: // divu: by zero gives 2^32 - 1
              result = rs2 === 0 ? -1 : ((rs1 >>> 0) / (rs2 >>> 0)) | 0;
              break;
            case 44: // rem: by zero gives the dividend
              result = rs2 === 0 ? rs1 : (rs1 % rs2) | 0;
              break;
            case 45: // remu: by zero gives the dividend
              result = rs2 === 0 ? rs1 : ((rs1 >>> 0) % (rs2 >>> 0)) | 0;
              break;
          }
      }
      x[(word >>> 7) & 0x1f] = result;
      x[0] = 0;
      pc = (pc + 4) | 0;
      steps++;
    }
    this.#pc = pc;
    this.#csrs.mcycleBase += BigInt(steps);
    this.#csrs.minstretBase += BigInt(steps);
    return steps;
  }

  #wakeUpPending(): boolean {
    return (this.#csrs.mip & this.#csrs.mie) !== 0;
  }

  /** `pc`, or the trap handler if an interrupt is to be taken before the instruction at `pc`. */
  #enterInterrupt(pc: number): number {
    const csrs = this.#csrs;
    const pending = csrs.mip & csrs.mie;
    if (pending === 0 || (csrs.mstatus & MSTATUS_MIE) === 0) return pc;
    for (const line of LINES_BY_PRIORITY) {
      if ((pending & (1 << line)) !== 0) return this.#enterTrap(INTERRUPT_CAUSE | line, pc, 0);
    }
    return pc;
  }

  /** An instruction that did not retire; answers the next pc. */
  #trap(cause: number, pc: number, value: number): number {
    this.#csrs.minstretBase -= 1n;
    return this.#enterTrap(cause, pc, value);
  }

  #enterTrap(cause: number, pc: number, value: number): number {
    const csrs = this.#csrs;
    csrs.mcause = cause;
    csrs.mepc = pc;
    csrs.mtval = value;
    csrs.mstatus = MSTATUS_MPP | ((csrs.mstatus & MSTATUS_MIE) !== 0 ? MSTATUS_MPIE : 0);
    return csrs.mtvec;
  }

  #branch(pc: number, word: number): number {
    const target = (pc + branchOffset(word)) | 0;
    return (target & 2) === 0 ? target : this.#trap(EXCEPTION.fetchMisaligned, pc, target);
  }

  /** Whether the page of RAM at `address` is not there; the run then ends. Of a run to which some page is absent. */
  #isAbsent(address: number): boolean {
    const page = (address - this.#ramBase) >>> 12;
    if ((((this.#absent as Uint32Array)[page >>> 5] as number) & (1 << (page & 31))) === 0) return false;
    this.#missed = address >>> 0;
    return true;
  }

  /** Word of RAM at an aligned address, or -1: it is elsewhere. */
  #ramIndex(address: number): number {
    const index = (address - this.#ramBase) >>> 2;
    return index < this.#words.length ? index : -1;
  }

  /** A load that is misaligned, not in RAM, or while pages are absent; answers the next pc, which `missed` voids. */
  #loadSlowly(pc: number, word: number, address: number, size: 1 | 2 | 4): number {
    if ((address & (size - 1)) !== 0) return this.#trap(EXCEPTION.loadMisaligned, pc, address);
    const index = this.#ramIndex(address);
    let value: number | undefined;
    if (index < 0) value = this.#onBus(() => this.#bus.mmioRead(address >>> 0, size));
    else if (!this.#isAbsent(address)) value = (this.#words[index] as number) >>> ((address & 3) << 3);
    if (this.#missed !== undefined) return pc;
    if (value === undefined) return this.#trap(EXCEPTION.loadFault, pc, address);
    const shift = 32 - size * 8;
    const unsigned = (word & 0x4000) !== 0;
    this.#x[(word >>> 7) & 0x1f] = unsigned ? (value << shift) >>> shift : (value << shift) >> shift;
    this.#x[0] = 0;
    return index < 0 ? this.#enterInterrupt((pc + 4) | 0) : (pc + 4) | 0;
  }

  /** A store that is misaligned, not in RAM, or while pages are absent; answers the next pc, which `missed` voids. */
  #storeSlowly(pc: number, address: number, size: 1 | 2 | 4, value: number): number {
    if ((address & (size - 1)) !== 0) return this.#trap(EXCEPTION.storeMisaligned, pc, address);
    const index = this.#ramIndex(address);
    if (index >= 0) {
      if (this.#isAbsent(address)) return pc;
      this.#store(index, address, size, value);
      return (pc + 4) | 0;
    }
    const taken = this.#onBus(() => this.#bus.mmioWrite(address >>> 0, size, value));
    if (this.#missed !== undefined) return pc;
    if (!taken) return this.#trap(EXCEPTION.storeFault, pc, address);
    return this.#enterInterrupt((pc + 4) | 0);
  }

  #store(index: number, address: number, size: 1 | 2 | 4, value: number): void {
    const shift = (address & 3) << 3;
    const mask = (size === 4 ? -1 : 2 ** (8 * size) - 1) << shift;
    this.#words[index] = ((this.#words[index] as number) & ~mask) | ((value << shift) & mask);
    const page = index >>> 10;
    this.#dirty[page >>> 5] = (this.#dirty[page >>> 5] as number) | (1 << (page & 31));
  }

  /** A device that needs memory which is not there says so before it does anything: its register is accessed anew. */
  #onBus<T>(access: () => T): T | undefined {
    try {
      return access();
    } catch (error) {
      if (!isMigrationError(error) || error.code !== "PAGE_ABSENT") throw error;
      this.#missed = error;
      return undefined;
    }
  }

  /** The SYSTEM opcode; answers the next pc. */
  #system(pc: number, word: number, steps: number): number {
    switch (word) {
      case 0x0000_0073:
        return this.#trap(EXCEPTION.environmentCall, pc, 0);
      case 0x0010_0073:
        return this.#trap(EXCEPTION.breakpoint, pc, pc);
      case 0x3020_0073:
        return this.#returnFromTrap();
      case 0x1050_0073:
        return this.#waitForInterrupt((pc + 4) | 0);
    }
    if (!this.#accessCsr(word, steps)) return this.#trap(EXCEPTION.illegalInstruction, pc, word);
    return this.#enterInterrupt((pc + 4) | 0);
  }

  #returnFromTrap(): number {
    const csrs = this.#csrs;
    const enable = (csrs.mstatus & MSTATUS_MPIE) !== 0 ? MSTATUS_MIE : 0;
    csrs.mstatus = MSTATUS_MPP | MSTATUS_MPIE | enable;
    return this.#enterInterrupt(csrs.mepc);
  }

  #waitForInterrupt(next: number): number {
    if (this.#wakeUpPending()) return this.#enterInterrupt(next);
    this.#waiting = true;
    this.#stopRequested = true;
    return next;
  }

  /** csrrw, csrrs, csrrc and their immediate forms; `false` is an illegal instruction. */
  #accessCsr(word: number, steps: number): boolean {
    const number = word >>> 20;
    const kind = (word >>> 12) & 3;
    if (kind === 0) return false;
    const operandField = (word >>> 15) & 0x1f;
    const writes = kind === 1 || operandField !== 0;
    if (writes && number >>> 10 === 3) return false;
    const old = readCsr(this.#csrs, this.hartId, number, steps);
    if (old === undefined) return false;
    const operand = (word & 0x4000) !== 0 ? operandField : (this.#x[operandField] as number);
    if (writes) {
      const value = kind === 1 ? operand : kind === 2 ? old | operand : old & ~operand;
      writeCsr(this.#csrs, number, value, steps);
    }
    this.#x[(word >>> 7) & 0x1f] = old;
    this.#x[0] = 0;
    return true;
  }
}
