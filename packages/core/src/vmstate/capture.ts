// Between a described state and the object that lives it: described names are copied out, and put back in place.
import { u8, u32 } from "./fields.ts";
import type { ArraySpec, CustomSpec, IntSpec, Spec, StructSpec } from "./spec.ts";
import type { Description, Field, Scope, StateOf } from "./types.ts";
import { copyOf, fill, holds, isArray, isObject, refuse, sameValue, type Trail, type Tree } from "./values.ts";

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
  return take(description, source) as StateOf<D>;
}

/**
 * Puts a state back. Nested objects, and arrays of the same length, are filled in place and keep their identity; others
 * are replaced by copies. A list of class instances whose length differs is `COUNT_MISMATCH`: give it its length first.
 * All of that, and whether a read-only property has its value already (`FIELD_CHECK`), is checked before the first
 * assignment. Setters are called; what one throws is thrown, and what was assigned before it stays. What a getter without
 * setter derives, and what stands under two names of the target, is compared afterwards: `FIELD_CHECK` if it is not as in
 * the state. The target shares nothing with the state.
 */
export function restore<D extends Description>(
  description: D,
  target: Restorable<StateOf<D>>,
  state: StateOf<D>,
): void {
  const parts = new Set<unknown>();
  const now = take(description, state, parts);
  const trail: Trail = ["", now];
  /** What is filled in place, and whether it was met before. */
  const places = new Map<unknown, boolean>();
  const writes: (() => () => void)[] = [];

  function put(into: Tree, from: unknown): void {
    fill(trail, {}, from, (value, key) => {
      if (typeof key === "string" && !(key in into)) refuse(trail, undefined, "field");
      const old = into[key] as Typed;
      const at = trail.slice();
      const prove = (isRight: boolean): void => {
        if (!isRight) refuse(at, into[key], "the state's", "FIELD_CHECK");
      };
      const isMemory = ArrayBuffer.isView(value);
      const isInPlace = isArray(value)
        ? isArray(old) &&
          old.length === value.length &&
          // A pair may be anybody's constant.
          (isMemory ? old instanceof (value.constructor as TypedClass) : !parts.has(value))
        : // Names that only the old one has would outlive plain data.
          isObject(value) && (parts.has(value) ? isObject(old) : isInstance(old));
      const next = isInPlace ? old : value;
      if (isInPlace) {
        places.set(old, places.has(old));
        if (!isMemory) put(old, value);
      } else if (isArray(value) && Array.isArray(old) && old.some(isInstance)) {
        refuse(trail, old.length, `${value.length}`, "COUNT_MISMATCH");
      } else if (Object.getOwnPropertyDescriptor(into, key)?.writable === false) prove(sameValue(old, value));
      writes.push(() => {
        if (isInPlace && isMemory) old.set(value);
        const isSet = Reflect.set(into, key, next);
        return () => prove(places.get(old) ? holds(into[key], value) : isSet || sameValue(into[key], next));
      });
    });
  }

  if (!isObject(target)) refuse([], undefined, "field");
  put(target, now);
  // What is derived is proven when all that it may derive from has been written.
  for (const prove of writes.map((write) => write())) prove();
}

type Custom = CustomSpec["custom"];
type Own<S> = Omit<S, "kind" | "element">;
/** A field of any kind; which kind it is, its own parts tell. */
type Every = Own<IntSpec> &
  Own<StructSpec> &
  Own<ArraySpec> &
  Own<CustomSpec> & { readonly kind: string; readonly element: Field | undefined };
type List = Tree & { readonly length: number };
type Typed = List & { set(from: unknown): undefined };
type TypedClass = new (from: unknown) => Typed;

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

const isInstance = (value: unknown): boolean =>
  isObject(value) && !isArray(value) && (Object.getPrototypeOf(value) ?? Object.prototype) !== Object.prototype;

function fits(spec: Spec, value: unknown): boolean {
  const { kind, as, bytes, signed } = spec as Every;
  if (as === "number") {
    const spare = 32 - 8 * bytes;
    return typeof value === "number" && (signed ? (value << spare) >> spare : (value << spare) >>> spare) === value;
  }
  if (as === "safe") return Number.isSafeInteger(value) && (signed || (value as number) >= 0);
  if (kind === "bool") return value === !!value;
  if (kind === "timer" && value === null) return true;
  return (
    typeof value === "bigint" &&
    (signed ? BigInt.asIntN : BigInt.asUintN)(64, value) === value &&
    value !== (kind === "timer" && 0xffff_ffff_ffff_ffffn)
  );
}

/** `parts`, if given, takes up what stands for a described record, and each pair. */
function take(description: Description, source: unknown, parts?: Set<unknown>): unknown {
  const trail: Trail = ["", source];
  let scope: Scope | undefined;

  function convert(spec: Spec, value: unknown): unknown {
    const { kind, element, max, description, as, info, custom } = spec as Partial<Every>;
    // array, pointers, buffer, bitmap
    if (max !== undefined) return list(value, (element ?? u8) as Spec, kind);
    // named, condition, checked
    if (element) return convert(element as Spec, value);
    if (description && kind !== "tmp") return body(spec as StructSpec, value);
    if (value === undefined) refuse(trail, value, kind);
    if (description || custom) {
      const { marked, map }: Partial<Custom> = custom ?? {};
      if (marked) return list(value, marked as Spec);
      // What no field describes is the source's still.
      return copyOf(
        trail,
        map && isObject(value) ? map(value, eachOf(custom as unknown as Custom, value), scope as Scope) : value,
      );
    }
    if (as === "pair") {
      const pair = list(value, u32 as Spec);
      if (pair.length !== 2) refuse(trail, value, as);
      parts?.add(pair);
      return pair;
    }
    return fits(spec, value) ? value : refuse(trail, value, info ?? kind);
  }

  /** Takes the parts of a value that fields describe, each at its place. */
  function eachOf({ encode }: Custom, value: unknown): (field: Field, one: unknown) => unknown {
    const segments = new Map<unknown, string | undefined>();
    for (const item of encode(value, scope as Scope)) segments.set(item.value, item.segment);
    return (field, one) => {
      const key = segments.get(one) ?? "";
      return fill(trail, {} as Tree, { [key]: one }, () => convert(field as Spec, one))[key];
    };
  }

  function body({ description, version = description.version }: StructSpec, value: unknown): unknown {
    if (!isObject(value)) refuse(trail, value, description.name);
    const parent = scope;
    scope = { record: value, parent, version };
    const now = {};
    for (const specs of [description.fields, description.subsections] as unknown as Record<string, Spec>[]) {
      const keys = Object.keys(specs).filter((key) => key[0] !== "_");
      fill(trail, now, value, (one, key) => convert(specs[key] as Spec, one), keys);
    }
    scope = parent;
    parts?.add(now);
    return now;
  }

  function list(value: unknown, element: Spec, kind?: string): List {
    if (!isObject(value) || !fits(u32 as Spec, value["length"])) refuse(trail, value, "array");
    const from = (ArrayBuffer.isView(value) ? copyOf(trail, value) : value) as List;
    const { as, info } = element as IntSpec;
    const Own = kind && kind !== "pointers" && as !== "safe" && as !== "pair" && words[info];
    if (from !== value && from.constructor === Own) return from;
    const items = fill(
      trail,
      [] as unknown[],
      from,
      (one) => (kind === "pointers" && one === null ? one : convert(element, one)),
      from,
    );
    return Own ? new Own(items) : (items as unknown as List);
  }

  return body({ description } as StructSpec, source);
}
