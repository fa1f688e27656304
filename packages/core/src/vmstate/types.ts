// The data that descriptions are made of, and the types of state that follow from them.
// Everything here is a plain interface: two copies of core in one tree exchange descriptions freely.

/** A record under construction, or a state: predicates and counts read earlier fields from it. */
// biome-ignore lint/suspicious/noExplicitAny: a predicate names the fields that it reads; their types are its own business
export type AnyRecord = Readonly<Record<string, any>>;

/** The records around a field: its own, and the ones that enclose it. */
export interface Scope {
  readonly record: AnyRecord;
  readonly parent: Scope | undefined;
  /** The version that the record's body is read or written as. */
  readonly version: number;
}

export type Predicate = (record: AnyRecord, scope: Scope) => boolean;
/** A number, the key of an earlier field of the same record, or a function of the record. */
export type Count = number | string | ((record: AnyRecord, scope: Scope) => number);

/** One field, as frozen plain data. `T` is the type of its value in a state. */
export interface Field<T = unknown> {
  readonly kind: string;
  /** Exists in the type system only. */
  readonly "~state"?: T;
}

/** Bytes without meaning: its key begins with `_`, and no state has it. */
export interface PaddingField extends Field<never> {
  readonly padding: true;
}

/** An integer field; `A` is what an array of it is in a state. */
export interface IntField<T, A> extends Field<T> {
  readonly "~array"?: A;
}

export type Fields = Readonly<Record<string, Field>>;

/** Save order between sections. The names are QEMU's; their numbers differ between its releases and never travel. */
export type Priority = "low" | "default" | "iommu" | "pci-bus" | "virtio-mem" | "apic" | "gicv3-its" | "gicv3";

/** A description: the name, versions, fields and subsections of a piece of state (QEMU: VMStateDescription). */
export interface Description<S = unknown> {
  readonly format: 1;
  readonly name: string;
  readonly version: number;
  readonly minimumVersion: number;
  readonly fields: Fields;
  readonly subsections: Readonly<Record<string, Subsection>>;
  readonly priority: Priority;
  /** Why a machine with this device cannot migrate. */
  readonly unmigratable: string | undefined;
  /** Sent while the machine still runs, before the first page. */
  readonly earlySetup: boolean;
  /** Top level only: whether the section is sent at all. */
  readonly needed: ((state: AnyRecord) => boolean) | undefined;
  /** The state that a destination takes where the section was not needed. */
  readonly absent: AnyRecord | undefined;
  readonly preSave: ((state: AnyRecord) => AnyRecord) | undefined;
  readonly postLoad: ((state: AnyRecord, version: number) => AnyRecord) | undefined;
  readonly "~state"?: S;
}

export interface Subsection<S = unknown> {
  readonly description: Description<S>;
  readonly needed: (own: AnyRecord, scope: Scope) => boolean;
  /** The state that a destination assumes where the subsection did not come. */
  readonly absent: S | ((scope: Scope) => S);
}

export type StateOfField<F> = F extends { readonly "~state"?: infer T } ? Exclude<T, undefined> : never;
/** What an array of a field is in a state: the matching typed array for integers, else a plain array. */
export type ArrayOf<F> = "~array" extends keyof F
  ? F extends { readonly "~array"?: infer A }
    ? Exclude<A, undefined>
    : never
  : StateOfField<F>[];
type FieldStates<F> = { -readonly [K in keyof F as K extends `_${string}` ? never : K]: StateOfField<F[K]> };
type SubsectionStates<S> = {
  -readonly [K in keyof S]: S[K] extends { readonly description: Description<infer T> } ? T : never;
};
type Flat<T> = T extends unknown ? { [K in keyof T]: T[K] } : never;

/** The state that fields and subsections add up to. */
export type StateFrom<F, S> = Flat<FieldStates<F> & SubsectionStates<S>>;
/** The complete state of a description: what `save` returns and `load` receives. */
export type StateOf<D> = D extends { readonly "~state"?: infer S } ? Exclude<S, undefined> : never;

/** What was on the wire: `$version` where the wire has one, then fields, then subsections in the order they came. */
export type WireRecord = Record<string, unknown>;
