/** The state of a hart as plain data: what a save takes and a load gives back. */
export interface HartState {
  /** Address of the next instruction. */
  pc: number;
  /** x0..x31 as unsigned 32-bit values; x0 is 0. */
  x: Uint32Array;
  /** MIE is bit 3, MPIE bit 7; MPP always reads 3 (machine mode is the only one). */
  mstatus: number;
  mie: number;
  /** The interrupt lines as the machine last drove them: software 3, timer 7, external 11. */
  mip: number;
  mtvec: number;
  mscratch: number;
  mepc: number;
  mcause: number;
  mtval: number;
  /** Steps taken, trapping ones included; a waiting hart takes none. */
  mcycle: bigint;
  /** Instructions retired. */
  minstret: bigint;
  /** Stopped in `wfi` until an enabled interrupt is pending. */
  waiting: boolean;
}

export const MSTATUS_MIE: number = 1 << 3;
export const MSTATUS_MPIE: number = 1 << 7;
/** MPP is read-only here: there is no less privileged mode to return to. */
export const MSTATUS_MPP: number = 3 << 11;
export const MSTATUS_WRITABLE: number = MSTATUS_MIE | MSTATUS_MPIE;

/** Interrupt lines: their bit in mip and mie, and their mcause code. */
export const INTERRUPT_LINE = { software: 3, timer: 7, external: 11 } as const;
export type InterruptLine = keyof typeof INTERRUPT_LINE;

export const INTERRUPT_LINES_MASK: number =
  (1 << INTERRUPT_LINE.software) | (1 << INTERRUPT_LINE.timer) | (1 << INTERRUPT_LINE.external);

/** The one rule of a `HartState` that it breaks. */
export interface HartStateProblem {
  field: string;
  expected: string;
  found: string;
}

/**
 * Says what no hart of this kind can hold, so that a check can refuse a state before any load.
 * `Hart.load` itself never fails on content: it keeps only the bits that exist.
 */
export function hartStateProblem(state: HartState): HartStateProblem | undefined {
  const hex = (value: number): string => `0x${(value >>> 0).toString(16)}`;
  if (state.x.length !== 32) return { field: "x", expected: "32 registers", found: `${state.x.length}` };
  if (state.x[0] !== 0) return { field: "x[0]", expected: "0x0", found: hex(state.x[0] as number) };
  for (const field of ["pc", "mtvec", "mepc"] as const) {
    if ((state[field] & 3) !== 0) return { field, expected: "a multiple of 4", found: hex(state[field]) };
  }
  if ((state.mstatus & ~MSTATUS_WRITABLE) !== MSTATUS_MPP) {
    return { field: "mstatus", expected: "MPP 3, no bits but MIE and MPIE", found: hex(state.mstatus) };
  }
  for (const field of ["mie", "mip"] as const) {
    if ((state[field] & ~INTERRUPT_LINES_MASK) !== 0) {
      return { field, expected: `no bits outside ${hex(INTERRUPT_LINES_MASK)}`, found: hex(state[field]) };
    }
  }
  return undefined;
}
