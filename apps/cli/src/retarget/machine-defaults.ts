// What a machine type gives its devices where the command line says nothing: it differs between releases, and no dump and
// no stream holds it. Only what was seen is here.
import { isBetween, type MachineType, type Release } from "./machine.ts";

interface Seen {
  /** Machine releases at both ends, and those between them. */
  readonly from: Release;
  readonly to: Release;
  readonly value: string;
  /** QEMU has no option for it: the device is so, and cannot be otherwise. */
  readonly fixed?: boolean;
}

export interface MachineDefault {
  /** QEMU's name of the device. */
  readonly device: string;
  readonly property: string;
  readonly seen: readonly Seen[];
}

/** The oldest machine type of QEMU 7.2 whose devices were looked at. */
const oldest: Release = [2, 4, 0];

const onSince = (release: Release, before: Release, newest: Release = [10, 0, 0]): readonly Seen[] => [
  { from: release, to: newest, value: "on" },
  { from: oldest, to: before, value: "off" },
];

const every = (devices: readonly string[], property: string, seen: readonly Seen[]): readonly MachineDefault[] =>
  devices.map((device) => ({ device, property, seen }));

const virtioPciDevices = [
  "virtio-net-pci",
  "virtio-blk-pci",
  "virtio-rng-pci",
  "virtio-balloon-pci",
  "virtio-serial-pci",
  "virtio-scsi-pci",
];

/**
 * How it was found, for all rows: QEMU 7.2 was started with each of its machine types from 2.4 on (`pc-q35-*`,
 * `pc-i440fx-*`; six virtio devices, nothing said of them), asked for the features that each device offers
 * (`x-query-virtio-status`), and saved; the configuration spaces in these streams were compared from release to release.
 * What a property changes was found by setting it, by the same comparison. For 10.0 the streams of `pc-q35-10.0` were read.
 * Between 7.2 and 10.0 nothing was seen; a row reaches across it where both ends are alike.
 */
export const machineDefaults: readonly MachineDefault[] = [
  {
    // 7.2: `-device virtio-balloon-pci,help` has no such property, setting it is refused ("not found"), and no machine type
    // has an MSI-X capability. 10.0: nobody asked for vectors, and the capability is there, for two.
    device: "virtio-balloon-pci",
    property: "vectors",
    seen: [
      { from: [10, 0, 0], to: [10, 0, 0], value: "2" },
      { from: oldest, to: [7, 2, 0], value: "0", fixed: true },
    ],
  },
  {
    // The capability at 0x98 is there in 7.2 and not in 7.1; it goes with `vectors=0`.
    device: "virtio-rng-pci",
    property: "vectors",
    seen: [
      { from: [7, 2, 0], to: [10, 0, 0], value: "2" },
      { from: oldest, to: [7, 1, 0], value: "0" },
    ],
  },
  {
    // The table size at 0x9a is 4 entries in 6.0, and 3 in 5.2.
    device: "virtio-net-pci",
    property: "vectors",
    seen: [
      { from: [6, 0, 0], to: [10, 0, 0], value: "4" },
      { from: oldest, to: [5, 2, 0], value: "3" },
    ],
  },
  {
    // CAP.MGAW of a unit that nothing was said of; `-device intel-iommu,help` of 7.2 says 39, too.
    device: "intel-iommu",
    property: "aw-bits",
    seen: [
      { from: [10, 0, 0], to: [10, 0, 0], value: "48" },
      { from: [7, 2, 0], to: [7, 2, 0], value: "39" },
    ],
  },
  // Feature bit 40 is offered in 7.2 and not in 7.1.
  ...every(virtioPciDevices, "queue_reset", onSince([7, 2, 0], [7, 1, 0])),
  // PAGE_POISON is offered in 5.1 and not in 5.0.
  ...every(["virtio-balloon-pci"], "page-poison", onSince([5, 1, 0], [5, 0, 0])),
  // DISCARD and WRITE_ZEROES are offered in 4.0 and not in 3.1.
  ...every(["virtio-blk-pci"], "discard", onSince([4, 0, 0], [3, 1, 0])),
  ...every(["virtio-blk-pci"], "write-zeroes", onSince([4, 0, 0], [3, 1, 0])),
  // EMERG_WRITE is offered in 2.8 and not in 2.7. Linux does not accept it, so that 10.0's streams do not show it.
  ...every(["virtio-serial-pci"], "emergency-write", onSince([2, 8, 0], [2, 7, 0], [7, 2, 0])),
  // The notification capability has 4 bytes for a queue in 2.8, and a page in 2.7.
  ...every(virtioPciDevices, "page-per-vq", [
    { from: [2, 8, 0], to: [10, 0, 0], value: "off" },
    { from: oldest, to: [2, 7, 0], value: "on" },
  ]),
  // A function in the root bus has the capabilities of the modern interface in 2.7, and not in 2.6. (In 10.0: the balloon,
  // of which nothing was said; it is a property of the class that all have in common.)
  ...every(virtioPciDevices, "disable-modern", [
    { from: [2, 7, 0], to: [10, 0, 0], value: "off" },
    { from: oldest, to: [2, 6, 0], value: "on" },
  ]),
];

const families = ["pc-q35", "pc-i440fx"];

export interface KnownDefault {
  readonly value: string;
  readonly fixed: boolean;
}

/** Undefined where it was not seen. */
export function machineDefault(
  { family, release }: MachineType,
  device: string,
  property: string,
): KnownDefault | undefined {
  if (release === undefined || !families.includes(family)) return undefined;
  const row = machineDefaults.find((one) => one.device === device && one.property === property);
  const seen = row?.seen.find(({ from, to }) => isBetween(release, from, to));
  return seen && { value: seen.value, fixed: seen.fixed === true };
}
