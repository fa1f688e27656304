// Sense data: why a command failed (SPC-4, section 4.5; fixed format).

export interface Sense {
  readonly key: number;
  readonly asc: number;
  readonly ascq: number;
}

export const noSense: Sense = { key: 0, asc: 0, ascq: 0 };
export const senseOf = {
  mediumRead: { key: 3, asc: 0x11, ascq: 0 },
  mediumWrite: { key: 3, asc: 0x0c, ascq: 0 },
  invalidOpcode: { key: 5, asc: 0x20, ascq: 0 },
  outOfRange: { key: 5, asc: 0x21, ascq: 0 },
  savingPages: { key: 5, asc: 0x39, ascq: 0 },
  invalidField: { key: 5, asc: 0x24, ascq: 0 },
  noSuchUnit: { key: 5, asc: 0x25, ascq: 0 },
  writeProtected: { key: 7, asc: 0x27, ascq: 0 },
  reset: { key: 6, asc: 0x29, ascq: 0 },
  capacityChanged: { key: 6, asc: 0x2a, ascq: 0x09 },
} as const satisfies Readonly<Record<string, Sense>>;

const fixedSenseBytes = 18;
/** Current errors, fixed format. */
export const fixedFormat = 0x70;
const descriptorFormat = 0x72;

export function senseBytesOf({ key, asc, ascq }: Sense): Uint8Array {
  const bytes = new Uint8Array(fixedSenseBytes);
  bytes[0] = fixedFormat;
  bytes[2] = key;
  bytes[7] = fixedSenseBytes - 8;
  bytes[12] = asc;
  bytes[13] = ascq;
  return bytes;
}

/** What sense data in either format says. */
export function senseIn(bytes: Uint8Array): Sense {
  const at = ((bytes[0] as number) & 0x7e) === descriptorFormat ? [1, 2, 3] : [2, 12, 13];
  const [key = 0, asc = 0, ascq = 0] = at.map((i) => bytes[i] as number);
  return { key: key & 15, asc, ascq };
}
