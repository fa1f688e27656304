// What a unit can do: the capability registers, made for a new unit and read from any unit's state.
import { MigrationError } from "@godwit/core";
import type { VtdState } from "./description.ts";
import { faultRecords, maximumAddressMask, RegisterFile, register } from "./registers.ts";

/** What decides how a unit walks its tables and remaps interrupts. */
export interface Capability {
  /** CAP.SAGAW: bit n is set where tables of n + 2 levels are supported; n is 1, 2 or 3. */
  readonly tableWidths: number;
  /** CAP.MGAW + 1: bits of the largest device address. */
  readonly addressBits: number;
  /** CAP.SLLPS: bit 0 is 2 MiB pages, bit 1 is 1 GiB. */
  readonly largePages: number;
  /** ECAP.PT: context entries may say "pass through". */
  readonly passThrough: boolean;
  /** ECAP.DT: devices may have a TLB of their own. */
  readonly deviceTlb: boolean;
  /** ECAP.SC: page-table entries may force snooping. */
  readonly snoopControl: boolean;
  /** ECAP.IR: interrupts can be remapped. */
  readonly intremap: boolean;
  /** ECAP.EIM: destinations of remapped interrupts may have 32 bits. */
  readonly eim: boolean;
  /** ECAP.SMTS: the guest may choose scalable mode, and 256-bit invalidation descriptors. */
  readonly scalableMode: boolean;
}

/** Bits of ECAP, of its lower half and of its upper one. */
const ecap = {
  QUEUED_INVALIDATION: 1 << 1,
  DEVICE_TLB: 1 << 2,
  INTERRUPT_REMAPPING: 1 << 3,
  EXTENDED_INTERRUPTS: 1 << 4,
  PASS_THROUGH: 1 << 6,
  SNOOP_CONTROL: 1 << 7,
  SUPERVISOR_REQUESTS: 1 << 31,
} as const;
const upperEcap = { PASID: 1 << 8, SCALABLE_MODE: 1 << 11, SECOND_LEVEL: 1 << 14 } as const;

/** IIDX of an invalidation may leave out up to this many bits (ECAP.MHMV). */
const handleMask = 0xf;
const drains = 0b11 << 22;

export function capabilityOf(registers: RegisterFile): Capability {
  const low = registers.get(register.CAP);
  const has = (bit: number) => registers.has(register.ECAP, bit);
  return {
    tableWidths: (low >>> 8) & 0b1110,
    addressBits: ((low >>> 16) & 0x3f) + 1,
    largePages: (registers.get(register.CAP + 4) >>> 2) & 0b11,
    passThrough: has(ecap.PASS_THROUGH),
    deviceTlb: has(ecap.DEVICE_TLB),
    snoopControl: has(ecap.SNOOP_CONTROL),
    intremap: has(ecap.INTERRUPT_REMAPPING),
    eim: has(ecap.EXTENDED_INTERRUPTS),
    scalableMode: registers.has(register.ECAP + 4, upperEcap.SCALABLE_MODE),
  };
}

/** What a unit is to offer its guest. The names in brackets are those of QEMU's device "intel-iommu". */
export interface CapabilityOptions {
  /** Bits of device addresses: 39 (three levels of tables, the default) or 48 (three or four) [aw-bits]. */
  readonly addressWidth?: 39 | 48;
  /** CAP.CM: the guest is to invalidate after every change of a table [caching-mode]. Default: false. */
  readonly cachingMode?: boolean;
  /** CAP.DRD, CAP.DWD: invalidations can wait for accesses under way [dma-drain]. Default: true. */
  readonly dmaDrain?: boolean;
  /** ECAP.PT: context entries may say "pass through" [pt]. Default: true. */
  readonly passThrough?: boolean;
  /** ECAP.SC [snoop-control]. Default: false. */
  readonly snoopControl?: boolean;
  /** ECAP.DT: devices may have a TLB of their own [device-iotlb]. Default: false. */
  readonly deviceTlb?: boolean;
  /** ECAP.IR: interrupts can be remapped [intremap]. Default: false. */
  readonly intremap?: boolean;
  /** ECAP.EIM: 32-bit destinations; needs `intremap` [eim]. Default: false. */
  readonly eim?: boolean;
  /** ECAP.SMTS, SLTS and SRS [x-scalable-mode]. The state is carried; accesses are not translated. Default: false. */
  readonly scalableMode?: boolean;
  /** ECAP.PASID; needs `scalableMode` [x-pasid-mode]. Default: false. */
  readonly pasid?: boolean;
}

export type CapabilityChoice = Required<CapabilityOptions>;

const defaults: CapabilityChoice = {
  addressWidth: 39,
  cachingMode: false,
  dmaDrain: true,
  passThrough: true,
  snoopControl: false,
  deviceTlb: false,
  intremap: false,
  eim: false,
  scalableMode: false,
  pasid: false,
};

