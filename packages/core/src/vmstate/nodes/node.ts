// What compile.ts makes of a field: how it is read, stepped through, written, converted and listed in a vmdesc.
import type { Cursor } from "../../cursor.ts";
import { isMigrationError } from "../../errors.ts";
import type { VmdescField } from "../../stream/vmdesc-types.ts";
import type { Writer } from "../../writer.ts";
import type { Fast } from "../fast.ts";
import type { Scope } from "../types.ts";

/** How values are written: a state asks `needed` and predicates, a wire record says itself what is present. */
export interface WriteMode {
  readonly state: boolean;
  readonly checks: boolean;
  /** Told the name of each subsection that is written. */
  readonly sent?: (name: string) => void;
}

/** Which QEMU's vmdesc is written: the two differ in array indices and null pointers. */
export type VmdescDialect = "7.2" | "10.0";

export interface Listing {
  readonly out: Writer;
  readonly mode: WriteMode;
  readonly dialect: VmdescDialect;
}

export interface Node {
  /** The fewest bytes that a value can have. */
  readonly min: number;
  /** True where record and state are the same value. */
  readonly plain: boolean;
  /** True where `toState` looks at nothing else, and gives the very value where that `isState` already. */
  readonly steady: boolean;
  /** Whether a record's value is the state that it means. Of steady nodes only. */
  isState(value: unknown): boolean;
  /** True where reading or writing looks at the scope. */
  readonly scoped: boolean;
  /** The vmdesc's type name. */
  readonly info: string;
  /**
   * The synchronous walk, which counts the field decodes. Throws `underflow` where bytes are missing; the place of
   * other errors is told by the stepped walk, which meets them again.
   */
  read(cursor: Cursor, scope: Scope | undefined): unknown;
  /** True: stepped through by a frame. False: a leaf, read at once when the bytes that it needs have arrived. */
  readonly composite: boolean;
  /** Of simple bodies: their generated code, if they have any yet. */
  fast?(): Fast | undefined;
  /** Composites only. */
  open(scope: Scope | undefined, cursor: Cursor): Frame;
  /** What `read` does last: tests a composite that was stepped through. Called where the cursor checks values. */
  verify?(value: unknown, scope: Scope | undefined): void;
  /** Leaves only: how many bytes are wanted from here on. */
  need(cursor: Cursor, scope: Scope | undefined): number;
  write(out: Writer, value: unknown, scope: Scope | undefined, mode: WriteMode): void;
  /** The state's value of a record's value. */
  toState(value: unknown, scope: Scope | undefined): unknown;
  /** Writes the value and lists it as QEMU's vmdesc would. `tested`: the field has an existence test. */
  list(listing: Listing, name: string, value: unknown, scope: Scope | undefined, tested: boolean): VmdescField[];
  /** True where a vmdesc may show equal elements of an array as one. */
  readonly compressible: boolean;
}

/** One composite on the stack of the stepped walk. */
export interface Frame {
  /** The next child, or undefined at the end. Called once a child. */
  next(): Node | undefined;
  /** The scope in which the child named last is read. */
  readonly scope: Scope | undefined;
  take(value: unknown): void;
  finish(): unknown;
  /** The path segment of the child named last. */
  segment(): string | undefined;
  /** An independent copy below another parent. */
  fork(parent: Scope | undefined): Frame;
}

/** The error with `path` before its own, if it is one of ours (of whatever copy of core). */
export function locate(error: unknown, path: string | undefined): unknown {
  return path !== undefined && isMigrationError(error) ? error.at({ path }) : error;
}
