// The registers of PCI configuration space by name (PCI Local Bus 3.0, section 6.1), and which bits a guest may write.

/** 4096 for PCI Express. */
export type ConfigBytes = 256 | 4096;

/** Offsets of the type 0 header that behaviour depends on. */
export const header = {
  command: 0x04,
  status: 0x06,
  bar0: 0x10,
  capabilities: 0x34,
  end: 0x40,
} as const;

export const pciStatus = { interrupt: 0x08, capabilityList: 0x10 } as const;
export const capabilityId = { msi: 0x05, msix: 0x11 } as const;

export interface Register {
  readonly name: string;
  readonly at: number;
  /** Bytes. */
  readonly size: number;
  /** Bits that a guest may write, little-endian; none where it is not said. */
  readonly writable?: number;
  /** Bits that writing 1 clears. */
  readonly clears?: number;
}

/** The type 0 header. What a BAR lets a guest write depends on its size, and is the device's to say. */
export const headerRegisters: readonly Register[] = [
  { name: "VENDOR_ID", at: 0x00, size: 2 },
  { name: "DEVICE_ID", at: 0x02, size: 2 },
  { name: "COMMAND", at: 0x04, size: 2, writable: 0x0547 },
  { name: "STATUS", at: 0x06, size: 2, clears: 0xf900 },
  { name: "REVISION_ID", at: 0x08, size: 1 },
  { name: "CLASS_CODE", at: 0x09, size: 3 },
  { name: "CACHE_LINE_SIZE", at: 0x0c, size: 1, writable: 0xff },
  { name: "LATENCY_TIMER", at: 0x0d, size: 1 },
  { name: "HEADER_TYPE", at: 0x0e, size: 1 },
  { name: "BIST", at: 0x0f, size: 1 },
  ...[0, 1, 2, 3, 4, 5].map((bar) => ({ name: `BASE_ADDRESS_${bar}`, at: 0x10 + 4 * bar, size: 4 })),
  { name: "CARDBUS_CIS", at: 0x28, size: 4 },
  { name: "SUBSYSTEM_VENDOR_ID", at: 0x2c, size: 2 },
  { name: "SUBSYSTEM_ID", at: 0x2e, size: 2 },
  { name: "ROM_ADDRESS", at: 0x30, size: 4 },
  { name: "CAPABILITY_LIST", at: 0x34, size: 1 },
  { name: "INTERRUPT_LINE", at: 0x3c, size: 1, writable: 0xff },
  { name: "INTERRUPT_PIN", at: 0x3d, size: 1 },
  { name: "MIN_GNT", at: 0x3e, size: 1 },
  { name: "MAX_LAT", at: 0x3f, size: 1 },
];

/** The register that holds the byte at `offset`, as errors name it. `capabilities`: where each begins, and its id. */
export function configRegister(
  offset: number,
  capabilities: readonly { readonly id: number; readonly at: number }[],
): string {
  const register = headerRegisters.find(({ at, size }) => offset >= at && offset < at + size);
  if (register !== undefined) return register.name;
  const holder = capabilities
    .filter(({ at }) => at <= offset && offset < 256)
    .reduce<{ id: number; at: number } | undefined>((best, one) => (best && best.at > one.at ? best : one), undefined);
  if (holder === undefined) return `byte 0x${offset.toString(16)}`;
  const name = capabilityNames[holder.id] ?? `capability 0x${holder.id.toString(16).padStart(2, "0")}`;
  return `${name}+0x${(offset - holder.at).toString(16)}`;
}

const capabilityNames: Readonly<Record<number, string>> = {
  1: "PM",
  5: "MSI",
  9: "VENDOR_SPECIFIC",
  16: "EXPRESS",
  17: "MSI-X",
};
