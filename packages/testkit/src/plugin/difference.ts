// Where two states differ, as a field's path.
import { sameValue } from "@godwit/core";

export interface StateDifference {
  /** Undefined: the whole of it. */
  readonly path: string | undefined;
  readonly expected: string;
  readonly found: string;
}

type Tree = Readonly<Record<string | number, unknown>>;

const isTree = (value: unknown): value is Tree => typeof value === "object" && value !== null;
const isList = (value: unknown): value is ArrayLike<unknown> => Array.isArray(value) || ArrayBuffer.isView(value);

/** The first field that differs, in the order of the wire; undefined where the states are the same. */
export function stateDifference(expected: unknown, found: unknown, path?: string): StateDifference | undefined {
  if (sameValue(expected, found)) return undefined;
  const isBoth = isTree(expected) && isTree(found);
  if (!isBoth || isList(expected) !== isList(found)) return { path, expected: shown(expected), found: shown(found) };
  if (isList(expected) && isList(found)) {
    if (expected.length !== found.length) {
      return { path, expected: `${expected.length} elements`, found: `${found.length} elements` };
    }
    return firstOf(
      Array.from(expected, (_, i) => i),
      (i) => stateDifference(expected[i], found[i], `${path ?? ""}[${i}]`),
    );
  }
  const keys = [...new Set([...Object.keys(expected), ...Object.keys(found)])];
  return firstOf(keys, (key) =>
    stateDifference((expected as Tree)[key], (found as Tree)[key], path === undefined ? key : `${path}.${key}`),
  );
}

function firstOf<K>(
  keys: readonly K[],
  differenceAt: (key: K) => StateDifference | undefined,
): StateDifference | undefined {
  for (const key of keys) {
    const difference = differenceAt(key);
    if (difference !== undefined) return difference;
  }
  return undefined;
}

const mostShown = 60;

/** A value, as much of it as a sentence can hold. */
function shown(value: unknown): string {
  const text = isList(value)
    ? `[${Array.from({ length: Math.min(value.length, 16) }, (_, i) => shown(value[i])).join(", ")}${value.length > 16 ? ", ..." : ""}]`
    : isTree(value)
      ? `{${Object.keys(value).join(", ")}}`
      : typeof value === "bigint"
        ? `${value}n`
        : String(value);
  return text.length > mostShown ? `${text.slice(0, mostShown)}...` : text;
}
