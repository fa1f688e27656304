// The registers of Intel's IOMMU in the image that the section `iommu-intel` holds. Source: Intel Virtualization
// Technology for Directed I/O, Architecture Specification, 4.1, chapter 11.4 (offsets and bits; little-endian).
import { type BitTable, type NamedPart, namesIn } from "./bits.ts";

interface Register {
  readonly path: string;
  readonly offset: number;
  readonly bytes: 4 | 8;
  readonly table?: BitTable;
  /** Told even where it is zero. */
  readonly always?: boolean;
  readonly isPrivate?: boolean;
}

const capability: BitTable = {
  bits: {
    3: "AFL",
    4: "RWBF",
    5: "PLMR",
    6: "PHMR",
    7: "CM",
    22: "ZLR",
    39: "PSI",
    54: "DWD",
    55: "DRD",
    56: "FL1GP",
    59: "PI",
    60: "FL5LP",
  },
  parts: [
    { name: "ND", shift: 0, bits: 3, always: true },
    {
      name: "SAGAW",
      shift: 8,
      bits: 5,
      values: { 2: "39-bit", 4: "48-bit", 6: "39-bit,48-bit", 8: "57-bit", 14: "39-bit,48-bit,57-bit" },
    },
    { name: "MGAW", shift: 16, bits: 6, plus: 1, always: true },
    { name: "FRO", shift: 24, bits: 10 },
    { name: "SLLPS", shift: 34, bits: 4, values: { 1: "2M", 3: "2M,1G" } },
    { name: "NFR", shift: 40, bits: 8, plus: 1, always: true },
    { name: "MAMV", shift: 48, bits: 6 },
  ],
};

const extendedCapability: BitTable = {
  bits: {
    0: "C",
    1: "QI",
    2: "DT",
    3: "IR",
    4: "EIM",
    6: "PT",
    7: "SC",
    25: "MTS",
    26: "NEST",
    29: "PRS",
    30: "ERS",
    31: "SRS",
    33: "NWFS",
    34: "EAFS",
    40: "PASID",
    41: "DIT",
    42: "PDS",
    43: "SMTS",
    44: "VCS",
    45: "SLADS",
    46: "SLTS",
    47: "FLTS",
    48: "SMPWCS",
    49: "RPS",
  },
  parts: [
    { name: "IRO", shift: 8, bits: 10 },
    { name: "MHMV", shift: 20, bits: 4 },
    { name: "PSS", shift: 35, bits: 5 },
  ],
};

const globalCommand: BitTable = {
  bits: { 23: "CFI", 24: "SIRTP", 25: "IRE", 26: "QIE", 27: "WBF", 28: "EAFL", 29: "SFL", 30: "SRTP", 31: "TE" },
};

const globalStatus: BitTable = {
  bits: { 23: "CFIS", 24: "IRTPS", 25: "IRES", 26: "QIES", 27: "WBFS", 28: "AFLS", 29: "FLS", 30: "RTPS", 31: "TES" },
};

const faultStatus: BitTable = {
  bits: { 0: "PFO", 1: "PPF", 2: "AFO", 3: "APF", 4: "IQE", 5: "ICE", 6: "ITE" },
  parts: [{ name: "FRI", shift: 8, bits: 8 }],
};

const eventControl: BitTable = { bits: { 30: "IP", 31: "IM" } };

const registers: readonly Register[] = [
  {
    path: "VER",
    offset: 0x00,
    bytes: 4,
    table: {
      parts: [
        { name: "minor", shift: 0, bits: 4, always: true },
        { name: "major", shift: 4, bits: 4, always: true },
      ],
    },
  },
  { path: "CAP", offset: 0x08, bytes: 8, table: capability, always: true },
  { path: "ECAP", offset: 0x10, bytes: 8, table: extendedCapability, always: true },
  { path: "GCMD", offset: 0x18, bytes: 4, table: globalCommand, always: true },
  { path: "GSTS", offset: 0x1c, bytes: 4, table: globalStatus, always: true },
  { path: "RTADDR", offset: 0x20, bytes: 8, isPrivate: true },
  { path: "CCMD", offset: 0x28, bytes: 8 },
  { path: "FSTS", offset: 0x34, bytes: 4, table: faultStatus, always: true },
  { path: "FECTL", offset: 0x38, bytes: 4, table: eventControl },
  { path: "FEDATA", offset: 0x3c, bytes: 4, isPrivate: true },
  { path: "FEADDR", offset: 0x40, bytes: 4, isPrivate: true },
  { path: "FEUADDR", offset: 0x44, bytes: 4, isPrivate: true },
  { path: "PMEN", offset: 0x64, bytes: 4, table: { bits: { 0: "PRS", 31: "EPM" } } },
  { path: "IQH", offset: 0x80, bytes: 8 },
  { path: "IQT", offset: 0x88, bytes: 8 },
  { path: "IQA", offset: 0x90, bytes: 8, isPrivate: true },
  { path: "ICS", offset: 0x9c, bytes: 4, table: { bits: { 0: "IWC" } } },
  { path: "IECTL", offset: 0xa0, bytes: 4, table: eventControl },
  { path: "IEDATA", offset: 0xa4, bytes: 4, isPrivate: true },
  { path: "IEADDR", offset: 0xa8, bytes: 4, isPrivate: true },
  { path: "IEUADDR", offset: 0xac, bytes: 4, isPrivate: true },
  { path: "IRTA", offset: 0xb8, bytes: 8, isPrivate: true },
];

/** Of the field `csr`. */
export function vtdRegisterParts(bytes: Uint8Array): NamedPart[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return registers.flatMap(({ path, offset, bytes: width, table, always = false, isPrivate = false }) => {
    if (offset + width > bytes.length) return [];
    const value = width === 8 ? view.getBigUint64(offset, true) : view.getUint32(offset, true);
    if (!always && BigInt(value) === 0n) return [];
    return [{ path, value, names: table === undefined ? [] : namesIn(table, value), isPrivate }];
  });
}
