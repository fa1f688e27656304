// Bits and ids of PCI configuration space. Source: PCI Local Bus 3.0, chapter 6 and its appendices H and D; PCI Express
// Base 5.0, chapter 7; PCI Bus Power Management 1.2; VIRTIO 1.3, section 4.1.4.
import type { BitTable, ValueTable } from "./bits.ts";

export const command: BitTable = {
  bits: {
    0: "IO_SPACE",
    1: "MEMORY_SPACE",
    2: "BUS_MASTER",
    3: "SPECIAL_CYCLES",
    4: "MEMORY_WRITE_INVALIDATE",
    5: "VGA_PALETTE_SNOOP",
    6: "PARITY_ERROR_RESPONSE",
    8: "SERR",
    9: "FAST_BACK_TO_BACK",
    10: "INTERRUPT_DISABLE",
  },
};

export const status: BitTable = {
  bits: {
    3: "INTERRUPT",
    4: "CAPABILITIES",
    5: "66MHZ",
    7: "FAST_BACK_TO_BACK",
    8: "MASTER_DATA_PARITY_ERROR",
    11: "SIGNALED_TARGET_ABORT",
    12: "RECEIVED_TARGET_ABORT",
    13: "RECEIVED_MASTER_ABORT",
    14: "SIGNALED_SYSTEM_ERROR",
    15: "DETECTED_PARITY_ERROR",
  },
  parts: [{ name: "DEVSEL", shift: 9, bits: 2, values: { 1: "medium", 2: "slow" } }],
};

export const headerType: BitTable = {
  bits: { 7: "MULTI_FUNCTION" },
  parts: [
    {
      name: "layout",
      shift: 0,
      bits: 7,
      always: true,
      values: { 0: "device", 1: "PCI-to-PCI bridge", 2: "CardBus bridge" },
    },
  ],
};

export const vendors: ValueTable = {
  values: {
    4130: "AMD",
    4115: "Cirrus Logic",
    4660: "QEMU (unregistered)",
    6900: "Red Hat, virtio",
    6966: "Red Hat",
    32902: "Intel",
  },
};

/** Virtio devices by type; a modern one has the device id 0x1040 and its type. */
const virtioTypes: Readonly<Record<number, string>> = {
  1: "net",
  2: "block",
  3: "console",
  4: "entropy",
  5: "balloon",
  8: "SCSI host",
  9: "9P",
  16: "GPU",
  18: "input",
  19: "socket",
  20: "crypto",
  23: "IOMMU",
  24: "memory",
  26: "file system",
  27: "pmem",
};

/** Of a transitional device, by device id. */
const transitional: Readonly<Record<number, string>> = {
  4096: "net",
  4097: "block",
  4098: "balloon",
  4099: "console",
  4100: "SCSI host",
  4101: "entropy",
  4105: "9P",
};

export function virtioDevice(deviceId: number): string | undefined {
  const old = transitional[deviceId];
  if (old !== undefined) return `virtio ${old}, transitional or legacy`;
  const type = virtioTypes[deviceId - 0x1040];
  return type && `virtio ${type}`;
}

export const baseClass: ValueTable = {
  values: {
    0: "unclassified",
    1: "mass storage",
    2: "network",
    3: "display",
    4: "multimedia",
    5: "memory",
    6: "bridge",
    7: "communication",
    8: "system peripheral",
    9: "input",
    12: "serial bus",
    16: "encryption",
    18: "processing accelerator",
    255: "no class",
  },
};

export const capabilityIds: Readonly<Record<number, string>> = {
  1: "power management",
  2: "AGP",
  3: "VPD",
  4: "slot identification",
  5: "MSI",
  6: "CompactPCI hot swap",
  7: "PCI-X",
  8: "HyperTransport",
  9: "vendor-specific",
  10: "debug port",
  11: "CompactPCI resource control",
  12: "hot-plug",
  13: "bridge subsystem vendor id",
  14: "AGP 8x",
  15: "secure device",
  16: "PCI Express",
  17: "MSI-X",
  18: "SATA",
  19: "advanced features",
  20: "enhanced allocation",
};

