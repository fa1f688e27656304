// PCI configuration space of two machines side by side: which of the registers that a guest cannot write differ.

/** A byte that QEMU would refuse. */
export interface RegisterDifference {
  /** In configuration space. */
  readonly offset: number;
  /** Such as `PCI capabilities pointer (0x34)`. */
  readonly name: string;
  /** The whole byte, in the stream and at the destination. */
  readonly found: number;
  readonly destination: number;
}

export interface PciCapability {
  readonly id: number;
  /** In configuration space. */
  readonly at: number;
}

const offset = {
  status: 0x06,
  headerType: 0x0e,
  bar: 0x10,
  interruptPin: 0x3d,
  capabilities: 0x34,
  headerEnd: 0x40,
  extended: 0x100,
} as const;
const capabilityListBit = 0x10;

export const capabilityId = { powerManagement: 0x01, msi: 0x05, vendor: 0x09, ssvid: 0x0d, express: 0x10, msix: 0x11 };
const capabilityNames: Readonly<Record<number, string>> = {
  [capabilityId.powerManagement]: "power management",
  [capabilityId.msi]: "MSI",
  [capabilityId.vendor]: "vendor-specific",
  [capabilityId.ssvid]: "subsystem",
  [capabilityId.express]: "PCI Express",
  [capabilityId.msix]: "MSI-X",
};

/** Registers of the header, by the offset of their first byte. */
const headerNames: readonly (readonly [offset: number, name: string])[] = [
  [0x00, "vendor ID"],
  [0x02, "device ID"],
  [0x04, "command"],
  [0x06, "status"],
  [0x08, "revision ID"],
  [0x09, "class code"],
  [0x0c, "cache line size"],
  [0x0d, "latency timer"],
  [0x0e, "header type"],
  [0x0f, "built-in self-test"],
  [0x10, "base address 0"],
  [0x14, "base address 1"],
  [0x18, "base address 2"],
  [0x1c, "base address 3"],
  [0x20, "base address 4"],
  [0x24, "base address 5"],
  [0x28, "CardBus pointer"],
  [0x2c, "subsystem vendor ID"],
  [0x2e, "subsystem ID"],
  [0x30, "expansion ROM base address"],
  [0x34, "PCI capabilities pointer"],
  [0x35, "reserved"],
  [0x3c, "interrupt line"],
  [0x3d, "interrupt pin"],
  [0x3e, "minimum grant"],
];

/** In the list's order; it ends where it leads into the header or in a circle. */
export function capabilitiesOf(config: Uint8Array): readonly PciCapability[] {
  const found: PciCapability[] = [];
  if (((config[offset.status] ?? 0) & capabilityListBit) === 0) return found;
  let at = (config[offset.capabilities] ?? 0) & 0xfc;
  while (at >= offset.headerEnd && !found.some((one) => one.at === at)) {
    found.push({ id: config[at] as number, at });
    at = (config[at + 1] ?? 0) & 0xfc;
  }
  return found;
}

/** The ids of the list that begins behind the header; none of a function that is not PCI Express. */
export function extendedCapabilitiesOf(config: Uint8Array): readonly PciCapability[] {
  const found: PciCapability[] = [];
  if (config.length <= offset.extended || !capabilitiesOf(config).some(({ id }) => id === capabilityId.express)) {
    return found;
  }
  const view = new DataView(config.buffer, config.byteOffset, config.length);
  let at: number = offset.extended;
  while (at >= offset.extended && at + 4 <= config.length && !found.some((one) => one.at === at)) {
    const head = view.getUint32(at, true);
    if (head === 0) break;
    found.push({ id: head & 0xffff, at });
    at = (head >>> 20) & 0xffc;
  }
  return found;
}

/** The same function without a capability: what stood before it in the list links to what stood behind. */
export function withoutCapability(config: Uint8Array, id: number): Uint8Array {
  const made = config.slice();
  const list = capabilitiesOf(config);
  const index = list.findIndex((one) => one.id === id);
  const gone = list[index];
  if (gone === undefined) return made;
  const before = list[index - 1];
  made[before === undefined ? offset.capabilities : before.at + 1] = config[gone.at + 1] as number;
  made.fill(0, gone.at, gone.at + capabilityBytes(config, gone));
  if (list.length === 1) made[offset.status] = (made[offset.status] as number) & ~capabilityListBit;
  return made;
}

/**
 * The bytes that QEMU would refuse, in its order: it compares what is to be compared and neither the guest's to write nor
 * to clear (wire reference 14.1). The masks are not in the stream. What is taken for compared here was found by loading
 * streams with one byte changed into QEMU 7.2, which names the masks of the byte that it refuses: of the header vendor,
 * device, revision, class and header type, the list bit of the status, the type bits of base addresses (not their
 * addresses), the pointer; of capabilities what `comparedOf` has. The interrupt pin is here, too: QEMU ends on a wrong one.
 * Anything else is not compared, though QEMU may: the lower address bits of a region, what a control register reserves.
 */
