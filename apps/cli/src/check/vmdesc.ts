// What a stream's vmdesc adds to a dump of the same QEMU: types, counts, which sections and subsections were sent.

import type { CheckedDescription, CheckedField, SeenSection, Side } from "@godwit/core/compatibility";
import type { Vmdesc, VmdescDevice, VmdescField, VmdescMembers } from "@godwit/core/stream";

/** The side, with what the vmdesc of one of its machines shows. */
export function sideWithVmdesc(side: Side, { devices }: Vmdesc): Side {
  const byName = new Map<string, VmdescDevice[]>();
  for (const device of devices) {
    const name = nameOf(device);
    byName.set(name, [...(byName.get(name) ?? []), device]);
  }
  return {
    ...side,
    types: true,
    seen: devices.map(seenSection),
    classes: side.classes.map((one) => ({
      ...one,
      description: (byName.get(one.description.name) ?? []).reduce(
        (known, device) => withMembers(known, device, side.counts),
        one.description,
      ),
    })),
  };
}

/** Of the section's description. A handler without one has its idstr, whose last part may be the name. */
export const nameOf = ({ name, vmsd_name }: VmdescDevice): string => vmsd_name ?? name;

function seenSection(device: VmdescDevice): SeenSection {
  const { name: idstr, instance_id: instance, vmsd_name } = device;
  const description = vmsd_name === undefined ? undefined : seenDescription(device as VmdescMembers);
  return { idstr, instance, name: nameOf(device), description };
}

/** As sent: which version is still read, no stream tells. */
function seenDescription({ vmsd_name, version, fields = [], subsections = [] }: VmdescMembers): CheckedDescription {
  return {
    name: vmsd_name,
    version,
    minimum: 0,
    fields: elementsTogether(fields).map(seenField),
    subsections: subsections.map(seenDescription),
    priority: undefined,
    rule: "",
    sent: true,
  };
}

/** Entries of one name that follow each other are the elements of one array: two fields never have one name there. */
function elementsTogether(fields: readonly VmdescField[]): VmdescField[][] {
  const arrays: VmdescField[][] = [];
  for (const field of fields) {
    const last = arrays.at(-1);
    if (last?.[0]?.name === field.name) last.push(field);
    else arrays.push([field]);
  }
  return arrays;
}

/** QEMU before 10.0 lists an array of pointers as so many nulls, whatever stands behind the first; later ones as runs. */
const hidesElements = ({ type, struct }: VmdescField) =>
  type === "nullptr" || (struct !== undefined && !("fields" in struct));

function seenField(elements: readonly VmdescField[]): CheckedField {
  const [first] = elements as [VmdescField];
  return elements.some(hidesElements) ? pointers(first) : plainField(first);
}

function pointers({ name }: VmdescField): CheckedField {
  const nothing = { until: undefined, count: undefined, type: undefined, rule: "", description: undefined };
  return { name, since: 0, conditional: false, bytes: 0, exact: false, sent: true, ...nothing };
}

function plainField(field: VmdescField): CheckedField {
  const members = membersOf(field);
  return {
    name: field.name,
    since: 0,
    until: undefined,
    conditional: false,
    bytes: field.size,
    exact: true,
    count: field.array_len,
    type: field.type,
    rule: "",
    sent: true,
    description: members === undefined ? undefined : seenDescription(members),
  };
}

function membersOf({ struct, vmsd_name, version, fields, subsections }: VmdescField): VmdescMembers | undefined {
  if (struct !== undefined) return "fields" in struct ? (struct as VmdescMembers) : undefined;
  if (vmsd_name === undefined || version === undefined || fields === undefined) return undefined;
  return { vmsd_name, version, fields, ...(subsections !== undefined && { subsections }) };
}

/** The dump's description, each field with the type that it had on the wire; in order, by name. */
function withMembers(
  known: CheckedDescription,
  { fields = [], subsections = [] }: Partial<VmdescMembers>,
  counts: boolean,
): CheckedDescription {
  let at = 0;
  const typed = known.fields.map((field) => {
    const found = indexOf(fields, field.name, at);
    if (found === -1) return { ...field, sent: field.sent === true };
    at = found + 1;
    return withSeen(field, fields[found] as VmdescField, counts);
  });
  const sent = new Map(subsections.map((one) => [one.vmsd_name, one]));
  return {
    ...known,
    fields: typed,
    subsections: known.subsections.map((one) => {
      const own = sent.get(one.name);
      if (own === undefined) return { ...one, sent: one.sent === true };
      return { ...withMembers(one, own, counts), sent: true };
    }),
  };
}

/** Two fields of one name are `name[0]` and `name[1]` in a vmdesc. */
function indexOf(fields: readonly VmdescField[], name: string, from: number): number {
  return fields.findIndex(
    (field, i) => i >= from && field.name.replace(/\[\d+\]$/, "") === name.replace(/\[\d+\]$/, ""),
  );
}

function withSeen(field: CheckedField, seen: VmdescField, counts: boolean): CheckedField {
  const members = membersOf(seen);
  return {
    ...field,
    type: seen.type,
    sent: true,
    count: field.count ?? (counts ? undefined : seen.array_len),
    description:
      field.description === undefined || members === undefined
        ? field.description
        : withMembers(field.description, members, counts),
  };
}
