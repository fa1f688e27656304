// The body that an older version of a description would have written for a state.
import {
  type AnyRecord,
  type Description,
  decodeRecord,
  encodeRecord,
  encodeState,
  type Field,
  isMigrationError,
  type Predicate,
  type WireRecord,
} from "@godwit/core";

/** An error where the description itself cannot write that version: it could not read it either. */
export function olderBody(description: Description, state: AnyRecord, version: number): Uint8Array | Error {
  try {
    return encodeRecord(description, olderRecord(description, state, version), version);
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
}

function olderRecord(description: Description, state: AnyRecord, version: number): WireRecord {
  const present = decodeRecord(description, encodeState(description, state));
  const record: WireRecord = { $version: version };
  const scope = { record, parent: undefined, version };
  for (const [key, field] of Object.entries(description.fields)) {
    const exists = conditionOf(field);
    if (exists !== undefined && !exists(record, scope)) continue;
    // What a later version dropped is in the state, and not in what this one writes. Of padding nothing is known.
    const value = present[key] ?? (key.startsWith("_") ? undefined : (state[key] as unknown));
    if (value !== undefined) record[key] = value;
  }
  for (const key of Object.keys(description.subsections)) if (present[key] !== undefined) record[key] = present[key];
  return record;
}

/** Descriptions are plain data: a field's condition stands in it, or in what it wraps. */
function conditionOf(field: Field): Predicate | undefined {
  const { kind, exists, element } = field as { kind: string; exists?: Predicate; element?: Field };
  if (kind === "condition") return exists;
  return (kind === "named" || kind === "checked") && element !== undefined ? conditionOf(element) : undefined;
}
