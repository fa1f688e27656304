// What a unit can do: the capability registers, made for a new unit and read from any unit's state.
import { faultRecords, maximumAddressMask, type RegisterFile, register } from "./registers.ts";

/** What decides how a unit walks its tables. */
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
}

const ecap = { QUEUED_INVALIDATION: 1 << 1, DEVICE_TLB: 1 << 2, PASS_THROUGH: 1 << 6, SNOOP_CONTROL: 1 << 7 } as const;

export function capabilityOf(registers: RegisterFile): Capability {
  const low = registers.get(register.CAP);
  return {
    tableWidths: (low >>> 8) & 0b1110,
    addressBits: ((low >>> 16) & 0x3f) + 1,
    largePages: (registers.get(register.CAP + 4) >>> 2) & 0b11,
    passThrough: registers.has(register.ECAP, ecap.PASS_THROUGH),
    deviceTlb: registers.has(register.ECAP, ecap.DEVICE_TLB),
    snoopControl: registers.has(register.ECAP, ecap.SNOOP_CONTROL),
  };
}

export interface CapabilityChoice {
  readonly addressWidth: 39 | 48;
  readonly cachingMode: boolean;
  readonly passThrough: boolean;
}

/** Writes VER, CAP and ECAP of a new unit; the layout is the one that QEMU's unit has. */
export function writeCapability(registers: RegisterFile, choice: CapabilityChoice): void {
  const domains = 6; // ND: 16-bit domain ids
  const tableWidths = choice.addressWidth === 39 ? 0b010 : 0b110;
  const widest = choice.addressWidth - 1;
  const faultRecordOffset = register.FRCD / 16;
  const largePages = 0b11;
  const pageSelective = 1 << 7;
  const drains = 0b11 << 22;
  registers.set(register.VER, 0x10);
  registers.set(
    register.CAP,
    domains | (choice.cachingMode ? 1 << 7 : 0) | (tableWidths << 8) | (widest << 16) | (faultRecordOffset << 24),
  );
  registers.set(
    register.CAP + 4,
    (largePages << 2) | pageSelective | ((faultRecords - 1) << 8) | (maximumAddressMask << 16) | drains,
  );
  const iotlbOffset = register.IVA / 16;
  const handleMask = 0xf;
  const translation = ecap.QUEUED_INVALIDATION | (choice.passThrough ? ecap.PASS_THROUGH : 0);
  registers.set(register.ECAP, translation | (iotlbOffset << 8) | (handleMask << 20));
}
