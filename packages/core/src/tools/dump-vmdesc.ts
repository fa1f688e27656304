// What a vmdesc says of a section, in the form of a dump: for sections that no description here knows.
import type { VmdescDevice, VmdescField, VmdescMembers } from "../stream/vmdesc-types.ts";
import type { DumpDescription, DumpField, DumpSection } from "./dump.ts";

/**
 * A section as far as its vmdesc tells: what came in this stream, and not what may come. Minimum versions, the versions and
 * tests of fields and the subsections that were not needed stay unknown, and are written as the version of the description, 0
 * and false; `godwit.by` is `"vmdesc"` wherever that is so. `Name` is the section's idstr, sizes are bytes on the wire.
 */
export function dumpSectionOfVmdesc(device: VmdescDevice): DumpSection {
  const { name, vmsd_name = name, version = 0, fields = [], subsections = [] } = device;
  const members: VmdescMembers = { vmsd_name, version, fields, subsections };
  return { Name: name, version_id: version, minimum_version_id: version, Description: descriptionOf(members) };
}

function descriptionOf({ vmsd_name, version, fields, subsections = [] }: VmdescMembers): DumpDescription {
  return {
    name: vmsd_name,
    version_id: version,
    minimum_version_id: version,
    ...(fields.length > 0 && { Fields: fields.map(fieldOf) }),
    ...(subsections.length > 0 && { Subsections: subsections.map(descriptionOf) }),
    godwit: { by: "vmdesc" },
  };
}

function fieldOf(field: VmdescField): DumpField {
  const { name, type, size, array_len: num, index } = field;
  const inside = (field.struct ?? field) as Partial<VmdescMembers>;
  const { vmsd_name, version = 0, fields, subsections = [] } = inside;
  return {
    field: index === undefined ? name : `${name}[${index}]`,
    version_id: 0,
    field_exists: false,
    ...(num !== undefined && { num }),
    size,
    ...(vmsd_name !== undefined &&
      fields !== undefined && { Description: descriptionOf({ vmsd_name, version, fields, subsections }) }),
    godwit: { by: "vmdesc", type, bytes: size, ...(num !== undefined && { count: num }) },
  };
}
