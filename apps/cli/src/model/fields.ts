// A section's body as named values: by the description that fits, else as the stream's vmdesc lists it, else as bytes.
import { type Description, decodeRecord, isMigrationError, MigrationError, type WireRecord } from "@godwit/core";
import { elementsOf, layoutByVmdesc, type VmdescValue } from "@godwit/core/tools";
import { ofPlugin } from "./brought-throws.ts";
import type { Section } from "./read-stream.ts";

export interface FieldValue {
  /** As in errors: `vqs[1].last_avail_idx`. */
  readonly path: string;
  /**
   * A number, bigint, boolean, string or Uint8Array, or null for what is not pending or not there; an array's elements are
   * fields of their own.
   */
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
  /** Paths of the subsections that are there, in the order of the wire; what they hold has paths below theirs. */
  readonly subsections: readonly string[];
  /** Why the description, or the vmdesc, that is meant for the section was not used. */
  readonly fault: MigrationError | undefined;
}

const none = { plugin: undefined, description: undefined, record: undefined };

/** Of a section that has a body. */
export function fieldsOf(section: Section): SectionFields {
  const { body = new Uint8Array(0), described, head, bodyOffset } = section;
  if (described === undefined) return fieldsByVmdesc(section);
  if (isMigrationError(described)) return fieldsByVmdesc(section, described);
  const { plugin, description } = described;
  try {
    const record = ofPlugin(plugin, () =>
      decodeRecord(description, body, { version: head.version, offset: bodyOffset, checks: false }),
    );
    const fields = [...leaves(record, "")];
    return {
      by: "description",
      plugin,
      description,
      record,
      fields,
      subsections: versionedPaths(fields),
      fault: undefined,
    };
  } catch (error) {
    if (!isMigrationError(error)) throw error;
    return fieldsByVmdesc(section, error.at({ section: section.key, version: head.version }));
  }
}

/** As the vmdesc lists them, else as bytes; whether there is a description or not. `fault` is handed on. */
export function fieldsByVmdesc(section: Section, fault?: MigrationError): SectionFields {
  const { body = new Uint8Array(0), listed, key, bodyOffset } = section;
  if (listed?.fields === undefined && listed?.subsections === undefined) return fieldsByBytes(section, fault);
  try {
    const { values, subsections } = layoutByVmdesc(listed, body);
    return {
      by: "vmdesc",
      ...none,
      fields: values.flatMap(leavesOf).map(({ path, type, offset, value }) => ({ path, type, offset, value })),
      subsections: subsections.map(({ path }) => path),
      fault,
    };
  } catch (error) {
    if (!isMigrationError(error)) throw error;
    const { code, detail, location, expected, found } = error;
    const offset = bodyOffset + (location.offset ?? 0);
    const placed = new MigrationError(code, detail, { ...location, section: key, offset, expected, found });
    return fieldsByBytes(section, fault ?? placed);
  }
}

/** All of the body as one field. */
export function fieldsByBytes({ body = new Uint8Array(0) }: Section, fault?: MigrationError): SectionFields {
  const fields = [{ path: "data", value: body, type: "buffer", offset: 0 }];
  return { by: "bytes", ...none, fields, subsections: [], fault };
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

/** Bytes stay together, whether the vmdesc calls them a buffer or an array of uint8. */
function leavesOf(leaf: VmdescValue): VmdescValue[] {
  return leaf.count !== undefined && leaf.value instanceof Uint8Array ? [leaf] : elementsOf(leaf);
}

const versionMark = ".$version";

/** A record's subsections carry their version. */
function versionedPaths(fields: readonly FieldValue[]): string[] {
  return fields.flatMap(({ path }) => (path.endsWith(versionMark) ? [path.slice(0, -versionMark.length)] : []));
}
