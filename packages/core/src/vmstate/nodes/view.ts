// What predicates and counts see of a wire record: values as they are in a state, with `absent` for what did not come.
// On save they see the state itself; a description must mean the same on both sides.

import type { AnyRecord, Scope, WireRecord } from "../types.ts";
import { cloneValue } from "../values.ts";
import type { Member } from "./member.ts";
import type { Part } from "./probe.ts";

const wire = Symbol("wire");
const place = Symbol("place");
const known = Symbol("known");

interface View {
  readonly [wire]: WireRecord;
  readonly [place]: Scope;
  /** Conversions of composites that were asked for. */
  [known]: Map<string, unknown> | undefined;
}

/** Makes the scope of a record that is read, or written back. */
export type ScopeOf = (record: WireRecord, parent: Scope | undefined, version: number) => Scope;

export function absentOf(absent: unknown, scope: Scope): unknown {
  return cloneValue(typeof absent === "function" ? absent(scope) : absent);
}

const plainScope: ScopeOf = (record, parent, version) => ({ record, parent, version });

export function scopesOf(members: readonly Member[], parts: readonly Part[]): ScopeOf {
  const converted = members.filter((m) => !m.padding && (m.condition !== undefined || m.node?.plain === false));
  if (converted.length === 0 && parts.length === 0) return plainScope;
  const shape = Object.create(Object.prototype) as object;
  const define = (key: string, get: (this: View) => unknown): void => {
    Object.defineProperty(shape, key, { get, enumerable: true });
  };
  for (const { key, node, condition, padding } of members) {
    if (padding) continue;
    define(key, function () {
      const record = this[wire];
      if (!Object.hasOwn(record, key)) {
        return condition === undefined ? undefined : absentOf(condition.absent, this[place]);
      }
      const value = record[key];
      if (node === undefined || node.plain) return value;
      return node.composite
        ? once(this, key, () => node.toState(value, this[place]))
        : node.toState(value, this[place]);
    });
  }
  for (const part of parts) {
    define(part.key, function () {
      const record = this[wire][part.key] as WireRecord | undefined;
      if (record === undefined) return absentOf(part.subsection.absent, this[place]);
      return once(this, part.key, () => part.body.toState(record, this[place], record["$version"] as number));
    });
  }
  return (record, parent, version) => {
    const view = Object.create(shape) as Record<symbol, unknown>;
    const scope: Scope = { record: view as unknown as AnyRecord, parent, version };
    view[wire] = record;
    view[place] = scope;
    view[known] = undefined;
    return scope;
  };
}

function once(view: View, key: string, convert: () => unknown): unknown {
  view[known] ??= new Map();
  const cache = view[known];
  if (!cache.has(key)) cache.set(key, convert());
  return cache.get(key);
}