export function compareConfig(source: Uint8Array, destination: Uint8Array): readonly RegisterDifference[] {
  const mask = comparedBits(destination);
  const nameOf = registerNames(destination, source);
  const found: RegisterDifference[] = [];
  for (let i = 0; i < Math.min(source.length, destination.length); i++) {
    const [theirs, own] = [source[i] as number, destination[i] as number];
    if (((theirs ^ own) & (mask[i] as number)) !== 0) {
      found.push({ offset: i, name: nameOf(i), found: theirs, destination: own });
    }
  }
  return found;
}

/** Bits that a load compares and a guest cannot change. */
export function comparedBits(config: Uint8Array): Uint8Array {
  const mask = new Uint8Array(config.length);
  mask.fill(0xff, 0x00, 0x04);
  mask[offset.status] = capabilityListBit;
  mask.fill(0xff, 0x08, 0x0c);
  mask[offset.headerType] = 0xff;
  mask[offset.capabilities] = 0xff;
  mask[offset.interruptPin] = 0xff;
  const isBridge = ((config[offset.headerType] ?? 0) & 0x7f) === 1;
  for (let i = 0, upper = false; i < (isBridge ? 2 : 6); i++) {
    const type = config[offset.bar + 4 * i] ?? 0;
    const isIo = (type & 1) === 1;
    if (!upper) mask[offset.bar + 4 * i] = isIo ? 0x03 : 0x0f;
    // The next register is the upper half of this one.
    upper = !upper && !isIo && (type & 0x06) === 0x04;
  }
  for (const capability of capabilitiesOf(config)) {
    for (const [from, bits] of comparedOf(config, capability)) {
      for (const [i, one] of bits.entries()) mask[capability.at + from + i] = one;
    }
  }
  for (const { at } of extendedCapabilitiesOf(config)) mask.fill(0xff, at, at + 4);
  return mask;
}

const all = (bytes: number): readonly number[] => new Array<number>(bytes).fill(0xff);
const virtioPciConfig = 5;

/** Runs of masks within a capability, by the offset of their first byte. */
function comparedOf(config: Uint8Array, { id, at }: PciCapability): (readonly [number, readonly number[]])[] {
  switch (id) {
    case capabilityId.msix:
      // Table size; enable and function mask are the guest's. Then where table and pending bits are.
      return [[0, [0xff, 0xff, 0xff, 0x3f, ...all(8)]]];
    case capabilityId.msi:
      return [[0, [0xff, 0xff, 0x8e, 0xff]]];
    case capabilityId.powerManagement:
      return [[0, all(4)]];
    case capabilityId.express:
      // What the function and its link and slot can do; the rest is control and status.
      return [
        [0x00, all(8)],
        [0x0c, all(4)],
        [0x14, all(4)],
        [0x24, all(4)],
      ];
    case capabilityId.vendor: {
      const bytes = capabilityBytes(config, { id, at });
      const isWindow = isVirtio(config) && config[at + 3] === virtioPciConfig;
      // The window into the registers: BAR, offset, length and data are the guest's.
      return [[0, all(isWindow ? 4 : bytes)]];
    }
    case capabilityId.ssvid:
      return [[0, all(8)]];
    default:
      return [[0, all(2)]];
  }
}

const isVirtio = (config: Uint8Array): boolean => config[0] === 0xf4 && config[1] === 0x1a;

function capabilityBytes(config: Uint8Array, { id, at }: PciCapability): number {
  if (id === capabilityId.msix) return 12;
  if (id === capabilityId.vendor) return Math.max(3, config[at + 2] ?? 3);
  return 2;
}

const hex = (n: number): string => `0x${n.toString(16)}`;

/** By the destination's layout, then by the stream's. */
function registerNames(...configs: readonly Uint8Array[]): (at: number) => string {
  const owners = configs.map((config) =>
    capabilitiesOf(config).map((one) => {
      const bytes = Math.max(2, ...comparedOf(config, one).map(([from, bits]) => from + bits.length));
      return { ...one, end: one.at + bytes };
    }),
  );
  return (at) => {
    if (at < offset.headerEnd) {
      const [first, name] = headerNames.findLast(([from]) => from <= at) as readonly [number, string];
      return `${name} (${hex(at === first ? first : at)})`;
    }
    if (at >= offset.extended) return `extended configuration space (${hex(at)})`;
    for (const list of owners) {
      const own = list.find((one) => at >= one.at && at < one.end);
      if (own === undefined) continue;
      const kind = capabilityNames[own.id] ?? `${hex(own.id)}`;
      return `${kind} capability at ${hex(own.at)}, byte ${at - own.at} (${hex(at)})`;
    }
    return `configuration space (${hex(at)})`;
  };
}
