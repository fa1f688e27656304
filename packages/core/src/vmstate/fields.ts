// The constructors of fields. A description's author uses nothing else; each returns frozen plain data.
import { MigrationError } from "../errors.ts";
import type { CustomCodec, Spec } from "./spec.ts";
import type {
  AnyRecord,
  ArrayOf,
  Count,
  Description,
  Field,
  IntField,
  PaddingField,
  Predicate,
  Scope,
  StateOf,
} from "./types.ts";

/** Bounds that hold where a field gives none. A stream that needs more says so in its description. */
export const defaultBounds: { readonly bytes: number; readonly count: number } = {
  bytes: 64 * 1024 * 1024,
  count: 1024 * 1024,
};

function field<T>(spec: Spec): Field<T> {
  return Object.freeze(spec) as unknown as Field<T>;
}

function refuse(why: string): never {
  throw new MigrationError("DEFINITION_INVALID", why, { side: "define" });
}

function checkedCount<C extends Count>(count: C): C {
  if (typeof count === "number" && !(Number.isSafeInteger(count) && count >= 0)) {
    refuse(`a count of ${count}; it is an integer from 0`);
  }
  return count;
}

function int<T, A>(info: string, bytes: 1 | 2 | 4 | 8, as: "number" | "bigint" | "safe" | "pair"): IntField<T, A> {
  return field<T>({ kind: "int", info, bytes, signed: !info.startsWith("u"), as });
}

/** be8 … be32 as `number`. */
export const u8: IntField<number, Uint8Array> = int("uint8", 1, "number");
export const i8: IntField<number, Int8Array> = int("int8", 1, "number");
export const u16: IntField<number, Uint16Array> = int("uint16", 2, "number");
export const i16: IntField<number, Int16Array> = int("int16", 2, "number");
export const u32: IntField<number, Uint32Array> = int("uint32", 4, "number");
export const i32: IntField<number, Int32Array> = int("int32", 4, "number");
/** be64 as `bigint`. */
export const u64: IntField<bigint, BigUint64Array> = int("uint64", 8, "bigint");
export const i64: IntField<bigint, BigInt64Array> = int("int64", 8, "bigint");
/** be64 as a safe integer; a value beyond 2^53 - 1 is `BITS_RANGE`. */
export const u64n: IntField<number, number[]> = int("uint64", 8, "safe");
export const i64n: IntField<number, number[]> = int("int64", 8, "safe");
/** be64 as `[low 32 bits, high 32 bits]`, for guests that keep halves. */
export const u64pair: IntField<readonly [number, number], (readonly [number, number])[]> = int("uint64", 8, "pair");

/** One byte; any value but 0 is true. */
export const bool: Field<boolean> = field<boolean>({ kind: "bool" });
/** be64, nanoseconds: a deadline on the virtual clock; `null` (all ones on the wire) is a timer that is not pending. */
export const timer: Field<bigint | null> = field<bigint | null>({ kind: "timer" });
/** The 64 bits of a double (QEMU: CPU_DoubleU). Bits and not a `number`, since a NaN's payload is guest state. */
export const cpudouble: Field<bigint> = field<bigint>({ kind: "cpudouble" });

/** `size` raw bytes, as they lie in memory. */
export function buffer(size: Count, limit: { max?: number } = {}): Field<Uint8Array> {
  return field({ kind: "buffer", info: "buffer", size: checkedCount(size), max: limit.max ?? defaultBounds.bytes });
}

/** Raw bytes whose number an earlier field holds. The length is not part of the buffer's own bytes. */
export function vbuffer(size: Count, limit: { max?: number } = {}): Field<Uint8Array> {
  return buffer(size, limit);
}

/** `size` bytes that mean nothing: written as zeros, skipped on load. Give it a key that begins with `_`. */
export function unused(size: Count): PaddingField {
  const spec: Spec = {
    kind: "buffer",
    info: "unused_buffer",
    size: checkedCount(size),
    max: defaultBounds.bytes,
    padding: true,
  };
  return Object.freeze(spec) as unknown as PaddingField;
}

