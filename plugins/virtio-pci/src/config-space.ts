// PCI configuration space of 256 bytes: which bits the guest may write, and which must be the same on both sides.
import { MigrationError } from "@godwit/core";
import type { BuiltCapability } from "./capabilities.ts";
import { command, header, pciStatus } from "./registers.ts";

export interface BarSize {
  readonly index: number;
  /** Bytes, a power of two. */
  readonly size: number;
  readonly is64Bit: boolean;
}

export interface ConfigSpaceInit {
  readonly vendor: number;
  readonly device: number;
  readonly revision: number;
  /** Base class, sub-class, interface. */
  readonly classCode: number;
  readonly subsystemVendor: number;
  readonly subsystem: number;
  readonly bars: readonly BarSize[];
  readonly capabilities: readonly BuiltCapability[];
}

const configBytes = 256;

/** 64-bit and prefetchable, as QEMU's modern BAR. */
const bar64Type = 0x0c;

export class ConfigSpace {
  readonly bytes: Uint8Array = new Uint8Array(configBytes);
  /** Bits that the guest may write. */
  readonly wmask: Uint8Array = new Uint8Array(configBytes);
  /** Bits that writing 1 clears. */
  readonly w1cmask: Uint8Array = new Uint8Array(configBytes);
  /** Bits that a load compares. */
  readonly cmask: Uint8Array = new Uint8Array(configBytes);
  readonly #bars: readonly BarSize[];
  readonly #initial: Uint8Array;

  constructor(init: ConfigSpaceInit) {
    const view = new DataView(this.bytes.buffer);
    const fixed16 = (at: number, value: number) => {
      view.setUint16(at, value, true);
      this.cmask.fill(0xff, at, at + 2);
    };
    fixed16(header.vendor, init.vendor);
    fixed16(header.device, init.device);
    fixed16(header.subsystemVendor, init.subsystemVendor);
    fixed16(header.subsystem, init.subsystem);
    view.setUint32(header.revision, init.revision | (init.classCode << 8), true);
    this.cmask.fill(0xff, header.revision, header.revision + 4);
    this.cmask[header.headerType] = 0xff;
    this.bytes[header.interruptPin] = 1;
    this.cmask[header.interruptPin] = 0xff;
    this.wmask[header.interruptLine] = 0xff;
    const { io, memory, busMaster, parity, serr, intxDisable } = command;
    this.#mask16(this.wmask, header.command, io | memory | busMaster | parity | serr | intxDisable);
    this.#mask16(this.w1cmask, header.status, pciStatus.w1c);
    this.#bars = init.bars;
    for (const bar of init.bars) this.#addBar(bar);
    this.#addCapabilities(init.capabilities);
    this.#initial = this.bytes.slice();
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
      if (at >= configBytes) return;
      const byte = rest & 0xff;
      const writable = this.wmask[at] as number;
      const kept = (this.bytes[at] as number) & ~writable & ~(byte & (this.w1cmask[at] as number));
      this.bytes[at] = kept | (byte & writable);
    }
  }

  /** Where the guest has put a BAR; undefined while memory is not decoded, or nothing is set. */
  barAddress(index: number): number | undefined {
    const bar = this.#bars.find((one) => one.index === index);
    if (bar === undefined || (this.read(header.command, 2) & command.memory) === 0) return undefined;
    const at = header.bar + 4 * index;
    const low = this.read(at, 4) - (this.read(at, 4) % 16);
    const address = low + (bar.is64Bit ? this.read(at + 4, 4) * 2 ** 32 : 0);
    // All ones are a guest that asks for the size.
    const probing = low + bar.size === 2 ** 32;
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
    for (let i = 0; i < configBytes; i++) {
      const [read, own, cmask, wmask, w1cmask] = [incoming, this.bytes, this.cmask, this.wmask, this.w1cmask].map(
        (bytes) => bytes[i] as number,
      ) as [number, number, number, number, number];
      if (((read ^ own) & cmask & ~wmask & ~w1cmask) === 0) continue;
      const hex = (byte: number) => byte.toString(16);
      throw new MigrationError(
        "DEVICE_CHECK",
        `Bad config data: i=0x${hex(i)} read: ${hex(read)} device: ${hex(own)} cmask: ${hex(cmask)} ` +
          `wmask: ${hex(wmask)} w1cmask:${hex(w1cmask)}`,
        { path: `${path}[${i}]`, expected: `0x${hex(own)}`, found: `0x${hex(read)}` },
      );
    }
  }

  #addBar({ index, size, is64Bit }: BarSize): void {
    const at = header.bar + 4 * index;
    const view = new DataView(this.wmask.buffer);
    view.setUint32(at, 2 ** 32 - size, true);
    this.cmask.fill(0xff, at, at + (is64Bit ? 8 : 4));
    if (!is64Bit) return;
    this.bytes[at] = bar64Type;
    view.setUint32(at + 4, 0xffff_ffff, true);
  }

  #addCapabilities(capabilities: readonly BuiltCapability[]): void {
    for (const { at, bytes, writable } of capabilities) {
      this.bytes.set(bytes, at);
      this.wmask.set(writable, at);
      this.cmask.fill(0xff, at, at + bytes.length);
    }
    const first = capabilities.at(-1);
    if (first === undefined) return;
    this.bytes[header.capabilities] = first.at;
    this.cmask[header.capabilities] = 0xff;
    this.bytes[header.status] = pciStatus.capabilityList;
    this.cmask[header.status] = pciStatus.capabilityList;
  }

  #mask16(mask: Uint8Array, at: number, bits: number): void {
    mask[at] = bits & 0xff;
    mask[at + 1] = bits >> 8;
  }
}
