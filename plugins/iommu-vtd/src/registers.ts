// The register file: where registers stand, what their bits mean, and what a guest's write may change.
// Source: Intel Virtualization Technology for Directed I/O, architecture specification, "Register Descriptions".

/** Offsets from the unit's base. 64-bit registers stand as two 32-bit halves, the low one first. */
export const register = {
  VER: 0x00,
  CAP: 0x08,
  ECAP: 0x10,
  GCMD: 0x18,
  GSTS: 0x1c,
  RTADDR: 0x20,
  CCMD: 0x28,
  FSTS: 0x34,
  FECTL: 0x38,
  FEDATA: 0x3c,
  FEADDR: 0x40,
  FEUADDR: 0x44,
  IQH: 0x80,
  IQT: 0x88,
  IQA: 0x90,
  ICS: 0x9c,
  IECTL: 0xa0,
  IEDATA: 0xa4,
  IEADDR: 0xa8,
  IEUADDR: 0xac,
  IRTA: 0xb8,
  IVA: 0xf0,
  IOTLB: 0xf8,
  FRCD: 0x220,
} as const;

/** GCMD and GSTS use the same bits: a command, and its status. */
export const global = {
  TRANSLATION: 0x8000_0000,
  ROOT_POINTER: 0x4000_0000,
  QUEUED_INVALIDATION: 0x0400_0000,
  INTERRUPT_REMAPPING: 0x0200_0000,
  INTERRUPT_POINTER: 0x0100_0000,
  COMPATIBILITY_FORMAT: 0x0080_0000,
} as const;

export const faultStatus = {
  /** PFO: faults were lost. */
  OVERFLOW: 0x01,
  /** PPF: a fault record is waiting. */
  PENDING: 0x02,
  /** IQE: the invalidation queue stands still. */
  QUEUE_ERROR: 0x10,
  /** FRI: which record was filled first. */
  RECORD_SHIFT: 8,
  RECORD_MASK: 0xff00,
} as const;

/** Upper half of CCMD (ICC) and of IOTLB (IVT): set by the guest, cleared when the invalidation is done. */
export const COMMAND_BUSY = 0x8000_0000;

/** The last quarter of a fault record: F, and T (a read). */
export const faultRecord = { VALID: 0x8000_0000, READ: 0x4000_0000, bytes: 16 } as const;

/** IWC: a wait descriptor with its interrupt flag is done. */
export const WAIT_COMPLETE = 0x01;

/** Largest AM of a page-selective invalidation (CAP.MAMV): 2^18 pages of 4 KiB. */
export const maximumAddressMask = 18;

/** How many fault records there are (CAP.NFR + 1). */
export const faultRecords = 1;

// What a guest's write may change, and what it clears by writing a one. Registers that are not named are read-only, the
// upper halves of the event addresses among them, as in QEMU's unit. GCMD keeps the last command but is never read. As in
// QEMU's unit, a guest may also set bits for what is not offered: TTM, DW, EIME.
const access: Readonly<Record<number, { readonly write?: number; readonly clear?: number }>> = {
  [register.GCMD]: { write: 0xff80_0000 },
  [register.RTADDR]: { write: 0xffff_fc00 },
  [register.RTADDR + 4]: { write: 0xffff_ffff },
  [register.CCMD]: { write: 0xffff_ffff },
  [register.CCMD + 4]: { write: 0xe000_0003 },
  [register.FSTS]: { clear: faultStatus.OVERFLOW | faultStatus.QUEUE_ERROR },
  [register.FECTL]: { write: 0x8000_0000 },
  [register.FEDATA]: { write: 0x0000_ffff },
  [register.FEADDR]: { write: 0xffff_fffc },
  [register.IQT]: { write: 0x0007_fff0 },
  [register.IQA]: { write: 0xffff_f807 },
  [register.IQA + 4]: { write: 0xffff_ffff },
  [register.ICS]: { clear: WAIT_COMPLETE },
  [register.IECTL]: { write: 0x8000_0000 },
  [register.IEDATA]: { write: 0xffff_ffff },
  [register.IEADDR]: { write: 0xffff_fffc },
  [register.IRTA]: { write: 0xffff_f80f },
  [register.IRTA + 4]: { write: 0xffff_ffff },
  [register.IVA]: { write: 0xffff_f07f },
  [register.IVA + 4]: { write: 0xffff_ffff },
  [register.IOTLB + 4]: { write: 0xb003_ffff },
  [register.FRCD + 12]: { clear: faultRecord.VALID },
};

/** RTADDR.TTM, bits 11 and 10: 0 is legacy mode, 1 scalable mode. Means nothing where scalable mode is not offered. */
export const tableMode = { SHIFT: 10, MASK: 0xc00 } as const;
/** IQA.DW: descriptors have 256 bits. Means nothing where scalable mode is not offered. */
export const WIDE_DESCRIPTORS = 0x800;
/** IRTA.EIME: destinations of the interrupt table's entries have 32 bits. */
export const EXTENDED_DESTINATIONS = 0x800;

/** A register file over the bytes of `csr`, which it reads and writes in place. Values are unsigned 32-bit numbers. */
export class RegisterFile {
  readonly #view: DataView;

  constructor(csr: Uint8Array) {
    this.#view = new DataView(csr.buffer, csr.byteOffset, csr.byteLength);
  }

  get(offset: number): number {
    return this.#view.getUint32(offset, true);
  }

  set(offset: number, value: number): void {
    this.#view.setUint32(offset, value, true);
  }

  has(offset: number, bits: number): boolean {
    return (this.get(offset) & bits) !== 0;
  }

  raise(offset: number, bits: number): void {
    this.set(offset, this.get(offset) | bits);
  }

  lower(offset: number, bits: number): void {
    this.set(offset, this.get(offset) & ~bits);
  }

  /** A guest's write: only what the register allows. */
  write(offset: number, value: number): void {
    const { write = 0, clear = 0 } = access[offset] ?? {};
    this.set(offset, ((this.get(offset) & ~write) | (value & write)) & ~(value & clear));
  }

  /** The page that a 64-bit register points to, as far as the unit's addresses reach (CAP.MGAW), at most to bit 51. */
  pageAddress(offset: number): number {
    const addressBits = ((this.get(register.CAP) >>> 16) & 0x3f) + 1;
    return pageAddress(this.get(offset), this.get(offset + 4)) % 2 ** addressBits;
  }
}

/** Bits 51 to 12 of a 64-bit pointer in two halves. */
export function pageAddress(low: number, high: number): number {
  return (high & 0x000f_ffff) * 2 ** 32 + ((low & 0xffff_f000) >>> 0);
}
