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
  invalidField: { key: 5, asc: 0x24, ascq: 0 },
  noSuchUnit: { key: 5, asc: 0x25, ascq: 0 },
  writeProtected: { key: 7, asc: 0x27, ascq: 0 },
  reset: { key: 6, asc: 0x29, ascq: 0 },
  capacityChanged: { key: 6, asc: 0x2a, ascq: 0x09 },
} as const satisfies Readonly<Record<string, Sense>>;

export const fixedSenseBytes = 18;

export function senseBytesOf({ key, asc, ascq }: Sense): Uint8Array {
  const bytes = new Uint8Array(fixedSenseBytes);
  bytes[0] = 0x70;
  bytes[2] = key;
  bytes[7] = fixedSenseBytes - 8;
  bytes[12] = asc;
  bytes[13] = ascq;
  return bytes;
}
