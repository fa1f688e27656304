// Changes to what a vmdesc says of a section, so that it fits the section's new bytes.
import type { VmdescDevice, VmdescField, VmdescMembers } from "@godwit/core/stream";

type Members = Pick<VmdescMembers, "fields" | "subsections">;

/**
 * Without the subsection that is the `nth` in the order of the wire, which takes `bytes`; fields that hold it shrink by
 * these. Undefined where there are not so many.
 */
export function withoutSubsection(device: VmdescDevice, nth: number, bytes: number): VmdescDevice | undefined {
  const count = { left: nth };
  const members = without(device as Members, count, bytes);
  return members && { ...device, ...members };
}

interface Left {
  left: number;
}

/** In wire order; one that holds others counts before them. */
function without(members: Partial<Members>, count: Left, bytes: number): Partial<Members> | undefined {
  const { fields = [], subsections = [] } = members;
  for (const [i, field] of fields.entries()) {
    const smaller = withoutInField(field, count, bytes);
    if (smaller !== undefined) return { ...members, fields: fields.with(i, smaller) };
  }
  for (const [i, own] of subsections.entries()) {
    if (count.left-- === 0)
      return { ...members, subsections: nonEmpty(subsections.toSpliced(i, 1)) } as Partial<Members>;
    const inner = without(own, count, bytes);
    if (inner !== undefined) return { ...members, subsections: subsections.with(i, { ...own, ...inner }) };
  }
  return undefined;
}

function withoutInField(field: VmdescField, count: Left, bytes: number): VmdescField | undefined {
  const { struct, size } = field;
  const inner = without((struct ?? field) as Partial<Members>, count, bytes);
  if (inner === undefined) return undefined;
  if (struct === undefined) return { ...field, ...inner, size: size - bytes };
  return { ...field, struct: { ...struct, ...inner } as VmdescMembers, size: size - bytes };
}

/** QEMU writes the key only where there are some. */
const nonEmpty = <T>(list: readonly T[]): readonly T[] | undefined => (list.length === 0 ? undefined : list);

/**
 * The stream's own listing, brought from `before` to `after`: how our description lists the section's old and new bytes.
 * Where ours says the same as the stream's, or cannot be told apart from it, `after` stands; where the stream lists the
 * fields in another way (a virtio device is one opaque field to QEMU), that way stays, with the new size.
 */
export function relisted(listed: VmdescDevice, before: VmdescMembers, after: VmdescMembers): VmdescDevice {
  const { name, instance_id } = listed;
  const ours = { name, instance_id, ...after };
  const grown = fieldBytes(after) - fieldBytes(before);
  const fields = same(listed.fields, before.fields) ? after.fields : grownFields(listed.fields ?? [], grown);
  if (fields === undefined) return ours;
  const theirs = new Map((listed.subsections ?? []).map((own) => [own.vmsd_name, own]));
  const earlier = new Map((before.subsections ?? []).map((own) => [own.vmsd_name, own]));
  const subsections = (after.subsections ?? []).map((own) => {
    const known = theirs.get(own.vmsd_name);
    return known !== undefined && same(own, earlier.get(own.vmsd_name)) ? known : own;
  });
  const { subsections: _, ...rest } = listed;
  return { ...rest, version: after.version, fields, ...(subsections.length > 0 && { subsections }) };
}

/** Undefined where it is not clear which field has grown. */
function grownFields(fields: readonly VmdescField[], bytes: number): readonly VmdescField[] | undefined {
  if (bytes === 0) return fields;
  const opaque = fields.flatMap((field, i) => (isOpaque(field) ? [i] : []));
  const [at] = opaque;
  if (opaque.length !== 1 || at === undefined) return undefined;
  const field = fields[at] as VmdescField;
  return fields.with(at, { ...field, size: field.size + bytes });
}

/** Of a type that says nothing of what is inside, nor has a fixed size. */
const isOpaque = ({ type, struct, fields, array_len }: VmdescField): boolean =>
  struct === undefined && fields === undefined && array_len === undefined && type === "virtio";

const fieldBytes = ({ fields }: VmdescMembers): number =>
  fields.reduce((sum, { size, array_len = 1 }) => sum + size * array_len, 0);

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** The configuration's listing, for a machine name of so many bytes. */
export function renamedConfiguration(configuration: VmdescMembers, nameBytes: number): VmdescMembers {
  const fields = configuration.fields.map((field) => (field.name === "name" ? { ...field, size: nameBytes } : field));
  return { ...configuration, fields };
}
