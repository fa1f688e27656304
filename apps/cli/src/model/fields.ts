// A section's body as named values: by the description that fits, else as the stream's vmdesc lists it, else as bytes.
import { type Description, decodeRecord, isMigrationError, type MigrationError, type WireRecord } from "@godwit/core";
import { valuesByVmdesc } from "@godwit/core/tools";
import type { Section } from "./read-stream.ts";

export interface FieldValue {
  /** As in errors: `vqs[1].last_avail_idx`. */
  readonly path: string;
  /** A number, bigint, boolean, string or Uint8Array; an array's elements are fields of their own. */
  readonly value: unknown;
  /** As the vmdesc names it, where it was read by that. */
  readonly type?: string;
  /** Of the field in the body, where it is known. Bytes. */
  readonly offset?: number;
}

export interface SectionFields {
  readonly by: "description" | "vmdesc" | "bytes";
  /** The plugin, where a description of one was used. */
  readonly plugin: string | undefined;
  readonly description: Description | undefined;
  readonly record: WireRecord | undefined;
  readonly fields: readonly FieldValue[];
  /** Why the description that is meant for the section was not used. */
  readonly fault: MigrationError | undefined;
}

/** Of a section that has a body. */
export function fieldsOf(section: Section): SectionFields {
  const { body = new Uint8Array(0), described, listed, head, bodyOffset } = section;
  const none = { plugin: undefined, description: undefined, record: undefined };
  let fault = isMigrationError(described) ? described : undefined;
  if (described !== undefined && !isMigrationError(described)) {
    const { plugin, description } = described;
    try {
      const record = decodeRecord(description, body, { version: head.version, offset: bodyOffset, checks: false });
      return { by: "description", plugin, description, record, fields: [...leaves(record, "")], fault };
    } catch (error) {
      if (!isMigrationError(error)) throw error;
      fault = error.at({ section: section.key, version: head.version });
    }
  }
  if (listed?.fields !== undefined || listed?.subsections !== undefined) {
    return { by: "vmdesc", ...none, fields: valuesByVmdesc(listed, body), fault };
  }
  return { by: "bytes", ...none, fields: [{ path: "data", value: body, type: "buffer", offset: 0 }], fault };
}

/** The values of a record or a state that hold no others, with their paths. */
export function* leaves(value: unknown, path: string): Generator<FieldValue> {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) {
    yield { path, value };
  } else if (Array.isArray(value) || ArrayBuffer.isView(value)) {
    const elements = value as unknown as ArrayLike<unknown>;
    for (let i = 0; i < elements.length; i++) yield* leaves(elements[i], `${path}[${i}]`);
  } else {
    for (const [key, one] of Object.entries(value)) yield* leaves(one, path === "" ? key : `${path}.${key}`);
  }
}
