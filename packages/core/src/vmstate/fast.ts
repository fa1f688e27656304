// The place for generated code: what it offers to the nodes, and who makes it. Nobody does until `accelerate` is called.
import type { Cursor } from "../cursor.ts";
import type { Writer } from "../writer.ts";
import type { Body } from "./nodes/body.ts";
import type { AnyRecord, WireRecord } from "./types.ts";

/** Generated code. It does what the nodes do, or gives up and leaves no trace. */
export interface Fast {
  /** The record; with `$version` unless that is undefined. Undefined: gave up. */
  read(cursor: Cursor, version: number | undefined): WireRecord | undefined;
  /** False: gave up. */
  write(out: Writer, value: AnyRecord, isState: boolean): boolean;
  /**
   * `n` records one after the other; or, if `n` is negative, as many as have 0x01 before them, to a 0x00. Undefined: gave
   * up. Throws `underflow`.
   */
  readRun(cursor: Cursor, n: number): WireRecord[] | undefined;
  /** `marked`: 0x01 before each, 0x00 behind the last. False: gave up. */
  writeRun(out: Writer, values: ArrayLike<unknown>, isState: boolean, marked: boolean): boolean;
  /** Whether a record is the state that it means. */
  isState(record: AnyRecord): boolean;
}

/** Belongs to this copy of core, and changes no result. */
export const acceleration: { generate: ((body: Body) => Fast | undefined) | undefined } = { generate: undefined };
