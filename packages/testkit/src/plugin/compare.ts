// Compares machines by what they save, device by device, and names the field that differs.
import { type AnyRecord, type Description, decodeState, encodeState, isMigrationError } from "@godwit/core";
import { equal, type Save } from "../clocks/differences.ts";
import { type StateDifference, stateDifference } from "./difference.ts";
import type { Recorded } from "./recorded.ts";
import { bodyOf, partsOf } from "./sections.ts";

export interface SaveDifference extends StateDifference {
  readonly section: string;
}

/** Every device whose section differs. Iterables and what nobody describes are compared as bytes. */
export function saveDifferences(expected: Save, found: Save, recorded: readonly Recorded[]): readonly SaveDifference[] {
  const [a, b] = [partsOf(expected), partsOf(found)];
  const keys = new Set([...a.sections, ...b.sections].map(({ key }) => key));
  return [...keys].flatMap((section) => {
    const whole = (parts: typeof a) => parts.sections.filter(({ key }) => key === section).map(({ body }) => body);
    const [x, y] = [whole(a), whole(b)];
    if (x.length === y.length && x.every((body, i) => equal(body, y[i] as Uint8Array))) return [];
    const description = recorded.find(({ key }) => key === section)?.description;
    const difference = bodyDifference(description, bodyOf(a, section), bodyOf(b, section)) ?? inBytes(x, y);
    return [{ section, ...difference }];
  });
}

function inBytes(x: readonly Uint8Array[], y: readonly Uint8Array[]): StateDifference {
  const bytes = (all: readonly Uint8Array[]) => `${all.reduce((sum, { length }) => sum + length, 0)} bytes`;
  return { path: undefined, expected: bytes(x), found: `${bytes(y)}, which differ` };
}

/** Undefined where both decode to the same state, or nothing describes them. */
export function bodyDifference(
  description: Description | undefined,
  expected: Uint8Array | undefined,
  found: Uint8Array | undefined,
): StateDifference | undefined {
  if (description === undefined) return undefined;
  if (expected !== undefined && found !== undefined && equal(expected, found)) return undefined;
  return stateDifference(decoded(description, expected), decoded(description, found));
}

/** What was not sent is what its absence means. */
function decoded(description: Description, body: Uint8Array | undefined): unknown {
  return body === undefined ? description.absent : decodeState(description, body);
}

/** The body that a state has; undefined where it need not be sent. */
function bodyFor(description: Description, state: AnyRecord): Uint8Array | undefined {
  return description.needed === undefined || description.needed(state) ? encodeState(description, state) : undefined;
}

/** The same, or the MigrationError that refuses to write it. */
export function writable(
  description: Description,
  state: AnyRecord,
): { body: Uint8Array | undefined } | { error: Error } {
  try {
    return { body: bodyFor(description, state) };
  } catch (error) {
    if (isMigrationError(error)) return { error };
    throw error;
  }
}
