// Between a described state and the object that lives it: described names are copied out, and put back in place.
import { type ErrorCode, joinPath, MigrationError } from "../errors.ts";
import { u8, u32 } from "./fields.ts";
import type { CustomSpec, IntSpec, Spec } from "./spec.ts";
import type { Description, Field, Scope, StateOf } from "./types.ts";
import { sameValue } from "./values.ts";

/**
 * An object that a state of type `T` can be captured from: at least the described names, each of its type. Arrays may
 * be any array-like. Getters, readonly members, and members beyond the described ones are fine.
 */
export type Capturable<T> =
  T extends Words<bigint>
    ? ArrayLike<bigint>
    : T extends Words<number>
      ? ArrayLike<number>
      : T extends readonly unknown[]
        ? number extends T["length"]
          ? ArrayLike<Capturable<T[number]>>
          : { readonly [K in keyof T]: Capturable<T[K]> }
        : T extends (...args: never) => unknown
          ? T
          : T extends object
            ? { readonly [K in keyof T]: Capturable<T[K]> }
            : T;

/** An object that a state of type `T` can be restored into: its arrays are what the state's are. */
export type Restorable<T> =
  T extends Words<number | bigint>
    ? T
    : T extends (...args: never) => unknown
      ? T
      : T extends object
        ? { readonly [K in keyof T]: Restorable<T[K]> }
        : T;

type Words<T extends number | bigint> = T extends bigint
  ? BigUint64Array | BigInt64Array
  : Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array;

/**
 * A copy of the described names, nested structs, lists and subsections included; it shares nothing with the source.
 * `FIELD_MISSING`, `BITS_RANGE` (wrong type, or out of range) and `RECORD_CYCLE` tell the path.
 */
export function capture<D extends Description>(description: D, source: Capturable<StateOf<D>>): StateOf<D> {
  return transfer(description, source)[0] as StateOf<D>;
}

/**
 * Puts a state back. Nested objects, and arrays of the same length, are filled in place and keep their identity; others
 * are replaced by copies. A list of class instances whose length differs is `COUNT_MISMATCH`: give it its length first.
 * All of that is checked before the first assignment. Setters are called; what cannot be assigned (a getter that
 * derives it) must be as in the state afterwards, else `FIELD_CHECK`. The target shares nothing with the state.
 */
export function restore<D extends Description>(
  description: D,
  target: Restorable<StateOf<D>>,
  state: StateOf<D>,
): void {
  const [now, writes] = transfer(description, state, target);
  if (now !== target) throw new MigrationError("FIELD_MISSING", "no target");
  // What is derived is proven when all that it may derive from has been written.
  for (const proof of writes.map((write) => write())) if (proof !== true) proof();
}

type Mutable = Record<string | number, unknown>;
type List = Mutable & { readonly length: number };
type Typed = List & { set(from: unknown): undefined };
interface TypedClass {
  new (from: unknown): Typed;
  of(value: unknown): Typed;
}
/** A key and what stands there. */
type Entry = readonly [key: string | number, spec: Spec];
/** Writes to the target; where that cannot be, gives what proves that the value is there all the same. */
type Write = () => true | (() => void);

const words = {
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  uint32: Uint32Array,
  int32: Int32Array,
  uint64: BigUint64Array,
  int64: BigInt64Array,
} as unknown as Readonly<Record<string, TypedClass>>;

const anything = { kind: "anything" } as unknown as Spec;

const isObject = (value: unknown): value is Mutable => typeof value === "object" && value !== null;
const isTyped = (value: unknown): value is Typed => ArrayBuffer.isView(value);
const isInstance = (value: unknown): boolean =>
  isObject(value) &&
  !isTyped(value) &&
  !Array.isArray(value) &&
  ![null, Object.prototype].includes(Object.getPrototypeOf(value));

function fits({ kind, ...rest }: Spec, value: unknown): boolean {
  if (kind === "bool") return typeof value === "boolean";
  const { as = "bigint", info = "uint64", signed } = rest as Partial<IntSpec>;
  if (as === "safe") return Number.isSafeInteger(value) && (signed || (value as number) >= 0);
  if (typeof value !== as || (words[info] as TypedClass).of(value)[0] !== value) return false;
  return kind !== "timer" || value !== 0xffff_ffff_ffff_ffffn;
}

/**
 * What stands in `target` is filled in place where that can be; else an own copy is made. Nothing of it is changed here:
 * the writes are given back, so that every check comes before them.
 */
