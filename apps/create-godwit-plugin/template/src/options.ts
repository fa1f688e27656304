// What the assembler of a machine hands to the device, and what it gets back.
import type { TimerQueue } from "@godwit/core";

export interface __Device__Options {
  /** The machine's timers, on its virtual clock. */
  readonly timers: TimerQueue;
  /** Drives the interrupt line. */
  readonly setLine: (level: boolean) => void;
  /** The idstr of the device at the line's other end: its state is loaded first. */
  readonly controller: string;
  /** Tells several devices of this kind in one machine apart; the default is 0. */
  readonly instance?: number;
}

export interface __Device__Offer {
  /** The guest reads the register at this offset; 0 where there is none. */
  read(offset: number): number;
  /** The guest writes 32 bits; ignored where there is no register. */
  write(offset: number, value: number): void;
  /** Nothing armed, nothing rings; the time of day goes on. */
  reset(): void;
}
