// From a byte of a section to the field that it belongs to, by the description that the stream carries of itself.

/** A field or a device of a stream's vmdesc, as far as it is needed here. */
export interface Members {
  readonly name?: string;
  readonly instance_id?: number;
  readonly vmsd_name?: string;
  readonly type?: string;
  readonly size?: number;
  readonly array_len?: number;
  readonly index?: number;
  readonly struct?: Members;
  readonly fields?: readonly Members[];
  readonly subsections?: readonly Members[];
}

export interface FieldPlace {
  /** Such as `channels[1].deadline`; a subsection's fields stand behind its name. */
  readonly path: string;
  readonly type: string;
  /** First byte in the section's body, and length. Bytes. */
  readonly start: number;
  readonly bytes: number;
}

/** The field that holds byte `offset` of a body; undefined for what no field holds (the head of a subsection). */
export function fieldAt(members: Members, offset: number, from = 0, within = ""): FieldPlace | undefined {
  let at = from;
  for (const field of members.fields ?? []) {
    const size = field.size ?? 0;
    const whole = size * (field.array_len ?? 1);
    if (offset < at + whole) {
      const element = field.array_len === undefined ? field.index : Math.floor((offset - at) / size);
      const start = field.array_len === undefined ? at : at + size * (element as number);
      const name = element === undefined ? field.name : `${field.name}[${element}]`;
      const path = within === "" ? `${name}` : `${within}.${name}`;
      const inner = field.struct ?? field;
      const deeper = (inner.fields ?? inner.subsections) ? fieldAt(inner, offset, start, path) : undefined;
      return deeper ?? { path, type: field.type ?? "", start, bytes: size };
    }
    at += whole;
  }
  for (const own of members.subsections ?? []) {
    const name = own.vmsd_name ?? "";
    const body = at + 1 + 1 + new TextEncoder().encode(name).length + 4;
    const end = body + bytesOf(own);
    if (offset < end)
      return offset < body ? undefined : fieldAt(own, offset, body, within === "" ? name : `${within}.${name}`);
    at = end;
  }
  return undefined;
}

function bytesOf(members: Members): number {
  let bytes = 0;
  for (const field of members.fields ?? []) bytes += (field.size ?? 0) * (field.array_len ?? 1);
  for (const own of members.subsections ?? []) {
    bytes += 1 + 1 + new TextEncoder().encode(own.vmsd_name ?? "").length + 4 + bytesOf(own);
  }
  return bytes;
}