export const extendedCapabilityIds: Readonly<Record<number, string>> = {
  1: "advanced error reporting",
  2: "virtual channel",
  3: "device serial number",
  4: "power budgeting",
  11: "vendor-specific extended",
  13: "access control services",
  14: "alternative routing id",
  15: "address translation services",
  16: "single root I/O virtualization",
  19: "page request interface",
  21: "resizable BAR",
  24: "latency tolerance reporting",
  25: "secondary PCI Express",
  27: "process address space id",
  30: "L1 PM substates",
  35: "designated vendor-specific",
};

export const msixControl: BitTable = {
  bits: { 14: "FUNCTION_MASK", 15: "ENABLE" },
  parts: [{ name: "vectors", shift: 0, bits: 11, plus: 1, always: true }],
};

export const msiControl: BitTable = {
  bits: { 0: "ENABLE", 7: "64BIT", 8: "PER_VECTOR_MASKING" },
  parts: [
    { name: "capable", shift: 1, bits: 3, always: true, values: powers() },
    { name: "enabled", shift: 4, bits: 3, values: powers() },
  ],
};

/** Vectors of MSI come as the exponent. */
function powers(): Readonly<Record<number, string>> {
  return { 0: "1", 1: "2", 2: "4", 3: "8", 4: "16", 5: "32" };
}

export const powerControl: BitTable = {
  bits: { 3: "NO_SOFT_RESET", 8: "PME_ENABLE", 15: "PME_STATUS" },
  parts: [{ name: "state", shift: 0, bits: 2, always: true, values: { 0: "D0", 1: "D1", 2: "D2", 3: "D3hot" } }],
};

export const expressCapabilities: BitTable = {
  bits: { 8: "SLOT" },
  parts: [
    { name: "version", shift: 0, bits: 4, always: true },
    {
      name: "type",
      shift: 4,
      bits: 4,
      always: true,
      values: {
        0: "endpoint",
        1: "legacy endpoint",
        4: "root port",
        5: "upstream port",
        6: "downstream port",
        7: "PCI Express-to-PCI bridge",
        8: "PCI-to-PCI Express bridge",
        9: "root complex integrated endpoint",
        10: "root complex event collector",
      },
    },
    { name: "message", shift: 9, bits: 5 },
  ],
};

export const expressDeviceControl: BitTable = {
  bits: {
    0: "CORRECTABLE_ERRORS",
    1: "NON_FATAL_ERRORS",
    2: "FATAL_ERRORS",
    3: "UNSUPPORTED_REQUESTS",
    4: "RELAXED_ORDERING",
    8: "EXTENDED_TAGS",
    9: "PHANTOM_FUNCTIONS",
    10: "AUX_POWER",
    11: "NO_SNOOP",
    15: "FUNCTION_LEVEL_RESET",
  },
  parts: [
    { name: "payload", shift: 5, bits: 3, values: sizes() },
    { name: "readRequest", shift: 12, bits: 3, values: sizes() },
  ],
};

function sizes(): Readonly<Record<number, string>> {
  return { 0: "128", 1: "256", 2: "512", 3: "1024", 4: "2048", 5: "4096" };
}

/** Section 7.8.8 of PCI Express: address translation services. */
export const atsControl: BitTable = {
  bits: { 15: "ENABLE" },
  parts: [{ name: "smallestTranslationUnit", shift: 0, bits: 5 }],
};

export const virtioCapabilityTypes: ValueTable = {
  values: {
    1: "common configuration",
    2: "notifications",
    3: "ISR status",
    4: "device configuration",
    5: "PCI configuration access",
    8: "shared memory",
    9: "vendor data",
  },
};

/** Vector control of an MSI-X table's entry. */
export const vectorControl: BitTable = { bits: { 0: "MASKED" } };
