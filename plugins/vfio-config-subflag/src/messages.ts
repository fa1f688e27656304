// How a function signals by messages now: as its MSI-X table says, or its MSI capability, whichever the guest has enabled.
import { type MsiPlaces, msiPlaces, msiSetup, msixVectorsOf, type PciConfigSpace } from "./pci-core.ts";

export interface Messages {
  readonly kind: "msix" | "msi";
  readonly vectors: number;
  message(vector: number): { readonly address: number; readonly data: number };
  isMasked(vector: number): boolean;
  isPending(vector: number): boolean;
  setPending(vector: number, pending: boolean): void;
}

const enableBit = 0x8000;
const maskAllBit = 0x4000;
const entryMaskBit = 1;
const msixEntryBytes = 16;

/** A function's MSI-X: what its guest writes into the table, and its pending bits. */
export class Msix implements Messages {
  readonly kind = "msix";
  readonly vectors: number;
  /** Per vector: message address (64 bits), data, control. Little-endian. */
  readonly table: Uint8Array;
  readonly pba: Uint8Array;
  readonly #config: PciConfigSpace;

  constructor(config: PciConfigSpace) {
    this.#config = config;
    this.vectors = msixVectorsOf(config.bytes);
    this.table = new Uint8Array(msixEntryBytes * this.vectors);
    this.pba = new Uint8Array(Math.ceil(this.vectors / 8));
    this.reset();
  }

  reset(): void {
    this.table.fill(0);
    for (let i = 0; i < this.vectors; i++) this.table[msixEntryBytes * i + 12] = entryMaskBit;
    this.pba.fill(0);
  }

  get enabled(): boolean {
    return (this.#config.msixControl & enableBit) !== 0;
  }

  message(vector: number): { address: number; data: number } {
    const view = new DataView(this.table.buffer, msixEntryBytes * vector, msixEntryBytes);
    return { address: view.getUint32(4, true) * 2 ** 32 + view.getUint32(0, true), data: view.getUint32(8, true) };
  }

  isMasked(vector: number): boolean {
    const control = this.table[msixEntryBytes * vector + 12] as number;
    return (this.#config.msixControl & maskAllBit) !== 0 || (control & entryMaskBit) !== 0;
  }

  isPending(vector: number): boolean {
    return ((this.pba[vector >> 3] as number) & (1 << (vector & 7))) !== 0;
  }

  setPending(vector: number, pending: boolean): void {
    setBit(this.pba, vector, pending);
  }
}

/** A function's MSI. What waits behind a mask stands in configuration space, where there are masks at all. */
export class Msi implements Messages {
  readonly kind = "msi";
  /** What the function can have; 0 without MSI. */
  readonly capable: number;
  readonly #config: PciConfigSpace;
  readonly #places: MsiPlaces | undefined;
  readonly #waiting = new Uint8Array(4);

  constructor(config: PciConfigSpace) {
    this.#config = config;
    this.#places = msiPlaces(config.bytes);
    this.capable = this.#places?.vectors ?? 0;
  }

  reset(): void {
    this.#waiting.fill(0);
  }

  get enabled(): boolean {
    return this.#setup !== undefined;
  }

  get vectors(): number {
    return this.#setup?.vectors ?? 0;
  }

  /** The vector stands in the data's low bits. */
  message(vector: number): { address: number; data: number } {
    const { address = 0, data = 0, vectors = 1 } = this.#setup ?? {};
    return { address, data: data - (data % vectors) + vector };
  }

  isMasked(vector: number): boolean {
    return (((this.#setup?.masked ?? 0) >>> vector) & 1) === 1;
  }

  isPending(vector: number): boolean {
    return ((this.#pending[vector >> 3] as number) & (1 << (vector & 7))) !== 0;
  }

  setPending(vector: number, pending: boolean): void {
    setBit(this.#pending, vector, pending);
  }

  get #setup() {
    return this.#places && msiSetup(this.#config.bytes, this.#places);
  }

  get #pending(): Uint8Array {
    const at = this.#places?.pending;
    return at === undefined ? this.#waiting : this.#config.bytes.subarray(at, at + 4);
  }
}

function setBit(bytes: Uint8Array, index: number, on: boolean): void {
  const bit = 1 << (index & 7);
  const rest = (bytes[index >> 3] as number) & ~bit;
  bytes[index >> 3] = on ? rest | bit : rest;
}
