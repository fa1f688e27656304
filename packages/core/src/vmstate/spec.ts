// The field kinds as plain data. Constructors in fields.ts make them, compile.ts gives them meaning.
import type { AnyRecord, Count, Description, Field, Predicate, Scope } from "./types.ts";

export interface IntSpec {
  readonly kind: "int";
  /** The name in a vmdesc (QEMU: the VMStateInfo's name). */
  readonly info: string;
  readonly bytes: 1 | 2 | 4 | 8;
  readonly signed: boolean;
  /** What a value is in a record: 64 bits do not fit a number. */
  readonly as: "number" | "bigint" | "safe" | "pair";
}
export interface BoolSpec {
  readonly kind: "bool";
}
export interface TimerSpec {
  readonly kind: "timer";
}
export interface DoubleSpec {
  readonly kind: "cpudouble";
}
export interface BufferSpec {
  readonly kind: "buffer";
  readonly info: "buffer" | "unused_buffer";
  readonly size: Count;
  /** Upper bound of the size in bytes. */
  readonly max: number;
  readonly padding?: true;
}
export interface BitmapSpec {
  readonly kind: "bitmap";
  readonly bits: Count;
  readonly max: number;
}
export interface StructSpec {
  readonly kind: "struct";
  readonly description: Description;
  /** Set for a vstruct: the version that the enclosing description fixes. */
  readonly version: number | undefined;
}
export interface ArraySpec {
  readonly kind: "array";
  readonly element: Field;
  readonly count: Count;
  readonly max: number;
}
export interface PointersSpec {
  readonly kind: "pointers";
  readonly element: Field;
  readonly count: Count;
  readonly max: number;
  /** The receiver's own pattern: true where the pointer is null. */
  readonly isNull: (index: number) => boolean;
}
export interface TmpSpec {
  readonly kind: "tmp";
  readonly description: Description;
  readonly save: (value: unknown, scope: Scope) => AnyRecord;
  readonly load: (wire: AnyRecord, scope: Scope) => unknown;
}
export interface CheckedSpec {
  readonly kind: "checked";
  readonly element: Field;
  readonly code: "FIELD_UNEQUAL" | "FIELD_CHECK";
  /** The vmdesc type where a check changes it (`uint32 equal`, `int32 le`). */
  readonly info: string | undefined;
  readonly test: (value: unknown, scope: Scope) => boolean;
  readonly expected: (scope: Scope) => string;
}
export interface ConditionSpec {
  readonly kind: "condition";
  readonly element: Field | undefined;
  readonly exists: Predicate;
  /** A false test is an error, not an absence (QEMU: VMS_MUST_EXIST). */
  readonly mustExist: boolean;
  readonly absent: unknown;
  /** First version that has the field, where that is the whole condition; kept for dumps. */
  readonly since?: number;
  readonly until?: number;
  readonly padding?: true;
}
export interface NamedSpec {
  readonly kind: "named";
  readonly name: string;
  readonly element: Field;
  readonly padding?: true;
}
export interface CustomSpec {
  readonly kind: "custom";
  readonly custom: CustomCodec<unknown, unknown>;
}

export type Spec =
  | IntSpec
  | BoolSpec
  | TimerSpec
  | DoubleSpec
  | BufferSpec
  | BitmapSpec
  | StructSpec
  | ArraySpec
  | PointersSpec
  | TmpSpec
  | CheckedSpec
  | ConditionSpec
  | NamedSpec
  | CustomSpec;

/** One item that a custom field puts on the wire: a field, its value, and its place in paths. */
export interface CustomItem {
  readonly field: Field;
  readonly value: unknown;
  /** The path segment, such as `[3]`; items without one are framing. */
  readonly segment?: string | undefined;
}

/**
 * Where a custom field's `sample` takes its choices from: a generator of tests, say. Each call is one choice; the value
 * must follow from them and the scope alone.
 */
export interface Choose {
  /** From `low` to `high`, both included, safe integers. */
  integer(low: number, high: number): number;
  bigint(low: bigint, high: bigint): bigint;
  bytes(length: number): Uint8Array;
  /** At most `most` values, none where lists have become deep; `one` makes each. */
  list<T>(most: number, one: (index: number) => T): T[];
  /** A value that a state may have in `field`. */
  of<T>(field: Field<T>): T;
}

/**
 * A field kind from outside core. Decoding is told as plain steps, so that it can be cut at any byte and forked:
 * `begin` makes the steps' state, `next` says which field stands on the wire next (undefined: the end), `take` is
 * given its value, `end` makes the record's value. None of them reads bytes itself. Encoding is the list of items.
 */
export interface CustomCodec<T, A> {
  /** The type name in a vmdesc, such as `qtailq`. */
  readonly kind: string;
  readonly begin: (scope: Scope) => A;
  readonly next: (steps: A) => Field | undefined;
  readonly take: (steps: A, value: unknown) => void;
  readonly end: (steps: A) => T;
  /** The path segment of the field that `next` named last. */
  readonly segment?: (steps: A) => string | undefined;
  /** An independent copy of the steps' state; the default copies it and its arrays one level deep. */
  readonly fork?: (steps: A) => A;
  /** Yields what stands on the wire, in order. */
  readonly encode: (value: T, scope: Scope) => Iterable<CustomItem>;
  /** Applies `each` to every nested value that is described by a field: record to state, state to record. */
  readonly map?: (value: T, each: (field: Field, value: unknown) => unknown, scope: Scope) => T;
  /**
   * The value is an array of this field's values, and stands on the wire as a byte 0x01 before each and 0x00 behind the
   * last. The steps say the same; knowing it, core may do the whole list in one loop.
   */
  readonly marked?: Field | undefined;
  /** A value that a state may have, for those who test: a generator cannot know how the steps' values hang together. */
  readonly sample?: (choose: Choose, scope: Scope) => T;
  /** Which description the list's elements have; a vmdesc shows its name, version and fields. */
  readonly elements?: Description | undefined;
}
