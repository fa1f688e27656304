// Paths of fields, `vqs[1].last_avail_idx`, in the JSON form of a record. A key may hold dots: the longest one that fits wins.
import type { JsonValue } from "@godwit/core/tools";

/** JSON that is being changed. */
export type OpenJson = null | boolean | number | string | OpenJson[] | OpenObject;
export interface OpenObject {
  [key: string]: OpenJson;
}

export interface JsonPlace {
  readonly holder: OpenJson[] | OpenObject;
  readonly key: string | number;
  readonly value: OpenJson;
}

/** A copy to be changed. */
export const opened = (json: JsonValue): OpenJson => structuredClone(json) as OpenJson;

export function placeOf(root: OpenJson, path: string): JsonPlace | undefined {
  if (typeof root !== "object" || root === null) return undefined;
  if (Array.isArray(root)) {
    const [whole = "", digits = ""] = /^\[(\d+)\]/.exec(path) ?? [];
    const value = whole === "" ? undefined : root[Number(digits)];
    return value === undefined ? undefined : inside(root, Number(digits), value, path.slice(whole.length));
  }
  const keys = Object.keys(root)
    .filter((key) => path.startsWith(key))
    .sort((a, b) => b.length - a.length);
  for (const key of keys) {
    const found = inside(root, key, root[key] as OpenJson, path.slice(key.length));
    if (found !== undefined) return found;
  }
  return undefined;
}

function inside(
  holder: JsonPlace["holder"],
  key: string | number,
  value: OpenJson,
  rest: string,
): JsonPlace | undefined {
  if (rest === "") return { holder, key, value };
  if (rest.startsWith("[")) return Array.isArray(value) ? placeOf(value, rest) : undefined;
  return rest.startsWith(".") && !Array.isArray(value) ? placeOf(value, rest.slice(1)) : undefined;
}

export function put({ holder, key }: JsonPlace, value: JsonValue): void {
  (holder as OpenObject)[key] = opened(value);
}

/** The paths of all that holds nothing else, and of what holds them. */
export function* pathsIn(value: OpenJson, path = ""): Generator<string> {
  if (path !== "") yield path;
  if (typeof value !== "object" || value === null) return;
  if (Array.isArray(value)) for (const [i, one] of value.entries()) yield* pathsIn(one, `${path}[${i}]`);
  else for (const [key, one] of Object.entries(value)) yield* pathsIn(one, path === "" ? key : `${path}.${key}`);
}
