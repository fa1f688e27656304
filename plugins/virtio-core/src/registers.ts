// What is common to all virtio devices and travels: plain data, so that a procedure over it can be followed.
import { endian } from "./constants.ts";

export interface Registers {
  status: number;
  /** Interrupt status: bit 0 a queue, bit 1 configuration. */
  isr: number;
  queueSelect: number;
  /** Negotiated. In the middle of a load, the low 32 bits. */
  features: bigint;
  /** Byte order of a legacy guest, as in `virtio/device_endian`; unknown in the middle of a load. */
  deviceEndian: number;
  /** Configuration space as the driver last read or wrote it, in its byte order; zeros before that. A reset keeps it. */
  config: Uint8Array;
  broken: boolean;
  started: boolean;
  disabled: boolean;
}

/** As after a reset, but for the byte order, which only whoever resets it knows, and what a reset keeps. */
export function clearRegisters(registers: Registers): void {
  registers.status = 0;
  registers.isr = 0;
  registers.queueSelect = 0;
  registers.features = 0n;
  registers.deviceEndian = endian.unknown;
  registers.broken = false;
  registers.started = false;
  registers.disabled = false;
}
