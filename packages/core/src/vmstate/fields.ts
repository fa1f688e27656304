// The constructors of fields. A description's author uses nothing else; each returns frozen plain data.
import { MigrationError } from "../errors.ts";
import type { CheckedSpec, ConditionSpec, CustomCodec, IntSpec, Spec } from "./spec.ts";
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

function field<F extends Field<unknown>>(spec: Spec): F {
  return Object.freeze(spec) as unknown as F;
}

function refuse(why: string): never {
  throw new MigrationError("DEFINITION_INVALID", why, { side: "define" });
}

function checkedCount<C extends Count>(count: C): C {
  if (typeof count === "number" && !(Number.isSafeInteger(count) && count >= 0)) {
    refuse(`a count is no ${count}`);
  }
  return count;
}

function int<T, A>(info: string, bytes: 1 | 2 | 4 | 8, as: IntSpec["as"] = "number"): IntField<T, A> {
  return field({ kind: "int", info, bytes, signed: !info.startsWith("u"), as });
}

// Marked as without effect, so that a bundler leaves out what is not used.

/** be8 … be32 as `number`. */
export const u8: IntField<number, Uint8Array> = /* @__PURE__ */ int("uint8", 1);
export const i8: IntField<number, Int8Array> = /* @__PURE__ */ int("int8", 1);
export const u16: IntField<number, Uint16Array> = /* @__PURE__ */ int("uint16", 2);
export const i16: IntField<number, Int16Array> = /* @__PURE__ */ int("int16", 2);
export const u32: IntField<number, Uint32Array> = /* @__PURE__ */ int("uint32", 4);
export const i32: IntField<number, Int32Array> = /* @__PURE__ */ int("int32", 4);
/** be64 as `bigint`: reading makes one for each value, which `u64n` and `u64pair` do not. */
export const u64: IntField<bigint, BigUint64Array> = /* @__PURE__ */ int("uint64", 8, "bigint");
export const i64: IntField<bigint, BigInt64Array> = /* @__PURE__ */ int("int64", 8, "bigint");
/** be64 as a safe integer; a value beyond 2^53 - 1 is `BITS_RANGE`. */
export const u64n: IntField<number, number[]> = /* @__PURE__ */ int("uint64", 8, "safe");
export const i64n: IntField<number, number[]> = /* @__PURE__ */ int("int64", 8, "safe");
/** be64 as `[low 32 bits, high 32 bits]`, for guests that keep halves. */
export const u64pair: IntField<readonly [number, number], (readonly [number, number])[]> = /* @__PURE__ */ int(
  "uint64",
  8,
  "pair",
);

/** One byte; any value but 0 is true. */
export const bool: Field<boolean> = /* @__PURE__ */ field({ kind: "bool" });
/** be64, nanoseconds: a deadline on the virtual clock; `null` (all ones on the wire) is a timer that is not pending. */
export const timer: Field<bigint | null> = /* @__PURE__ */ field({ kind: "timer" });
/** The 64 bits of a double (QEMU: CPU_DoubleU). Bits and not a `number`, since a NaN's payload is guest state. */
export const cpudouble: Field<bigint> = /* @__PURE__ */ field({ kind: "cpudouble" });

/** `size` raw bytes, as they lie in memory. */
export function buffer(size: Count, { max = defaultBounds.bytes }: { max?: number } = {}): Field<Uint8Array> {
  return field({ kind: "buffer", info: "buffer", size: checkedCount(size), max });
}

/**
 * Raw bytes whose number an earlier field holds. The length is not part of the buffer's own bytes.
 * @alias
 */
export const vbuffer: (size: Count, limit?: { max?: number }) => Field<Uint8Array> = buffer;

/** `size` bytes that mean nothing: written as zeros, skipped on load. Give it a key that begins with `_`. */
export function unused(size: Count): PaddingField {
  const max = defaultBounds.bytes;
  return field({ kind: "buffer", info: "unused_buffer", size: checkedCount(size), max, padding: true });
}

/**
 * `bits` bits as whole be64 words. The value holds 8 bytes a word; bit i is `bytes[i >> 3] >> (i & 7) & 1`.
 */
export function bitmap(bits: Count, { max = defaultBounds.bytes * 8 }: { max?: number } = {}): Field<Uint8Array> {
  return field({ kind: "bitmap", bits: checkedCount(bits), max });
}

