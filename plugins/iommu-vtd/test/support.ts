// A guest for the tests: memory, a builder of VT-d tables, and a driver that programs the registers.
import { createKernel, type Kernel, MigrationError, type Plugin, virtualClock } from "@godwit/core";
import { type GuestMemory, type Ram, type VtdIommuOffer, type VtdState, vtdIommu } from "../src/index.ts";

export class TestMemory implements GuestMemory {
  readonly bytes: Uint8Array;
  readonly dirty: { gpa: number; length: number }[] = [];
  readonly #view: DataView;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.#view = new DataView(this.bytes.buffer);
  }

  read(gpa: number, length: number): Uint8Array {
    this.#require(gpa, length);
    return this.bytes.subarray(gpa, gpa + length);
  }

  write(gpa: number, bytes: Uint8Array): void {
    this.#require(gpa, bytes.length);
    this.bytes.set(bytes, gpa);
    this.dirty.push({ gpa, length: bytes.length });
  }

  get32(gpa: number): number {
    return this.#view.getUint32(gpa, true);
  }

  get64(gpa: number): bigint {
    return this.#view.getBigUint64(gpa, true);
  }

  set64(gpa: number, value: bigint): void {
    this.#view.setBigUint64(gpa, value, true);
  }

  #require(gpa: number, length: number): void {
    if (gpa >= 0 && gpa + length <= this.bytes.length) return;
    throw new MigrationError("MEMORY_UNMAPPED", "no memory", { found: `0x${gpa.toString(16)}` });
  }
}

export const page4K = 2 ** 12;
export const page2M = 2 ** 21;
export const page1G = 2 ** 30;

export const R = 1n;
export const W = 2n;

/** Builds tables in guest memory as a driver would, taking table pages from `next` on. */
export class Tables {
  readonly memory: TestMemory;
  readonly root: number;
  #next: number;

  constructor(memory: TestMemory, next = 0x10_0000) {
    this.memory = memory;
    this.#next = next;
    this.root = this.page();
  }

  page(): number {
    const at = this.#next;
    this.#next += page4K;
    return at;
  }

  /** Where a device's context entry stands; makes its bus's context table. */
  contextAddress(sourceId: number): number {
    const rootEntry = this.root + 16 * (sourceId >> 8);
    if (this.memory.get64(rootEntry) === 0n) this.memory.set64(rootEntry, BigInt(this.page()) | 1n);
    return Number(this.memory.get64(rootEntry) & ~0xfffn) + 16 * (sourceId & 0xff);
  }

  /** Writes a device's context entry and gives its topmost page table. */
  attach(
    sourceId: number,
    domainId: number,
    levels: 3 | 4 | 5,
    { table = this.page(), type = 0, silent = false } = {},
  ): number {
    const at = this.contextAddress(sourceId);
    this.memory.set64(at, BigInt(table) | (BigInt(type) << 2n) | (silent ? 2n : 0n) | 1n);
    this.memory.set64(at + 8, (BigInt(domainId) << 8n) | BigInt(levels - 2));
    return table;
  }

  /** Where the entry of `level` for an address stands; makes the tables above it. */
  entryAddress(table: number, levels: number, iova: number, level: number): number {
    let at = table;
    for (let l = levels; ; l--) {
      const entry = at + 8 * (Math.floor(iova / 2 ** (12 + 9 * (l - 1))) % 512);
      if (l === level) return entry;
      if (this.memory.get64(entry) === 0n) this.memory.set64(entry, BigInt(this.page()) | R | W);
      at = Number(this.memory.get64(entry) & 0xf_ffff_ffff_f000n);
    }
  }

  map(table: number, levels: number, iova: number, gpa: number, rights = R | W, pageBytes = page4K): void {
    const level = pageBytes === page4K ? 1 : pageBytes === page2M ? 2 : 3;
    const at = this.entryAddress(table, levels, iova, level);
    this.memory.set64(at, BigInt(gpa) | rights | (level > 1 ? 0x80n : 0n));
  }
}

const fields: readonly [keyof VtdState, number | bigint | boolean][] = [
  ["root", 0n],
  ["intr_root", 0n],
  ["iq", 0n],
  ["intr_size", 0],
  ["iq_head", 0],
  ["iq_tail", 0],
  ["iq_size", 0],
  ["next_frcd_reg", 0],
  ["iq_last_desc_type", 0],
  ["dmar_enabled", false],
  ["qi_enabled", false],
  ["intr_enabled", false],
  ["intr_eime", false],
];

/** The state of a unit with everything on offer, translating from `root` on. */
export function stateAt(root: number, { cap = 0x00d2_008c_222f_0e86n, ecap = 0x0f42n, on = true } = {}): VtdState {
  const csr = new Uint8Array(0x230);
  const view = new DataView(csr.buffer);
  view.setUint32(0x00, 0x10, true);
  view.setBigUint64(0x08, cap, true);
  view.setBigUint64(0x10, ecap, true);
  view.setUint32(0x1c, on ? 0xc000_0000 : 0x4000_0000, true);
  view.setBigUint64(0x20, BigInt(root), true);
  return { ...(Object.fromEntries(fields) as unknown as VtdState), csr, root: BigInt(root), dmar_enabled: on };
}

