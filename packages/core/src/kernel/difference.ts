// The first part of a state that is not what the absence of its section means, with its place.
import { joinPath, MigrationError } from "../errors.ts";
import { describeValue } from "../vmstate/nodes/leaf.ts";
import type { AnyRecord } from "../vmstate/types.ts";
import { isArray, isObject } from "../vmstate/values.ts";

/** The error about a state that differs; `FIELD_MISSING` where it lacks a part. Undefined where it does not differ. */
export function differenceOf(value: unknown, assumed: unknown, path?: string): MigrationError | undefined {
  if (Object.is(value, assumed)) return undefined;
  const expected = describeValue(assumed);
  if (value === undefined) {
    return new MigrationError("FIELD_MISSING", "the state lacks what its description has", { path, expected });
  }
  const found = describeValue(value);
  const [isList, size] = [isArray(assumed), isArray(assumed) ? assumed.length : 0];
  const comparable = isList ? isArray(value) && value.length === size : isObject(value) && isObject(assumed);
  if (!comparable) {
    const detail = "the section is not needed, yet differs from what its absence means";
    return new MigrationError("ABSENT_MISMATCH", detail, { path, expected, found });
  }
  const keys = isList ? Array.from({ length: size }, (_, i) => `[${i}]`) : Object.keys(assumed as object);
  for (const [i, key] of keys.entries()) {
    const at = isList ? i : key;
    const different = differenceOf((value as AnyRecord)[at], (assumed as AnyRecord)[at], joinPath(path, key));
    if (different !== undefined) return different;
  }
  return undefined;
}
