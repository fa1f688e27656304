// Fields that a section has or has not by its machine type, whatever its state: a condition in QEMU, which no dump holds.
import type { DecodedSection } from "./decoded.ts";
import { compareReleases, isBetween, type MachineType, type Release } from "./machine.ts";
import type { Refusal } from "./types.ts";

interface MachineField {
  /** The section's description. */
  readonly description: string;
  /** Its path by the vmdesc: of the first one, where several come together. */
  readonly field: string;
  readonly family: string;
  /** The first release that has it. */
  readonly since: Release;
  /** Oldest and newest release that was looked at. */
  readonly from: Release;
  readonly to: Release;
}

/**
 * How it was found: QEMU 7.2 was started with each of its machine types from 2.4 on and saved, and the fields in the vmdescs
 * were compared from release to release; for 10.0 the supplied streams were read. That it matters was seen by loading a
 * stream of one release into the other: `Missing section footer for 0000:00:1f.3/ich9_smb`.
 */
const machineFields: readonly MachineField[] = [
  // With smb.smb_stat and what follows it.
  {
    description: "ich9_smb",
    field: "irq_enabled",
    family: "pc-q35",
    since: [4, 0, 0],
    from: [2, 4, 0],
    to: [10, 0, 0],
  },
  {
    description: "piix4_pm",
    field: "smb.smb_stat",
    family: "pc-i440fx",
    since: [4, 0, 0],
    from: [2, 4, 0],
    to: [7, 2, 0],
  },
  {
    description: "piix4_pm",
    field: "acpi_pci_hotplug.acpi_index",
    family: "pc-i440fx",
    since: [7, 0, 0],
    from: [2, 4, 0],
    to: [7, 2, 0],
  },
];

/** Without a vmdesc nothing is known of fields; nor of releases that nobody looked at. */
export function fieldRefusals(section: DecodedSection, { name, family, release }: MachineType): readonly Refusal[] {
  const { listed, key } = section;
  if (listed === undefined || release === undefined) return [];
  return machineFields
    .filter((row) => row.description === listed.vmsd_name && row.family === family)
    .filter(({ from, to }) => isBetween(release, from, to))
    .flatMap((row): Refusal[] => {
      const isThere = has(section, row.field);
      const isRead = compareReleases(release, row.since) >= 0;
      if (isThere === undefined || isThere === isRead) return [];
      return [
        {
          kind: "fields",
          section: key,
          register: undefined,
          found: `${isThere ? "has" : "has not"} the field ${row.field}`,
          destination: `${name} ${isRead ? "reads it" : "does not read it"}`,
          why: "the machine type decides about the field, and what follows it would be misread",
        },
      ];
    });
}

/** Undefined where no vmdesc tells, or not one that fits the section's bytes. */
function has(section: DecodedSection, field: string): boolean | undefined {
  const { by, fields } = section.fields();
  return by === "vmdesc" ? fields.some(({ path }) => path === field) : undefined;
}
