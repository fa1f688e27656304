// The body that an older version of a description would have written for a state.
import {
  type AnyRecord,
  cloneValue,
  type Description,
  decodeRecord,
  encodeRecord,
  encodeState,
  type Field,
  isMigrationError,
  type Predicate,
  type Scope,
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

/**
 * A state as `version` knew it, without what the newest version does not send any more: these fields are at their
 * `absent`.
 */
export function presentState(description: Description, state: AnyRecord, version: number): AnyRecord {
  const record: Record<string, unknown> = { ...state };
  for (const [key, field] of Object.entries(description.fields)) {
    const scope = { record, parent: undefined, version: description.version };
    const failing = failingCondition(field, scope);
    if (failing === undefined || !(key in state) || failingCondition(field, { ...scope, version })) continue;
    const { absent } = failing;
    record[key] = cloneValue(typeof absent === "function" ? absent(scope) : absent);
  }
  return record;
}

function olderRecord(description: Description, state: AnyRecord, version: number): WireRecord {
  const present = decodeRecord(description, encodeState(description, presentState(description, state, version)));
  const record: WireRecord = { $version: version };
  const scope = { record, parent: undefined, version };
  for (const [key, field] of Object.entries(description.fields)) {
    if (failingCondition(field, scope) !== undefined) continue;
    // What a later version dropped is in the state, and not in what this one writes. Of padding nothing is known.
    const value = present[key] ?? (key.startsWith("_") ? undefined : (state[key] as unknown));
    if (value !== undefined) record[key] = value;
  }
  for (const key of Object.keys(description.subsections)) if (present[key] !== undefined) record[key] = present[key];
  return record;
}

interface Condition {
  readonly exists: Predicate;
  readonly absent?: unknown;
}

/** Descriptions are plain data: a field's conditions stand in it, or in what it wraps. The first that does not hold. */
function failingCondition(field: Field, scope: Scope): Condition | undefined {
  const { kind, element } = field as { kind: string; element?: Field };
  if (kind === "condition") {
    const condition = field as unknown as Condition;
    if (!condition.exists(scope.record, scope)) return condition;
  }
  const isWrapper = kind === "condition" || kind === "named" || kind === "checked";
  return isWrapper && element !== undefined ? failingCondition(element, scope) : undefined;
}
