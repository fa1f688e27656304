// What compile.ts makes of a field: how it is read, stepped through, written, converted and listed in a vmdesc.
import type { Cursor } from "../../cursor.ts";
import type { Writer } from "../../writer.ts";
import type { VmdescField } from "../../stream/vmdesc-types.ts";
import type { Scope } from "../types.ts";

/** How values are written: a state asks `needed` and predicates, a wire record says itself what is present. */
export interface WriteMode {
  readonly state: boolean;
  readonly checks: boolean;
}

/** Which QEMU's vmdesc is written: the two differ in array indices and null pointers. */
export type VmdescDialect = "7.2" | "10.0";

export interface Listing {
  readonly out: Writer;
  readonly mode: WriteMode;
  readonly dialect: VmdescDialect;
}

export interface Node {
  /** Bytes of every value, where all have the same number of them; else -1. */
  readonly size: number;
  /** True where record and state are the same value. */
  readonly plain: boolean;
  /** True where reading or writing looks at the scope. */
  readonly scoped: boolean;
  /** The vmdesc's type name. */
  readonly info: string;
  /** The synchronous walk. Throws `underflow` where bytes are missing; errors carry no place. */
  read(cursor: Cursor, scope: Scope | undefined): unknown;
  /** A composite opens a frame; a leaf answers undefined, and tells by `need` how many bytes it wants. */
  open(scope: Scope | undefined): Frame | undefined;
  need(cursor: Cursor, scope: Scope | undefined): number;
  write(out: Writer, value: unknown, scope: Scope | undefined, mode: WriteMode): void;
  /** The state's value of a record's value. */
  toState(value: unknown, scope: Scope | undefined): unknown;
  /** Writes the value and lists it as QEMU's vmdesc would. */
  list(listing: Listing, name: string, value: unknown, scope: Scope | undefined): VmdescField[];
  /** True where a vmdesc may show equal elements of an array as one. */
  readonly compressible: boolean;
}

/** One composite on the stack of the stepped walk. */
export interface Frame {
  /** The next child: a leaf to read, a frame to enter, or undefined at the end. Called once a child. */
  next(): Node | Frame | undefined;
  /** The scope in which the child named last is read. */
  readonly scope: Scope | undefined;
  take(value: unknown): void;
  finish(): unknown;
  /** The path segment of the child named last. */
  segment(): string | undefined;
  /** An independent copy below another parent. */
  fork(parent: Scope | undefined): Frame;
}

export function isFrame(child: Node | Frame): child is Frame {
  return "finish" in child;
}