/** Fills in the defaults. `DEFINITION_INVALID` where an option needs another one. */
export function chooseCapability(options: CapabilityOptions): CapabilityChoice {
  const given = Object.entries(options).filter(([name, value]) => name in defaults && value !== undefined);
  const choice: CapabilityChoice = { ...defaults, ...Object.fromEntries(given) };
  for (const [option, needed] of [
    ["eim", "intremap"],
    ["pasid", "scalableMode"],
  ] as const) {
    if (!choice[option] || choice[needed]) continue;
    throw new MigrationError("DEFINITION_INVALID", `${option} needs ${needed}`, {
      side: "define",
      expected: `${needed}: true`,
      found: `${needed}: false`,
    });
  }
  return choice;
}

/** Writes VER, CAP and ECAP of a new unit; the layout is the one that QEMU's unit has. */
export function writeCapability(registers: RegisterFile, choice: CapabilityChoice): void {
  const domains = 6; // ND: 16-bit domain ids
  const tableWidths = choice.addressWidth === 39 ? 0b010 : 0b110;
  const widest = choice.addressWidth - 1;
  const faultRecordOffset = register.FRCD / 16;
  const largePages = 0b11;
  const pageSelective = 1 << 7;
  const iotlbOffset = register.IVA / 16;
  const when = (offered: boolean, bits: number) => (offered ? bits : 0);
  registers.set(register.VER, 0x10);
  registers.set(
    register.CAP,
    domains | when(choice.cachingMode, 1 << 7) | (tableWidths << 8) | (widest << 16) | (faultRecordOffset << 24),
  );
  registers.set(
    register.CAP + 4,
    (largePages << 2) |
      pageSelective |
      ((faultRecords - 1) << 8) |
      (maximumAddressMask << 16) |
      when(choice.dmaDrain, drains),
  );
  registers.set(
    register.ECAP,
    ecap.QUEUED_INVALIDATION |
      when(choice.deviceTlb, ecap.DEVICE_TLB) |
      when(choice.intremap, ecap.INTERRUPT_REMAPPING | (handleMask << 20)) |
      when(choice.eim, ecap.EXTENDED_INTERRUPTS) |
      when(choice.passThrough, ecap.PASS_THROUGH) |
      when(choice.snoopControl, ecap.SNOOP_CONTROL) |
      (iotlbOffset << 8) |
      when(choice.scalableMode, ecap.SUPERVISOR_REQUESTS),
  );
  registers.set(
    register.ECAP + 4,
    when(choice.scalableMode, upperEcap.SCALABLE_MODE | upperEcap.SECOND_LEVEL) | when(choice.pasid, upperEcap.PASID),
  );
}

/**
 * The options of a unit that loads this state: those whose capability registers are the state's own. `DEVICE_CHECK`
 * with the register where no options give them, a unit of QEMU 10.0 with `x-flts` for example.
 */
export function optionsFor(state: VtdState): CapabilityChoice {
  const theirs = new RegisterFile(state.csr);
  const { addressBits, passThrough, snoopControl, deviceTlb, intremap, eim, scalableMode } = capabilityOf(theirs);
  const choice: CapabilityChoice = {
    addressWidth: addressBits === 48 ? 48 : 39,
    cachingMode: theirs.has(register.CAP, 1 << 7),
    dmaDrain: theirs.has(register.CAP + 4, drains),
    passThrough,
    snoopControl,
    deviceTlb,
    intremap,
    eim: eim && intremap,
    scalableMode,
    pasid: scalableMode && theirs.has(register.ECAP + 4, upperEcap.PASID),
  };
  const csr = new Uint8Array(state.csr.length);
  writeCapability(new RegisterFile(csr), choice);
  refuseOtherCapability(theirs, new RegisterFile(csr), "no options give a unit these capabilities");
  return choice;
}

/** `DEVICE_CHECK` at the first capability register that differs. */
export function refuseOtherCapability(theirs: RegisterFile, ours: RegisterFile, what: string): void {
  for (const [name, offset] of [
    ["VER", register.VER],
    ["CAP", register.CAP],
    ["CAP", register.CAP + 4],
    ["ECAP", register.ECAP],
    ["ECAP", register.ECAP + 4],
  ] as const) {
    if (theirs.get(offset) === ours.get(offset)) continue;
    throw new MigrationError("DEVICE_CHECK", `${what} (${name}, bits ${(offset % 8) * 8} and up)`, {
      path: `csr[${offset}]`,
      expected: `0x${ours.get(offset).toString(16)}`,
      found: `0x${theirs.get(offset).toString(16)}`,
    });
  }
}
