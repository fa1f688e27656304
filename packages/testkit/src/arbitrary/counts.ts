// Counts: which fields of a body decide about the length of others, and must stay small.
import type { AnyRecord, Count, Description, Scope, Spec } from "@godwit/core";

/** The largest lengths that counters are drawn for. */
const mostElements = 4;
const mostBytes = 24;
const mostBits = 130;

/** By key: the largest value that a counter takes, for what counts by its key. */
export function countersOf({ fields }: Description): ReadonlyMap<string, number> {
  const counters = new Map<string, number>();
  const tie = (count: Count, most: number) => {
    if (typeof count === "string") counters.set(count, Math.min(most, counters.get(count) ?? most));
  };
  for (const field of Object.values(fields)) {
    for (let spec: Spec | undefined = field as Spec; spec !== undefined; spec = elementOf(spec)) {
      if (spec.kind === "array" || spec.kind === "pointers") tie(spec.count, Math.min(mostElements, spec.max));
      else if (spec.kind === "buffer") tie(spec.size, Math.min(mostBytes, spec.max));
      else if (spec.kind === "bitmap") tie(spec.bits, Math.min(mostBits, spec.max));
    }
  }
  return counters;
}

function elementOf(spec: Spec): Spec | undefined {
  return "element" in spec ? (spec.element as Spec | undefined) : undefined;
}

/** What a function of the record says, and with `reads`, the paths of the fields that it looked at. */
export function countedBy(
  count: (record: AnyRecord, scope: Scope) => number,
  scope: Scope,
  placeOf: (scope: Scope) => string,
  reads?: Set<string>,
): unknown {
  if (reads === undefined) return count(scope.record, scope);
  const watched = watch(scope, placeOf, reads);
  return count(watched.record, watched);
}

function watch(scope: Scope, placeOf: (scope: Scope) => string, reads: Set<string>): Scope {
  const { version, parent } = scope;
  return {
    version,
    record: watchValue(scope.record, placeOf(scope), reads) as AnyRecord,
    get parent() {
      return parent && watch(parent, placeOf, reads);
    },
  };
}

/** A typed array's methods work on itself alone: it is read as a whole. */
function watchValue(value: unknown, path: string, reads: Set<string>): unknown {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return value;
  const isList = Array.isArray(value);
  return new Proxy(value, {
    get(target, key, receiver) {
      const found: unknown = Reflect.get(target, key, receiver);
      if (typeof key === "symbol" || typeof found === "function") return found;
      if (isList && !/^\d+$/.test(key)) return found;
      const at = isList ? `${path}[]` : path === "" ? key : `${path}.${key}`;
      reads.add(at);
      return watchValue(found, at, reads);
    },
  });
}
