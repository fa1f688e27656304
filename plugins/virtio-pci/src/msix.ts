// MSI-X (PCI Local Bus 3.0, section 6.8.2): the table of messages, their masks, and what is pending.
import { msixEntryBytes } from "./registers.ts";

/** Sends a message; both masks and bus mastering have been looked at. */
export type SignalMsi = (address: number, data: number) => void;

export interface MsixHost {
  /** Enabled in message control. */
  readonly enabled: boolean;
  /** The function mask in message control. */
  readonly maskAll: boolean;
  signal(address: number, data: number): void;
}

/** QEMU puts pending bits into the second half of a page, or behind a table that reaches that far. */
export function msixLayout(vectors: number): { readonly pbaAt: number; readonly barBytes: number } {
  const pbaAt = Math.max(2048, msixEntryBytes * vectors);
  let barBytes = 4096;
  while (barBytes < pbaAt + 8 * Math.ceil(vectors / 64)) barBytes *= 2;
  return { pbaAt, barBytes };
}

const maskBit = 1;

export class Msix {
  readonly vectors: number;
  /** Per vector: message address (64 bits), data, control. Little-endian. */
  readonly table: Uint8Array;
  /** Pending bits. */
  readonly pba: Uint8Array;
  readonly #view: DataView;
  readonly #host: MsixHost;

  constructor(host: MsixHost, vectors: number) {
    this.#host = host;
    this.vectors = vectors;
    this.table = new Uint8Array(msixEntryBytes * vectors);
    this.pba = new Uint8Array(Math.ceil(vectors / 8));
    this.#view = new DataView(this.table.buffer);
    this.reset();
  }

  /** Every vector masked, nothing pending. */
  reset(): void {
    this.table.fill(0);
    this.pba.fill(0);
    for (let i = 0; i < this.vectors; i++) this.#view.setUint32(msixEntryBytes * i + 12, maskBit, true);
  }

  load(table: Uint8Array, pba: Uint8Array): void {
    this.table.set(table);
    this.pba.set(pba);
  }

  notify(vector: number): void {
    if (vector >= this.vectors) return;
    if (this.#masked(vector)) this.#setPending(vector, true);
    else this.#send(vector);
  }

  /** After masks may have changed: what is pending and no longer masked goes out. */
  deliverPending(): void {
    if (!this.#host.enabled || this.#host.maskAll) return;
    for (let i = 0; i < this.vectors; i++) {
      if (((this.pba[i >> 3] as number) & (1 << (i & 7))) === 0 || this.#masked(i)) continue;
      this.#setPending(i, false);
      this.#send(i);
    }
  }

  writeTable(offset: number, size: number, value: number): void {
    for (let i = 0, rest = value; i < size; i++, rest = Math.floor(rest / 256)) {
      if (offset + i < this.table.length) this.table[offset + i] = rest & 0xff;
    }
    this.deliverPending();
  }

  #masked(vector: number): boolean {
    return this.#host.maskAll || (this.#view.getUint32(msixEntryBytes * vector + 12, true) & maskBit) !== 0;
  }

  #setPending(vector: number, pending: boolean): void {
    const bit = 1 << (vector & 7);
    const rest = (this.pba[vector >> 3] as number) & ~bit;
    this.pba[vector >> 3] = pending ? rest | bit : rest;
  }

  #send(vector: number): void {
    const at = msixEntryBytes * vector;
    const low = this.#view.getUint32(at, true);
    const high = this.#view.getUint32(at + 4, true);
    this.#host.signal(high * 2 ** 32 + low, this.#view.getUint32(at + 8, true));
  }
}
