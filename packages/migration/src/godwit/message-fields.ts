// Reading the fields of a decoded control message: each value is checked, and whoever reads it learns which was wrong.
import { migrationError } from "../codes.ts";

export type Fields = Readonly<Record<string, unknown>>;

export function fieldsOf(value: unknown, path: string): Fields {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
  throw wrong(path, "a map", value);
}

export function text(from: Fields, key: string, path: string): string {
  const value = from[key];
  if (typeof value === "string") return value;
  throw wrong(`${path}.${key}`, "a string", value);
}

export function optionalText(from: Fields, key: string, path: string): string | undefined {
  return from[key] === undefined ? undefined : text(from, key, path);
}

/** A copy: the message's own buffer is not to be kept. */
export function bytes(from: Fields, key: string, path: string): Uint8Array {
  const value = from[key];
  // Not what the decoder gives where there is one: a view of the message, of a class of its own.
  if (value instanceof Uint8Array) return new Uint8Array(value);
  throw wrong(`${path}.${key}`, "bytes", value);
}

/** A safe integer, not negative. */
export function count(from: Fields, key: string, path: string): number {
  const value = from[key];
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw wrong(`${path}.${key}`, "a count", value);
}

export function optionalCount(from: Fields, key: string, path: string): number | undefined {
  return from[key] === undefined ? undefined : count(from, key, path);
}

/** A duration: finite, not negative. Milliseconds. */
export function duration(from: Fields, key: string, path: string): number {
  const value = from[key];
  if (typeof value === "number" && Number.isFinite(value) && value >= 0) return value;
  throw wrong(`${path}.${key}`, "a duration in milliseconds", value);
}

export function flag(from: Fields, key: string, path: string): boolean {
  const value = from[key];
  if (typeof value === "boolean") return value;
  throw wrong(`${path}.${key}`, "true or false", value);
}

export function list<T>(from: Fields, key: string, path: string, read: (value: unknown, path: string) => T): T[] {
  const value = from[key];
  if (!Array.isArray(value)) throw wrong(`${path}.${key}`, "a list", value);
  return value.map((element, i) => read(element, `${path}.${key}[${i}]`));
}

export function wrong(path: string, expected: string, found: unknown) {
  return migrationError("PROTOCOL_MESSAGE", "a control message is not well formed", {
    path,
    expected,
    found: found === null ? "null" : Array.isArray(found) ? "a list" : typeof found,
  });
}