function transfer(description: Description, source: unknown, target?: unknown): [now: unknown, writes: Write[]] {
  const within: unknown[] = [];
  const writes: Write[] = [];
  let scope: Scope | undefined;
  let path = "";

  function fail(code: ErrorCode, detail: string, expected?: string, found?: string): never {
    throw new MigrationError(code, detail, { path: path || undefined, expected, found });
  }
  function refuse(value: unknown, expected: string): never {
    const code = value == null ? "FIELD_MISSING" : "BITS_RANGE";
    fail(code, "not what is described", expected, isObject(value) ? "an object" : String(value));
  }

  function take(spec: Spec, value: unknown, old?: unknown): unknown {
    const isTree = isObject(value) && !isTyped(value);
    if (isTree && within.includes(value)) fail("RECORD_CYCLE", "the record holds itself");
    if (isTree) within.push(value);
    const now = convert(spec, value, old);
    if (isTree) within.pop();
    return now;
  }

  function convert(spec: Spec, value: unknown, old: unknown): unknown {
    const { kind } = spec;
    if (value === undefined && spec !== anything) refuse(value, kind);
    if (spec === anything || kind === "tmp") return plain(value, old);
    switch (kind) {
      case "named":
      case "condition":
      case "checked":
        return convert(spec.element as Spec, value, old);
      case "struct":
        return body(spec.description, spec.version, value, old);
      case "array":
      case "pointers":
        return list(value, old, spec.element as Spec, kind);
      case "buffer":
      case "bitmap":
        return list(value, old, u8 as Spec, "array");
      case "custom": {
        const { marked, map } = spec.custom;
        if (marked !== undefined) return list(value, old, marked as Spec);
        if (map === undefined || !isObject(value)) return plain(value, old);
        // What no field describes is the source's still.
        return plain(map(value, eachOf(spec.custom, value), scope as Scope), old);
      }
      case "int":
        if (spec.as !== "pair") break;
        if ((value as List | null)?.length !== 2) refuse(value, "pair");
        // The old one may be anybody's constant.
        return list(value, undefined, u32 as Spec);
      case "timer":
        if (value === null) return value;
    }
    return fits(spec, value) ? value : refuse(value, kind === "int" ? spec.info : kind);
  }

  /** Takes the parts of a value that fields describe, each at its place. */
  function eachOf({ encode }: CustomSpec["custom"], value: unknown): (field: Field, one: unknown) => unknown {
    const outer = path;
    const segments = new Map<unknown, string | undefined>();
    for (const item of encode(value, scope as Scope)) segments.set(item.value, item.segment);
    return (field, one) => {
      path = joinPath(outer, segments.get(one)) ?? "";
      const now = take(field as Spec, one);
      path = outer;
      return now;
    };
  }

  function body(from: Description, fixed: number | undefined, value: unknown, old: unknown): unknown {
    if (!isObject(value)) refuse(value, from.name);
    const parent = scope;
    scope = { record: value as Mutable, parent, version: fixed ?? from.version };
    const now = fill(isObject(old) ? old : {}, old, value, [
      ...Object.entries(from.fields).filter(([key]) => !key.startsWith("_")),
      ...Object.entries(from.subsections).map(([key, part]) => [key, { ...part, kind: "struct" }]),
    ] as unknown as Entry[]);
    scope = parent;
    return now;
  }

  function fill(into: Mutable, old: unknown, from: unknown, entries: readonly Entry[]): Mutable {
    const outer = path;
    for (const [key, spec] of entries) {
      path = joinPath(outer, typeof key === "number" ? `[${key}]` : key) as string;
      const value = (from as Mutable)[key];
      if (into !== old) into[key] = take(spec, value);
      else {
        if (!(key in into)) refuse(undefined, "field of the target");
        const now = take(spec, value, into[key]);
        const at = path;
        const proof = (): void => {
          path = at;
          if (!sameValue(into[key], now)) fail("FIELD_CHECK", "the target does not take it");
        };
        writes.push(() => Reflect.set(into, key, now) || proof);
      }
    }
    path = outer;
    return into;
  }

  function list(value: unknown, old: unknown, element: Spec, kind?: "array" | "pointers"): unknown {
    if (!isObject(value) || typeof value["length"] !== "number") refuse(value, "array");
    const from = value as List;
    const inPlace = (Array.isArray(old) || isTyped(old)) && old.length === from.length;
    const entries = (): Entry[] =>
      Array.from(from, (one, i) => [i, kind === "pointers" && one === null ? anything : element] as const);
    const Own =
      kind === "array" && element.kind === "int" && element.as !== "safe" && element.as !== "pair"
        ? words[element.info]
        : undefined;
    if (Own !== undefined) {
      const items = from instanceof Own ? from : fill([] as unknown as Mutable, undefined, from, entries());
      if (!inPlace || !(old instanceof Own)) return new Own(items);
      writes.push(() => old.set(items) ?? true);
      return old;
    }
    if (Array.isArray(old) && !inPlace && old.some(isInstance)) {
      fail("COUNT_MISMATCH", "give the list of instances its length first", `${from.length}`, `${old.length}`);
    }
    return fill(inPlace ? (old as Mutable) : ([] as unknown as Mutable), old, from, entries());
  }

  /** Data that no field describes. */
  function plain(value: unknown, old: unknown): unknown {
    if (Object(value) !== value) return value;
    if (isTyped(value)) return Uint8Array.prototype.slice.call(value);
    if (Array.isArray(value)) return list(value, old, anything);
    if (Object.prototype.toString.call(value) !== "[object Object]") refuse(value, "plain data");
    const entries = Object.keys(value as object).map((key): Entry => [key, anything]);
    // Names that only the old one has would outlive it.
    return fill(isInstance(old) ? (old as Mutable) : {}, old, value, entries);
  }

  return [take({ kind: "struct", description } as Spec, source, target), writes];
}
