// PCI configuration space: which bits the guest may write, and which must be the same on both sides.
import { MigrationError } from "@godwit/core";
import type { BuiltCapability } from "./capabilities.ts";
import { registerNames } from "./register-names.ts";
import { command, header, pciStatus } from "./registers.ts";

export interface BarSize {
  readonly index: number;
  /** Bytes, a power of two. */
  readonly size: number;
  readonly kind: "io" | "memory32" | "memory64";
}

export interface ConfigSpaceInit {
  readonly bytes: 256 | 4096;
  readonly vendor: number;
  readonly device: number;
  readonly revision: number;
  /** Base class, sub-class, interface. */
  readonly classCode: number;
  readonly subsystemVendor: number;
  readonly subsystem: number;
  readonly bars: readonly BarSize[];
  /** Linked already; the last one is the list's first. */
  readonly capabilities: readonly BuiltCapability[];
  /** What stands outside of that list. */
  readonly extended: readonly BuiltCapability[];
}

/** The lowest bits of a BAR. QEMU's modern BAR is 64-bit and prefetchable. */
const barType = { io: 1, memory32: 0, memory64: 0x0c } as const;
/** I/O ports beyond are none. */
const ioPorts = 0x1_0000;

export class ConfigSpace {
  readonly bytes: Uint8Array;
  /** Bits that the guest may write. As in QEMU, that is all of what belongs to no header and no capability. */
  readonly wmask: Uint8Array;
  /** Bits that writing 1 clears. */
  readonly w1cmask: Uint8Array;
  /** Bits that a load compares. */
  readonly cmask: Uint8Array;
  readonly #bars: readonly BarSize[];
  readonly #nameOf: (offset: number) => string;
  readonly #initial: Uint8Array;

  constructor(init: ConfigSpaceInit) {
    [this.bytes, this.wmask, this.w1cmask, this.cmask] = [0, 1, 2, 3].map(() => new Uint8Array(init.bytes)) as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ];
    this.wmask.fill(0xff, header.end);
    const view = new DataView(this.bytes.buffer);
    view.setUint16(header.vendor, init.vendor, true);
    view.setUint16(header.device, init.device, true);
    // QEMU does not compare the subsystem.
    view.setUint16(header.subsystemVendor, init.subsystemVendor, true);
    view.setUint16(header.subsystem, init.subsystem, true);
    view.setUint32(header.revision, init.revision | (init.classCode << 8), true);
    this.cmask.fill(0xff, header.vendor, header.command);
    this.cmask.fill(0xff, header.revision, header.revision + 4);
    this.cmask[header.headerType] = 0xff;
    this.cmask[header.capabilities] = 0xff;
    this.cmask[header.status] = pciStatus.capabilityList;
    // QEMU does not compare the pin either: one that is wrong ends its process.
    this.bytes[header.interruptPin] = 1;
    this.cmask[header.interruptPin] = 0xff;
    this.wmask[header.interruptLine] = 0xff;
    const { io, memory, busMaster, serr, intxDisable } = command;
    this.#mask16(this.wmask, header.command, io | memory | busMaster | serr | intxDisable);
    this.#mask16(this.w1cmask, header.status, pciStatus.w1c);
    this.#bars = init.bars;
    for (const bar of init.bars) this.#addBar(bar);
    for (const capability of [...init.capabilities, ...init.extended]) this.#addCapability(capability);
    const first = init.capabilities.at(-1);
    if (first !== undefined) {
      this.bytes[header.capabilities] = first.at;
      this.bytes[header.status] = pciStatus.capabilityList;
    }
    this.#initial = this.bytes.slice();
    this.#nameOf = registerNames([...init.capabilities, ...init.extended]);
  }

  /** Little-endian; beyond the space all ones. */
  read(offset: number, size: number): number {
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + (this.bytes[offset + i] ?? 0xff);
    return value;
  }

  write(offset: number, size: number, value: number): void {
    for (let i = 0, rest = value; i < size; i++, rest = Math.floor(rest / 256)) {
      const at = offset + i;
      if (at >= this.bytes.length) return;
      const byte = rest & 0xff;
      const writable = this.wmask[at] as number;
      const kept = (this.bytes[at] as number) & ~writable & ~(byte & (this.w1cmask[at] as number));
      this.bytes[at] = kept | (byte & writable);
    }
  }

  /** Where the guest has put a BAR; undefined while it is not decoded, or nothing is set. */
  barAddress(index: number): number | undefined {
    const bar = this.#bars.find((one) => one.index === index);
    if (bar === undefined) return undefined;
    const decoded = bar.kind === "io" ? command.io : command.memory;
    if ((this.read(header.command, 2) & decoded) === 0) return undefined;
    const at = header.bar + 4 * index;
    const low = this.read(at, 4) - (this.read(at, 4) % bar.size);
    const address = low + (bar.kind === "memory64" ? this.read(at + 4, 4) * 2 ** 32 : 0);
    // All ones are a guest that asks for the size.
    const probing = low + bar.size === 2 ** 32 || (bar.kind === "io" && low + bar.size > ioPorts);
    return address === 0 || probing || !Number.isSafeInteger(address) ? undefined : address;
  }

  reset(): void {
    this.bytes.set(this.#initial);
  }

  /**
   * QEMU's test of an incoming configuration space (wire reference 14.1): bits that the guest cannot write must be as
   * they are here. `DEVICE_CHECK` names the first byte that differs.
   */
  check(incoming: Uint8Array, path: string): void {
    for (let i = 0; i < this.bytes.length; i++) {
      const [read, own, cmask, wmask, w1cmask] = [incoming, this.bytes, this.cmask, this.wmask, this.w1cmask].map(
        (bytes) => bytes[i] as number,
      ) as [number, number, number, number, number];
      if (((read ^ own) & cmask & ~wmask & ~w1cmask) === 0) continue;
      const hex = (byte: number) => byte.toString(16);
      throw new MigrationError(
        "DEVICE_CHECK",
        `${this.#nameOf(i)}: Bad config data: i=0x${hex(i)} read: ${hex(read)} device: ${hex(own)} cmask: ${hex(cmask)} ` +
          `wmask: ${hex(wmask)} w1cmask:${hex(w1cmask)}`,
        { path: `${path}[${i}]`, expected: `0x${hex(own)}`, found: `0x${hex(read)}` },
      );
    }
  }

  #addBar({ index, size, kind }: BarSize): void {
    const at = header.bar + 4 * index;
    this.bytes[at] = barType[kind];
    const view = new DataView(this.wmask.buffer);
    view.setUint32(at, 2 ** 32 - size, true);
    this.cmask.fill(0xff, at, at + (kind === "memory64" ? 8 : 4));
    if (kind === "memory64") view.setUint32(at + 4, 0xffff_ffff, true);
  }

  #addCapability({ at, bytes, writable, clearable, compared }: BuiltCapability): void {
    this.bytes.set(bytes, at);
    this.wmask.set(writable, at);
    this.w1cmask.set(clearable, at);
    this.cmask.set(compared, at);
  }

  #mask16(mask: Uint8Array, at: number, bits: number): void {
    mask[at] = bits & 0xff;
    mask[at + 1] = bits >> 8;
  }
}