/**
 * `bits` bits as whole be64 words. The value holds 8 bytes a word; bit i is `bytes[i >> 3] >> (i & 7) & 1`.
 */
export function bitmap(bits: Count, limit: { max?: number } = {}): Field<Uint8Array> {
  return field({ kind: "bitmap", bits: checkedCount(bits), max: limit.max ?? defaultBounds.bytes * 8 });
}

/** A nested description: its fields and subsections, without a header. Read as the receiver's own version. */
export function struct<D extends Description>(description: D): Field<StateOf<D>> {
  return field({ kind: "struct", description, version: undefined });
}

/** A nested description whose version the enclosing one fixes (QEMU: VMSTATE_VSTRUCT); one that it can be read in. */
export function vstruct<D extends Description>(description: D, version: number): Field<StateOf<D>> {
  const { name, version: newest, minimumVersion: oldest } = description;
  if (!(version >= oldest && version <= newest)) {
    refuse(`"${name}" is read in version ${oldest} to ${newest}, not in ${version}`);
  }
  return field({ kind: "struct", description, version });
}

/**
 * Elements one after the other. Integer elements become the typed array of their width; `count` is a number, the key
 * of an earlier field, or a function of the record.
 */
export function array<F extends Field<unknown>>(
  element: F,
  count: Count,
  limit: { max?: number } = {},
): Field<ArrayOf<F>> {
  return field({ kind: "array", element, count: checkedCount(count), max: limit.max ?? defaultBounds.count });
}

/** An array whose count an earlier field holds; the array itself writes none. `COUNT_MISMATCH` on save if they differ. */
export function varray<F extends Field<unknown>>(
  count: Count,
  element: F,
  limit: { max?: number } = {},
): Field<ArrayOf<F>> {
  return array(element, count, limit);
}

/** What a pointer points to; the same bytes. Null pointers exist in arrays only: see `pointers`. */
export function pointer<F extends Field>(element: F): F {
  return element;
}

/**
 * An array of pointers. A null element is the byte 0x30; the stream does not say which elements are null, so the
 * receiver's own pattern is an instance parameter: `isNull`. Another pattern is `NULL_PATTERN`.
 */
export function pointers<T>(
  element: Field<T>,
  count: Count,
  isNull: (index: number) => boolean,
  limit: { max?: number } = {},
): Field<(T | null)[]> {
  return field({
    kind: "pointers",
    element,
    count: checkedCount(count),
    isNull,
    max: limit.max ?? defaultBounds.count,
  });
}

/**
 * A body that stands on the wire in another shape than in the state (QEMU: VMSTATE_WITH_TMP). `save` makes the child's
 * state from the value, `load` the value from the child's state; both are pure.
 */
export function tmp<D extends Description, T>(
  description: D,
  convert: { save: (value: T, scope: Scope) => StateOf<D>; load: (wire: StateOf<D>, scope: Scope) => T },
): Field<T> {
  return field({
    kind: "tmp",
    description,
    save: convert.save as (value: unknown, scope: Scope) => AnyRecord,
    load: convert.load as unknown as (wire: AnyRecord, scope: Scope) => unknown,
  });
}

/** The vmdesc type of a checked integer; QEMU has one name for both signs of 64 bits. */
function checkedInfo(element: Field, check: "equal" | "le"): string | undefined {
  const spec = element as Spec;
  if (spec.kind !== "int") return undefined;
  return `${check === "equal" && spec.bytes === 8 ? "int64" : spec.info} ${check}`;
}

/** A value that both sides must agree on: anything but `value` is `FIELD_UNEQUAL`. */
export function equal<T extends number | bigint>(element: Field<T>, value: T): Field<T> {
  return field({
    kind: "checked",
    element,
    code: "FIELD_UNEQUAL",
    info: checkedInfo(element, "equal"),
    test: (found) => found === value,
    expected: () => String(value),
  });
}

/** A signed value from 0 to `limit` (QEMU: int32 "positive, less or equal"); else `FIELD_CHECK`. */
export function atMost(element: Field<number>, limit: number): Field<number> {
  return field({
    kind: "checked",
    element,
    code: "FIELD_CHECK",
    info: checkedInfo(element, "le"),
    test: (found) => (found as number) >= 0 && (found as number) <= limit,
    expected: () => `0 to ${limit}`,
  });
}

