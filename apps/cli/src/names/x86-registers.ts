// Control registers of x86. Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 3A, section 2.3
// and 2.5; volume 4 for IA32_EFER; AMD64 volume 2, 3.1.7.
import type { BitTable } from "./bits.ts";

export const eflags: BitTable = {
  bits: {
    0: "CF",
    1: "1",
    2: "PF",
    4: "AF",
    6: "ZF",
    7: "SF",
    8: "TF",
    9: "IF",
    10: "DF",
    11: "OF",
    14: "NT",
    16: "RF",
    17: "VM",
    18: "AC",
    19: "VIF",
    20: "VIP",
    21: "ID",
  },
  parts: [{ name: "IOPL", shift: 12, bits: 2 }],
};

export const cr0: BitTable = {
  bits: { 0: "PE", 1: "MP", 2: "EM", 3: "TS", 4: "ET", 5: "NE", 16: "WP", 18: "AM", 29: "NW", 30: "CD", 31: "PG" },
};

export const cr4: BitTable = {
  bits: {
    0: "VME",
    1: "PVI",
    2: "TSD",
    3: "DE",
    4: "PSE",
    5: "PAE",
    6: "MCE",
    7: "PGE",
    8: "PCE",
    9: "OSFXSR",
    10: "OSXMMEXCPT",
    11: "UMIP",
    12: "LA57",
    13: "VMXE",
    14: "SMXE",
    16: "FSGSBASE",
    17: "PCIDE",
    18: "OSXSAVE",
    20: "SMEP",
    21: "SMAP",
    22: "PKE",
    23: "CET",
    24: "PKS",
  },
};

export const eferTable: BitTable = {
  bits: { 0: "SCE", 8: "LME", 10: "LMA", 11: "NXE", 12: "SVME", 13: "LMSLE", 14: "FFXSR", 15: "TCE" },
};
