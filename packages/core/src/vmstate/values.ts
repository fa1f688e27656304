// Plain values of states: copied, and compared.
import type { AnyRecord } from "./types.ts";

function isArrayLike(value: object): value is ArrayLike<unknown> {
  return Array.isArray(value) || ArrayBuffer.isView(value);
}

/** A deep copy of plain data: objects, arrays, typed arrays, primitives. */
export function cloneValue<T>(value: T): T {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(cloneValue) as T;
  if (ArrayBuffer.isView(value)) return copyOfView(value as unknown as Uint8Array) as unknown as T;
  const copy: Record<string, unknown> = {};
  for (const [key, one] of Object.entries(value)) copy[key] = cloneValue(one);
  return copy as T;
}

/** Node's Buffer has a `slice` of its own, which shares the memory. */
function copyOfView(value: Uint8Array): Uint8Array {
  return Uint8Array.prototype.slice.call(value);
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
  if (typeof value !== "object" || typeof assumed !== "object" || value === null || assumed === null) return false;
  if (isArrayLike(assumed)) {
    if (!isArrayLike(value) || value.length !== assumed.length) return false;
    for (let i = 0; i < assumed.length; i++) if (!holds(value[i], assumed[i])) return false;
    return true;
  }
  for (const key in assumed) {
    if (!(key in value) || !holds((value as AnyRecord)[key], (assumed as AnyRecord)[key])) return false;
  }
  return true;
}