/** A nested description: its fields and subsections, without a header. Read as the receiver's own version. */
export function struct<D extends Description>(description: D): Field<StateOf<D>> {
  return field({ kind: "struct", description, version: undefined });
}

/** A nested description whose version the enclosing one fixes (QEMU: VMSTATE_VSTRUCT); one that it can be read in. */
export function vstruct<D extends Description>(description: D, version: number): Field<StateOf<D>> {
  const { name, version: newest, minimumVersion: oldest } = description;
  if (!(version >= oldest && version <= newest)) {
    refuse(`"${name}" is read in ${oldest} to ${newest}, not in ${version}`);
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
  { max = defaultBounds.count }: { max?: number } = {},
): Field<ArrayOf<F>> {
  return field({ kind: "array", element, count: checkedCount(count), max });
}

/** An array whose count an earlier field holds; the array itself writes none. `COUNT_MISMATCH` on save if they differ. */
export function varray<F extends Field<unknown>>(
  count: Count,
  element: F,
  limit?: { max?: number },
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
  { max = defaultBounds.count }: { max?: number } = {},
): Field<(T | null)[]> {
  return field({ kind: "pointers", element, count: checkedCount(count), isNull, max });
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

function checkedField<F extends Field<unknown>>(
  element: F,
  test: CheckedSpec["test"],
  expected: string | CheckedSpec["expected"],
  code: CheckedSpec["code"] = "FIELD_CHECK",
  info?: string,
): F {
  const text = typeof expected === "string" ? () => expected : expected;
  return field({ kind: "checked", element, code, info, test, expected: text });
}

/** A value that both sides must agree on: anything but `value` is `FIELD_UNEQUAL`. */
export function equal<T extends number | bigint>(element: Field<T>, value: T): Field<T> {
  const info = checkedInfo(element, "equal");
  return checkedField(element, (found) => found === value, String(value), "FIELD_UNEQUAL", info);
}

/** A signed value from 0 to `limit` (QEMU: int32 "positive, less or equal"); else `FIELD_CHECK`. */
export function atMost(element: Field<number>, limit: number): Field<number> {
  const test = (found: unknown): boolean => (found as number) >= 0 && (found as number) <= limit;
  return checkedField(element, test, `0 to ${limit}`, undefined, checkedInfo(element, "le"));
}

/** Any test of a value; a failure is `FIELD_CHECK` with `expected` as its text. */
export function checked<T>(
  element: Field<T>,
  test: (value: T, scope: Scope) => boolean,
  expected: string | ((scope: Scope) => string),
): Field<T> {
  return checkedField(element, test as CheckedSpec["test"], expected);
}

/** A value from `low` to `high`, both included; else `FIELD_CHECK`. */
export function range<T extends number | bigint>(element: Field<T>, low: T, high: T): Field<T> {
  return checked(element, (value) => value >= low && value <= high, `${low} to ${high}`);
}

type Absent<T> = { absent: T | ((scope: Scope) => T) };

function condition<F extends Field<unknown>>(
  element: Field<unknown> | undefined,
  exists: Predicate,
  more: Partial<ConditionSpec> = {},
): F {
  const { padding } = (element ?? {}) as { padding?: true };
  if (!padding && !more.mustExist && !("absent" in more)) {
    refuse("a conditional field needs `absent`");
  }
  return field({
    kind: "condition",
    element: element as Field,
    exists,
    mustExist: false,
    absent: undefined,
    ...more,
    ...(padding && { padding }),
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
  return condition(element, exists, { mustExist: true });
}

/** No bytes: a test of the record so far, at this place (QEMU: VMSTATE_VALIDATE). Key it with `_`. */
export function validate(test: Predicate): PaddingField {
  return condition(undefined, test, { mustExist: true, padding: true });
}

/** The same field under the wire's own name, where that is no identifier or stands twice. */
export function named<F extends Field>(name: string, element: F): F {
  const { padding } = element as { padding?: true };
  return field({ kind: "named", name, element, ...(padding && { padding }) });
}

/** A field kind of your own: lists, ring buffers, anything that existing fields can spell. See `CustomCodec`. */
export function customField<T, A>(custom: CustomCodec<T, A>): Field<T> {
  return field({ kind: "custom", custom: custom as unknown as CustomCodec<unknown, unknown> });
}