export interface Machine {
  readonly kernel: Kernel;
  readonly iommu: VtdIommuOffer;
  readonly memory: TestMemory;
  readonly ram: Ram;
  /** Address and data; the upper half of an address where it is not 0. */
  readonly messages: [address: number, data: number, upperAddress?: number][];
}

/** A machine of memory and an IOMMU. The memory does not travel: what `staged` gives is `arrived`. */
export function machine(
  options: Partial<Parameters<typeof vtdIommu>[0]> = {},
  memory = new TestMemory(4 * page2M),
  arrived: TestMemory = memory,
): Machine {
  const kernel = createKernel({
    machineType: "test",
    machine: { pause() {}, resume() {}, reset() {} },
    clock: virtualClock(() => 0n),
  });
  return machineIn({ kernel, use: (plugin) => kernel.use(plugin) }, options, memory, arrived);
}

/** The same in a kernel that is there, as the bench takes plugins in. */
export function machineIn(
  bench: { readonly kernel: Kernel; use<O>(plugin: Plugin<O>): O },
  options: Partial<Parameters<typeof vtdIommu>[0]>,
  memory: TestMemory,
  arrived = memory,
): Machine {
  const messages: Machine["messages"] = [];
  const ram: Ram = { memory, after: [], staged: () => arrived };
  const iommu = bench.use(
    vtdIommu({
      memory: ram,
      signalMsi: (address, data, upper) => messages.push(upper === 0 ? [address, data] : [address, data, upper]),
      ...options,
    }),
  );
  return { kernel: bench.kernel, iommu, memory, ram, messages };
}

/** What a guest's driver does with the registers, all in 32-bit accesses. */
export class Driver {
  readonly #mmio: VtdIommuOffer["mmio"];

  constructor({ iommu }: Pick<Machine, "iommu">) {
    this.#mmio = iommu.mmio;
  }

  get(offset: number): number {
    return this.#mmio.read(offset, 4);
  }
  set(offset: number, value: number): void {
    this.#mmio.write(offset, 4, value);
  }
  get64(offset: number): bigint {
    return BigInt(this.get(offset)) | (BigInt(this.get(offset + 4)) << 32n);
  }
  set64(offset: number, value: bigint): void {
    this.set(offset, Number(value & 0xffff_ffffn));
    this.set(offset + 4, Number(value >> 32n));
  }

  /** One bit of GCMD beside the enables that GSTS shows; answers GSTS. */
  command(bit: number, on = true): number {
    const enabled = this.get(GSTS) & 0x8680_0000;
    this.set(GCMD, (on ? enabled | bit : enabled & ~bit) >>> 0);
    return this.get(GSTS);
  }

  enable(root: number): void {
    this.set64(RTADDR, BigInt(root));
    this.command(SRTP);
    this.command(TE);
  }

  invalidateContexts(granularity: number, target: { did?: number; sid?: number; fm?: number } = {}): number {
    const { did = 0, sid = 0, fm = 0 } = target;
    const low = (BigInt(sid) << 16n) | BigInt(did);
    this.set64(CCMD, (1n << 63n) | (BigInt(granularity) << 61n) | (BigInt(fm) << 32n) | low);
    const answer = this.get64(CCMD);
    if (answer >> 63n) throw new Error("ICC is still set");
    return Number((answer >> 59n) & 3n);
  }

  invalidateIotlb(granularity: number, { did = 0, iova = 0, am = 0 } = {}): number {
    this.set64(IVA, BigInt(iova) | BigInt(am));
    this.set64(IOTLB, (1n << 63n) | (BigInt(granularity) << 60n) | (BigInt(did) << 32n));
    const answer = this.get64(IOTLB);
    if (answer >> 63n) throw new Error("IVT is still set");
    return Number((answer >> 57n) & 3n);
  }
}

export const CAP = 0x08;
export const ECAP = 0x10;
export const GCMD = 0x18;
export const GSTS = 0x1c;
export const RTADDR = 0x20;
export const CCMD = 0x28;
export const FSTS = 0x34;
export const FECTL = 0x38;
export const IQH = 0x80;
export const IQT = 0x88;
export const IQA = 0x90;
export const ICS = 0x9c;
export const IECTL = 0xa0;
const IVA = 0xf0;
export const IOTLB = 0xf8;
export const FRCD = 0x220;
export const IRTA = 0xb8;

export const TE = 0x8000_0000;
export const SRTP = 0x4000_0000;
export const QIE = 0x0400_0000;
export const IRE = 0x0200_0000;
export const SIRTP = 0x0100_0000;
export const CFI = 0x0080_0000;

/** The body of the unit's section in a snapshot of its machine. */
export function sectionOf(kernel: Kernel): Uint8Array {
  const bytes = kernel.snapshot();
  const idstr = Uint8Array.from("\x0biommu-intel", (character) => character.charCodeAt(0));
  const at = bytes.findIndex((_, i) => idstr.every((byte, j) => bytes[i + j] === byte)) + idstr.length + 8;
  return bytes.slice(at, at + 602);
}
