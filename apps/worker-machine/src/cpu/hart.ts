// One RISC-V hart: RV32I (unprivileged specification, chapter 2) over a flat RAM at address 0. There are no privileged
// registers and no handlers, so a trap halts.
import type { Registers } from "./registers.ts";

/** mcause of what halts the hart. */
export const trapCause = {
  fetchMisaligned: 0,
  fetchAccess: 1,
  illegal: 2,
  breakpoint: 3,
  loadAccess: 5,
  storeAccess: 7,
  environmentCall: 11,
} as const;

export class Hart {
  readonly #x = new Int32Array(32);
  readonly #ram: DataView;
  #pc = 0;
  #instret = 0;
  #halted = false;
  #cause = 0;

  constructor(ram: Uint8Array) {
    this.#ram = new DataView(ram.buffer, ram.byteOffset, ram.byteLength);
  }

  get registers(): Registers {
    return {
      x: this.#x.slice(),
      pc: this.#pc,
      instret: this.#instret,
      halted: this.#halted,
      cause: this.#cause,
    };
  }

  set registers({ x, pc, instret, halted, cause }: Registers) {
    this.#x.set(x);
    this.#pc = pc;
    this.#instret = instret;
    this.#halted = halted;
    this.#cause = cause;
  }

  get instret(): number {
    return this.#instret;
  }

  get halted(): boolean {
    return this.#halted;
  }

  /** Executes `count` instructions, fewer where one traps: that one is not retired. */
  execute(count: number): void {
    for (let left = count; left > 0 && !this.#halted; left--) {
      const cause = this.#step();
      if (cause === undefined) continue;
      this.#halted = true;
      this.#cause = cause;
    }
  }

  /** One instruction, or the cause of its trap: nothing has changed then. */
  #step(): number | undefined {
    const pc = this.#pc;
    if ((pc & 3) !== 0) return trapCause.fetchMisaligned;
    if (!this.#holds(pc, 4)) return trapCause.fetchAccess;
    const word = this.#ram.getInt32(pc, true);
    const x = this.#x;
    const rd = (word >>> 7) & 31;
    const funct3 = (word >>> 12) & 7;
    const a = x[(word >>> 15) & 31] as number;
    const b = x[(word >>> 20) & 31] as number;
    let next = (pc + 4) >>> 0;
    switch (word & 0x7f) {
      case 0x37: // LUI
        x[rd] = word & 0xffff_f000;
        break;
      case 0x17: // AUIPC
        x[rd] = pc + (word & 0xffff_f000);
        break;
      case 0x6f: // JAL
        x[rd] = next;
        next = (pc + immediateJ(word)) >>> 0;
        break;
      case 0x67: // JALR
        if (funct3 !== 0) return trapCause.illegal;
        x[rd] = next;
        next = ((a + (word >> 20)) & ~1) >>> 0;
        break;
      case 0x63: {
        const taken = branches(funct3, a, b);
        if (taken === undefined) return trapCause.illegal;
        if (taken) next = (pc + immediateB(word)) >>> 0;
        break;
      }
      case 0x03: {
        const bytes = loadBytes[funct3];
        if (bytes === undefined) return trapCause.illegal;
        const address = (a + (word >> 20)) >>> 0;
        if (!this.#holds(address, bytes)) return trapCause.loadAccess;
        x[rd] = this.#load(funct3, address);
        break;
      }
      case 0x23: {
        const bytes = storeBytes[funct3];
        if (bytes === undefined) return trapCause.illegal;
        const address = (a + (((word >> 25) << 5) | rd)) >>> 0;
        if (!this.#holds(address, bytes)) return trapCause.storeAccess;
        this.#store(bytes, address, b);
        break;
      }
      case 0x13: {
        // A shift has its amount where others have the immediate's low bits, and bit 30 tells SRAI.
        const isShift = funct3 === 1 || funct3 === 5;
        const variant = isShift ? word >>> 25 : 0;
        if (variant !== 0 && !(variant === 0x20 && funct3 === 5)) return trapCause.illegal;
        x[rd] = compute(funct3, variant === 0x20, a, word >> 20);
        break;
      }
      case 0x33: {
        const variant = word >>> 25;
        const hasVariant = funct3 === 0 || funct3 === 5;
        if (variant !== 0 && !(variant === 0x20 && hasVariant)) return trapCause.illegal;
        x[rd] = compute(funct3, variant === 0x20, a, b);
        break;
      }
      case 0x0f: // FENCE: one hart, in order
        if (funct3 !== 0) return trapCause.illegal;
        break;
      case 0x73:
        if (word === 0x0000_0073) return trapCause.environmentCall;
        if (word === 0x0010_0073) return trapCause.breakpoint;
        return trapCause.illegal;
      default:
        return trapCause.illegal;
    }
    x[0] = 0;
    this.#pc = next;
    this.#instret++;
    return undefined;
  }

  #holds(address: number, bytes: number): boolean {
    return address + bytes <= this.#ram.byteLength;
  }

  #load(funct3: number, address: number): number {
    switch (funct3) {
      case 0:
        return this.#ram.getInt8(address);
      case 1:
        return this.#ram.getInt16(address, true);
      case 4:
        return this.#ram.getUint8(address);
      case 5:
        return this.#ram.getUint16(address, true);
      default:
        return this.#ram.getInt32(address, true);
    }
  }

  #store(bytes: number, address: number, value: number): void {
    if (bytes === 4) this.#ram.setInt32(address, value, true);
    else if (bytes === 2) this.#ram.setInt16(address, value, true);
    else this.#ram.setInt8(address, value);
  }
}

/** By funct3: LB, LH, LW, none, LBU, LHU. */
const loadBytes: readonly (number | undefined)[] = [1, 2, 4, undefined, 1, 2];
/** By funct3: SB, SH, SW. */
const storeBytes: readonly (number | undefined)[] = [1, 2, 4];

function compute(funct3: number, variant: boolean, a: number, b: number): number {
  switch (funct3) {
    case 0:
      return variant ? a - b : a + b;
    case 1:
      return a << (b & 31);
    case 2:
      return a < b ? 1 : 0;
    case 3:
      return a >>> 0 < b >>> 0 ? 1 : 0;
    case 4:
      return a ^ b;
    case 5:
      return variant ? a >> (b & 31) : a >>> (b & 31);
    case 6:
      return a | b;
    default:
      return a & b;
  }
}

function branches(funct3: number, a: number, b: number): boolean | undefined {
  switch (funct3) {
    case 0:
      return a === b;
    case 1:
      return a !== b;
    case 4:
      return a < b;
    case 5:
      return a >= b;
    case 6:
      return a >>> 0 < b >>> 0;
    case 7:
      return a >>> 0 >= b >>> 0;
    default:
      return undefined;
  }
}

function immediateB(word: number): number {
  return ((word >> 31) << 12) | ((word << 4) & 0x800) | ((word >>> 20) & 0x7e0) | ((word >>> 7) & 0x1e);
}

function immediateJ(word: number): number {
  return ((word >> 31) << 20) | (word & 0xf_f000) | ((word >>> 9) & 0x800) | ((word >>> 20) & 0x7fe);
}
