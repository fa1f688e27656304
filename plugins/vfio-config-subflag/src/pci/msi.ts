// Message-signalled interrupts as configuration space tells them (PCI Local Bus 3.0, section 6.8.1).
import { capabilitiesOf } from "./capabilities.ts";
import { capabilityId } from "./registers.ts";

const control = {
  enable: 0x0001,
  capableShift: 1,
  granted: 0x0070,
  grantedShift: 4,
  is64Bit: 0x0080,
  maskable: 0x0100,
};

/** Offsets of the capability's registers; those of masks where the function has them. */
export interface MsiPlaces {
  readonly control: number;
  readonly addressBytes: 4 | 8;
  readonly address: number;
  readonly data: number;
  readonly mask: number | undefined;
  readonly pending: number | undefined;
  /** What the function can have. */
  readonly vectors: number;
}

/** What the guest has set up. */
interface MsiSetup {
  /** What the guest lets it have. */
  readonly vectors: number;
  readonly address: number;
  readonly data: number;
  /** Bits by vector. */
  readonly masked: number;
}

/** Undefined where the function has no MSI. */
export function msiPlaces(config: Uint8Array): MsiPlaces | undefined {
  const at = capabilitiesOf(config).find(({ id }) => id === capabilityId.msi)?.at;
  if (at === undefined) return undefined;
  const bits = wordAt(config, at + 2, 2);
  const isWide = (bits & control.is64Bit) !== 0;
  const data = at + (isWide ? 12 : 8);
  const isMaskable = (bits & control.maskable) !== 0;
  return {
    control: at + 2,
    addressBytes: isWide ? 8 : 4,
    address: at + 4,
    data,
    mask: isMaskable ? data + 4 : undefined,
    pending: isMaskable ? data + 8 : undefined,
    vectors: vectorsOf(bits >> control.capableShift),
  };
}

/** Undefined while MSI is not enabled. */
export function msiSetup(config: Uint8Array, places: MsiPlaces): MsiSetup | undefined {
  const bits = wordAt(config, places.control, 2);
  if ((bits & control.enable) === 0) return undefined;
  const upper = places.addressBytes === 8 ? wordAt(config, places.address + 4, 4) : 0;
  return {
    vectors: Math.min(places.vectors, vectorsOf(bits >> control.grantedShift)),
    address: upper * 2 ** 32 + wordAt(config, places.address, 4),
    data: wordAt(config, places.data, 2),
    masked: places.mask === undefined ? 0 : wordAt(config, places.mask, 4),
  };
}

/** The bytes that a guest may write, with the bits of each. */
export function msiWritable(places: MsiPlaces): readonly (readonly [at: number, bits: number])[] {
  const whole = (at: number, bytes: number) => Array.from({ length: bytes }, (_, i) => [at + i, 0xff] as const);
  return [
    [places.control, control.enable | control.granted],
    [places.address, 0xfc],
    ...whole(places.address + 1, places.addressBytes - 1),
    ...whole(places.data, 2),
    ...(places.mask === undefined ? [] : whole(places.mask, 4)),
  ];
}

/** The encoding of message control: 0 to 5 for 1 to 32. */
function vectorsOf(bits: number): number {
  return 2 ** Math.min(bits & 7, 5);
}

function wordAt(config: Uint8Array, at: number, bytes: number): number {
  let value = 0;
  for (let i = bytes - 1; i >= 0; i--) value = value * 256 + (config[at + i] ?? 0);
  return value;
}