/** Any test of a value; a failure is `FIELD_CHECK` with `expected` as its text. */
export function checked<T>(
  element: Field<T>,
  test: (value: T, scope: Scope) => boolean,
  expected: string | ((scope: Scope) => string),
): Field<T> {
  return field({
    kind: "checked",
    element,
    code: "FIELD_CHECK",
    info: undefined,
    test: test as (value: unknown, scope: Scope) => boolean,
    expected: typeof expected === "string" ? () => expected : expected,
  });
}

/** A value from `low` to `high`, both included; else `FIELD_CHECK`. */
export function range<T extends number | bigint>(element: Field<T>, low: T, high: T): Field<T> {
  return checked(element, (value) => value >= low && value <= high, `${low} to ${high}`);
}

type Absent<T> = { absent: T | ((scope: Scope) => T) };

function condition<T>(
  element: Field<T>,
  exists: Predicate,
  more: { since?: number; until?: number; absent?: unknown },
): Field<T> {
  const padding = (element as { padding?: true }).padding;
  if (!padding && !("absent" in more)) {
    refuse("a conditional field needs `absent`, what it is when it did not come");
  }
  return field({
    kind: "condition",
    element,
    exists,
    mustExist: false,
    absent: more.absent,
    since: more.since,
    until: more.until,
    ...(padding ? { padding } : {}),
  });
}

/** A field that exists from `version` on. */
export function since(version: number, element: PaddingField): PaddingField;
export function since<T>(version: number, element: Field<T>, absent: Absent<T>): Field<T>;
export function since<T>(version: number, element: Field<T>, absent?: Absent<T>): Field<T> {
  return condition(element, (_, scope) => scope.version >= version, { since: version, ...absent });
}

/** A field that exists below `version`. */
export function until(version: number, element: PaddingField): PaddingField;
export function until<T>(version: number, element: Field<T>, absent: Absent<T>): Field<T>;
export function until<T>(version: number, element: Field<T>, absent?: Absent<T>): Field<T> {
  return condition(element, (_, scope) => scope.version < version, { until: version, ...absent });
}

/** A field that exists where `exists` says so; it decides alone, whatever the version (QEMU: field_exists). */
export function when(exists: Predicate, element: PaddingField): PaddingField;
export function when<T>(exists: Predicate, element: Field<T>, absent: Absent<T>): Field<T>;
export function when<T>(exists: Predicate, element: Field<T>, absent?: Absent<T>): Field<T> {
  return condition(element, exists, { ...absent });
}

/** A field that must exist: a false test is `FIELD_MUST_EXIST` (QEMU: VMS_MUST_EXIST). */
export function mustExist<T>(exists: Predicate, element: Field<T>): Field<T> {
  return field({
    kind: "condition",
    element,
    exists,
    mustExist: true,
    absent: undefined,
    since: undefined,
    until: undefined,
  });
}

/** No bytes: a test of the record so far, at this place (QEMU: VMSTATE_VALIDATE). Key it with `_`. */
export function validate(test: Predicate): PaddingField {
  const spec: Spec = {
    kind: "condition",
    element: undefined,
    exists: test,
    mustExist: true,
    absent: undefined,
    since: undefined,
    until: undefined,
    padding: true,
  };
  return Object.freeze(spec) as unknown as PaddingField;
}

/** The same field under the wire's own name, where that is no identifier or stands twice. */
export function named<F extends Field>(name: string, element: F): F {
  const padding = (element as { padding?: true }).padding;
  const spec: Spec = { kind: "named", name, element };
  return Object.freeze(padding ? { ...spec, padding } : spec) as unknown as F;
}

/** A field kind of your own: lists, ring buffers, anything that existing fields can spell. See `CustomCodec`. */
export function customField<T, A>(custom: CustomCodec<T, A>): Field<T> {
  return field({ kind: "custom", custom: custom as unknown as CustomCodec<unknown, unknown> });
}
