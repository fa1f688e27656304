// The leaves of what a vmdesc says of a section: how many bytes are fields with names, and how many are not.
import type { VmdescField, VmdescMembers } from "@godwit/core/stream";

export interface Leaf {
  /** Names from the section's first level on, joined by dots; elements of arrays and lists are not told apart. */
  readonly path: string;
  readonly type: string;
  readonly bytes: number;
}

/** A vmdesc does not tell a nested subsection's header: these bytes, and those of list markers, are in no leaf. */
export function leavesOf({ fields = [], subsections = [] }: Partial<VmdescMembers>, path = ""): Leaf[] {
  return [
    ...fields.flatMap((field) => fieldLeaves(field, path)),
    ...subsections.flatMap((one) => leavesOf(one, `${path}${one.vmsd_name}.`)),
  ];
}

function fieldLeaves(field: VmdescField, path: string): Leaf[] {
  const { name, type, size, array_len: count = 1 } = field;
  const at = `${path}${name}`;
  const inside = field.struct ?? field;
  if (inside.fields === undefined) return [{ path: at, type, bytes: size * count }];
  const leaves = leavesOf(inside as Partial<VmdescMembers>, `${at}.`);
  return count === 1 ? leaves : leaves.map((leaf) => ({ ...leaf, bytes: leaf.bytes * count }));
}
