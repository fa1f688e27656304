// The messages by which the unit itself interrupts: one for faults, one for completed invalidations.
import type { RegisterFile } from "./registers.ts";

/**
 * Delivers a message-signalled interrupt: a 32-bit `data` written to `address`, whose upper half comes apart: it is 0
 * but where interrupt remapping with 32-bit destinations puts bits 31 to 8 of a destination there, in bits 63 to 40.
 */
export type SignalMsi = (address: number, data: number, upperAddress: number) => void;

const masked = 0x8000_0000; // IM
const pending = 0x4000_0000; // IP

/** Four registers in a row, at `base`: control, data, address, upper address (FECTL …, IECTL …). */
export class EventMessage {
  readonly #base: number;
  readonly #signal: SignalMsi | undefined;

  constructor(base: number, signal: SignalMsi | undefined) {
    this.#base = base;
    this.#signal = signal;
  }

  raise(registers: RegisterFile): void {
    registers.raise(this.#base, pending);
    this.deliver(registers);
  }

  /** Sends what is pending unless it is masked; to be called when the mask may have changed. */
  deliver(registers: RegisterFile): void {
    const control = registers.get(this.#base);
    if (this.#signal === undefined || (control & pending) === 0 || (control & masked) !== 0) return;
    registers.lower(this.#base, pending);
    this.#signal(registers.get(this.#base + 8), registers.get(this.#base + 4), registers.get(this.#base + 12));
  }

  /** The reason is gone before the message was sent. */
  withdraw(registers: RegisterFile): void {
    registers.lower(this.#base, pending);
  }
}
