// Configuration space with its masks: what a guest may write, and what must be the same on both sides of a migration.
import { MigrationError } from "@godwit/core";
import { capabilitiesOf, msixCapability } from "./capabilities.ts";
import { msiPlaces, msiWritable } from "./msi.ts";
import { type ConfigBytes, configRegister, header, headerRegisters, pciStatus } from "./registers.ts";

export interface ConfigSpaceInit {
  /** As after a reset: 256 bytes, or 4096 for PCI Express. */
  readonly config: Uint8Array;
  /** Sizes of BARs by index, powers of two; 64-bit ones by the index of their lower half. Bytes. */
  readonly barBytes?: Readonly<Record<number, number>>;
  /** Further bits that the guest may write, in capabilities. Masks of bytes by offset. */
  readonly writable?: Readonly<Record<number, number>>;
  /** Bits that the device itself changes, which a load does not compare. Bytes by offset. */
  readonly volatile?: Readonly<Record<number, number>>;
}

export class PciConfigSpace {
  readonly bytes: Uint8Array;
  readonly #wmask: Uint8Array;
  readonly #w1cmask: Uint8Array;
  readonly #cmask: Uint8Array;
  readonly #initial: Uint8Array;
  /** Where MSI-X message control stands. */
  readonly #msixControl: number | undefined;

  constructor({ config, barBytes = {}, writable = {}, volatile = {} }: ConfigSpaceInit) {
    if (config.length !== 256 && config.length !== 4096) {
      throw new MigrationError("DEFINITION_INVALID", "PCI configuration space has 256 bytes or 4096", {
        side: "define",
        path: "config",
        found: String(config.length),
      });
    }
    this.bytes = config.slice();
    this.#initial = config.slice();
    this.#wmask = new Uint8Array(config.length);
    this.#w1cmask = new Uint8Array(config.length);
    this.#cmask = new Uint8Array(config.length).fill(0xff);
    for (const { at, size, writable: own = 0, clears = 0 } of headerRegisters) {
      for (let i = 0; i < size; i++) {
        this.#wmask[at + i] = (own >>> (8 * i)) & 0xff;
        this.#w1cmask[at + i] = (clears >>> (8 * i)) & 0xff;
      }
    }
    for (const [index, bytes] of Object.entries(barBytes)) this.#addBar(Number(index), bytes);
    for (const [at, bits] of Object.entries(writable)) this.#wmask[Number(at)] = bits;
    const at = msixCapability(config);
    this.#msixControl = at === undefined ? undefined : at + 2;
    // Enable and function mask.
    if (at !== undefined) this.#wmask[at + 3] = 0xc0;
    const msi = msiPlaces(config);
    if (msi !== undefined) for (const [place, bits] of msiWritable(msi)) this.#wmask[place] = bits;
    // The function's own: what waits behind a mask.
    if (msi?.pending !== undefined) this.#cmask.fill(0, msi.pending, msi.pending + 4);
    this.#cmask[header.status] = 0xff & ~pciStatus.interrupt;
    for (const [offset, bits] of Object.entries(volatile)) this.#cmask[Number(offset)] = 0xff & ~bits;
  }

  get length(): ConfigBytes {
    return this.bytes.length as ConfigBytes;
  }

  /** MSI-X message control; 0 where the function has none. */
  get msixControl(): number {
    return this.#msixControl === undefined ? 0 : this.read(this.#msixControl, 2);
  }

  /** Little-endian; beyond the space all ones. */
  read(offset: number, size: number): number {
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + (this.bytes[offset + i] ?? 0xff);
    return value;
  }

  /** A guest's write: the bits that it may change, change. */
  write(offset: number, size: number, value: number): void {
    for (let i = 0, rest = value; i < size; i++, rest = Math.floor(rest / 256)) {
      const at = offset + i;
      if (at >= this.bytes.length) break;
      const byte = rest & 0xff;
      const writable = this.#wmask[at] as number;
      const kept = (this.bytes[at] as number) & ~writable & ~(byte & (this.#w1cmask[at] as number));
      this.bytes[at] = kept | (byte & writable);
    }
  }

  /** The device's own write, any bit. */
  set(offset: number, bytes: Uint8Array): void {
    this.bytes.set(bytes, offset);
  }

  load(config: Uint8Array): void {
    this.bytes.set(config);
  }

  reset(): void {
    this.load(this.#initial);
  }

  /** A copy for the wire: the interrupt bit of the status register does not travel (wire reference 14.1). */
  copy(): Uint8Array {
    const copy = this.bytes.slice();
    copy[header.status] = (copy[header.status] as number) & ~pciStatus.interrupt;
    return copy;
  }

  /**
   * QEMU's test of an incoming configuration space (wire reference 14.1): bits that the guest cannot write must be as
   * they are here. `DEVICE_CHECK` names the first register that differs; its place is `path[i]`.
   */
  check(incoming: Uint8Array, path: string): void {
    for (let i = 0; i < this.bytes.length; i++) {
      const own = this.bytes[i] as number;
      const found = incoming[i] as number;
      const compared = (this.#cmask[i] as number) & ~(this.#wmask[i] as number) & ~(this.#w1cmask[i] as number);
      if (((found ^ own) & compared) === 0) continue;
      const name = configRegister(i, capabilitiesOf(this.bytes));
      const hex = (byte: number) => `0x${(byte & compared).toString(16).padStart(2, "0")}`;
      throw new MigrationError("DEVICE_CHECK", `the read-only PCI register ${name} is another device's`, {
        path: `${path}[${i}]`,
        expected: hex(own),
        found: hex(found),
      });
    }
  }

  /** A guest may write the address bits above the size. */
  #addBar(index: number, bytes: number): void {
    const at = header.bar0 + 4 * index;
    const is64Bit = ((this.bytes[at] as number) & 0x07) === 0x04;
    const end = is64Bit ? 2 ** 64 : 2 ** 32;
    if (
      index < 0 ||
      index > (is64Bit ? 4 : 5) ||
      bytes < 16 ||
      bytes > end / 2 ||
      !Number.isInteger(Math.log2(bytes))
    ) {
      throw new MigrationError("DEFINITION_INVALID", "a BAR's size is a power of two, and it is one of six", {
        side: "define",
        path: `config.barBytes[${index}]`,
        found: String(bytes),
      });
    }
    const mask = BigInt(end) - BigInt(bytes);
    for (let i = 0; i < (is64Bit ? 8 : 4); i++) this.#wmask[at + i] = Number((mask >> BigInt(8 * i)) & 0xffn);
  }
}
