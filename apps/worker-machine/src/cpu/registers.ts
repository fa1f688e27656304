// What a hart holds between two instructions. Plain data: it crosses threads by structured clone.

export interface Registers {
  /** x0 to x31; x0 is 0. */
  readonly x: Int32Array;
  /** Byte address of the next instruction, or of the one that trapped. */
  readonly pc: number;
  /** Instructions retired since reset: a safe integer. */
  readonly instret: number;
  /** The hart has trapped and executes nothing more. */
  readonly halted: boolean;
  /** RISC-V's mcause of that trap, else 0. */
  readonly cause: number;
}

export function resetRegisters(): Registers {
  return { x: new Int32Array(32), pc: 0, instret: 0, halted: false, cause: 0 };
}
