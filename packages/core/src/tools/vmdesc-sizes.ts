// How many bytes a vmdesc gives its fields and subsections, and which of them it leaves open.
import type { VmdescField, VmdescMembers } from "../stream/vmdesc-types.ts";
import { utf8Length } from "../utf8.ts";

export interface Size {
  readonly bytes: number;
  /** Parts of a size that the description does not tell. */
  readonly open: number;
}

export const isArray = ({ array_len }: VmdescField): boolean => array_len !== undefined && array_len > 1;

export const membersOf = (field: VmdescField): Partial<VmdescMembers> =>
  (field.struct ?? field) as Partial<VmdescMembers>;

/** Of a subsection: its byte, the length of its name, the name, its version. */
export const headerBytes = ({ vmsd_name }: VmdescMembers): number => 1 + 1 + utf8Length(vmsd_name) + 4;

/** Each is reckoned once: the elements of an array, of which there may be millions, ask for the same. */
export class Sizes {
  readonly #sizes = new Map<object, Size>();
  readonly #hiding = new Map<object, boolean>();

  /** Of fields and subsections; a subsection has no size of its own. */
  of(members: Partial<VmdescMembers>): Size {
    const known = this.#sizes.get(members) ?? this.#sizeOf(members);
    this.#sizes.set(members, known);
    return known;
  }

  /** More than one element, of which not all need have the size that is given. */
  isOpen(field: VmdescField): boolean {
    return hidesElements(field) || (isArray(field) && field.struct !== undefined && this.#hides(membersOf(field)));
  }

  #sizeOf({ fields = [], subsections = [] }: Partial<VmdescMembers>): Size {
    let bytes = 0;
    let open = 0;
    for (const field of fields) {
      if (this.isOpen(field)) open++;
      else bytes += field.size * (field.array_len ?? 1);
    }
    for (const own of subsections) {
      const inside = this.of(own);
      bytes += headerBytes(own) + inside.bytes;
      open += inside.open;
    }
    return { bytes, open };
  }

  #hides(members: Partial<VmdescMembers>): boolean {
    const known = this.#hiding.get(members) ?? this.#looksHiding(members);
    this.#hiding.set(members, known);
    return known;
  }

  #looksHiding({ fields = [], subsections = [] }: Partial<VmdescMembers>): boolean {
    return (
      fields.some((field) => hidesElements(field) || this.#hides(membersOf(field))) ||
      subsections.some((own) => this.#hides(own))
    );
  }
}

/** An array of pointers of which the first is null: what the others are, nothing tells. */
function hidesElements(field: VmdescField): boolean {
  return isArray(field) && field.struct !== undefined && !("fields" in field.struct);
}
