// Plain values of states: copied, and compared; and the walk that copies have in common.
import { type ErrorCode, joinPath, MigrationError } from "../errors.ts";

/** Where a walk stands: from the root to there, each key and then what stands at it. */
export type Trail = unknown[];
export type Tree = Record<string | number, unknown>;

export const isObject = (value: unknown): value is Tree => typeof value === "object" && value !== null;
export const isArray = (value: unknown): value is ArrayLike<unknown> =>
  Array.isArray(value) || ArrayBuffer.isView(value);

/** Throws: at the end of the trail `found` stands, where `expected` must. */
export function refuse(
  trail: Trail,
  found: unknown,
  expected = "plain data",
  code: ErrorCode = found == null ? "FIELD_MISSING" : "BITS_RANGE",
): never {
  let path: string | undefined;
  for (let i = 2; i < trail.length; i += 2) {
    const key = trail[i];
    path = joinPath(path, typeof key === "number" ? `[${key}]` : (key as string));
  }
  throw new MigrationError(code, "not what is described", {
    path,
    expected,
    found: Object(found) === found ? typeof found : String(found),
  });
}

/** Assigns to `into` what `take` makes of each part of `from`. An index is an own part even where an array has a hole. */
export function fill<T>(
  trail: Trail,
  into: T,
  from: unknown,
  take: (value: unknown, key: string | number) => unknown,
  keys: ArrayLike<unknown> = isArray(from) ? from : Object.keys(from as object),
): T {
  const { length } = trail;
  const count = keys.length;
  for (let i = 0; i < count; i++) {
    const key = keys === from ? i : (keys[i] as string);
    trail[length] = key;
    const value = (from as Tree)[key];
    trail[length + 1] = value;
    if (isObject(value) && trail.indexOf(value) <= length) refuse(trail, value, "no cycle", "RECORD_CYCLE");
    // An assignment would make it the prototype.
    if (key === "__proto__") refuse(trail, from);
    (into as Tree)[key] = take(value, key);
  }
  trail.length = length;
  return into;
}

/** A deep copy of data that no field describes; of an instance, its own names. */
export function copyOf(trail: Trail, value: unknown): unknown {
  if (Object(value) !== value) return value;
  if (ArrayBuffer.isView(value)) {
    try {
      // Node's Buffer has a `slice` of its own, which shares the memory.
      return Uint8Array.prototype.slice.call(value);
    } catch {
      // Its memory may be gone.
      refuse(trail, value);
    }
  }
  const isList = isArray(value);
  if (!isList && Object.prototype.toString.call(value) !== "[object Object]") refuse(trail, value);
  return fill(trail, isList ? [] : {}, value, (one) => copyOf(trail, one));
}

/**
 * A deep copy of plain data: objects, arrays, typed arrays, primitives; a function stands for itself. Anything else in
 * it is `BITS_RANGE`, with its path.
 */
export function cloneValue<T>(value: T): T {
  return typeof value === "function" ? value : (copyOf(["", value], value) as T);
}

/** Equal as state: arrays and typed arrays by their elements, objects by their keys. */
export function sameValue(a: unknown, b: unknown): boolean {
  return holds(a, b) && holds(b, a);
}

/**
 * `value` is what `assumed` is, a plain tree, as far as that goes: what else `value` holds is no state. Makes nothing new.
 */
export function holds(value: unknown, assumed: unknown): boolean {
  if (Object.is(value, assumed)) return true;
  if (!isObject(value) || !isObject(assumed)) return false;
  if (isArray(assumed)) {
    if (!isArray(value) || value.length !== assumed.length) return false;
    for (let i = 0; i < assumed.length; i++) if (!holds(value[i], assumed[i])) return false;
    return true;
  }
  for (const key in assumed) if (!(key in value) || !holds(value[key], assumed[key])) return false;
  return true;
}
