// Guest memory as a ring's engine uses it: numbers in the guest's order, and a driver that points at nothing breaks its
// device, never the machine.
import { isMigrationError } from "@godwit/core";
import { isPageAbsent } from "./absent.ts";
import { ChainFault } from "./chain.ts";
import { deviceAddress } from "./ring.ts";
import type { QueueHost } from "./virtqueue.ts";

export class GuestMemory {
  readonly #host: QueueHost;
  readonly #index: number;

  constructor(host: QueueHost, index: number) {
    this.#host = host;
    this.#index = index;
  }

  u16(base: bigint, at: number): number {
    const bytes = this.#host.dma.read(deviceAddress(base) + at, 2);
    const [low = 0, high = 0] = this.#host.littleEndian ? bytes : [bytes[1], bytes[0]];
    return low | (high << 8);
  }

  storeU16(base: bigint, at: number, value: number): void {
    const pair = [value & 0xff, value >> 8];
    this.store(base, at, Uint8Array.from(this.#host.littleEndian ? pair : pair.reverse()));
  }

  store(base: bigint, at: number, bytes: Uint8Array): void {
    this.#host.dma.write(deviceAddress(base) + at, bytes);
  }

  /** Breaks the device. */
  fail(reason: string): void {
    this.#host.fail(`queue ${this.#index}: ${reason}`);
  }

  /**
   * Does `work`; where memory does not answer or the driver's chain is none, the device is broken instead. Where a page
   * has not come, the queue is suspended.
   */
  guarded<T>(otherwise: T, work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (isPageAbsent(error)) {
        this.#host.suspend(this.#index, error);
        return otherwise;
      }
      if (!(error instanceof ChainFault) && !isMigrationError(error)) throw error;
      this.fail(isMigrationError(error) ? error.detail : error.message);
      return otherwise;
    }
  }
}
