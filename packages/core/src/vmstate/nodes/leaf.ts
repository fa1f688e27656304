// What all leaves share (their size is known before they are read), and the ones of a single fixed form.
import { type Cursor, underflow } from "../../cursor.ts";
import { MigrationError } from "../../errors.ts";
import type { VmdescField } from "../../stream/vmdesc-types.ts";
import type { Writer } from "../../writer.ts";
import type { Scope } from "../types.ts";
import type { Frame, Listing, Node, WriteMode } from "./node.ts";

const U64 = 0xffff_ffff_ffff_ffffn;

export function outOfRange(info: string, value: unknown): MigrationError {
  return new MigrationError("BITS_RANGE", `not a value of ${info}`, { expected: info, found: describeValue(value) });
}

export function describeValue(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "string") return JSON.stringify(value);
  if (ArrayBuffer.isView(value) || Array.isArray(value)) return `${(value as ArrayLike<unknown>).length} elements`;
  return typeof value === "object" && value !== null ? "an object" : String(value);
}

/** `of`: what is wanted, behind `info` in the error. */
export function asArrayLike(value: unknown, info: string, of = ""): ArrayLike<unknown> {
  if (typeof value !== "object" || value === null || typeof (value as ArrayLike<unknown>).length !== "number") {
    throw outOfRange(info + of, value);
  }
  return value as ArrayLike<unknown>;
}

export abstract class Leaf implements Node {
  /** Bytes of every value, where all have the same number of them; else -1. */
  abstract readonly size: number;
  abstract readonly min: number;
  abstract readonly info: string;
  readonly plain: boolean = true;
  readonly steady = true;
  readonly scoped: boolean = false;
  readonly composite = false;
  readonly compressible: boolean = true;
  /** Reads `size` bytes, which are there. */
  abstract take(cursor: Cursor, size: number): unknown;
  abstract write(out: Writer, value: unknown, scope: Scope | undefined, mode: WriteMode): void;
  need(_cursor: Cursor, _scope: Scope | undefined): number {
    return this.size;
  }
  read(cursor: Cursor, scope: Scope | undefined): unknown {
    const size = this.size >= 0 ? this.size : this.need(cursor, scope);
    if (cursor.end - cursor.pos < size) throw underflow;
    cursor.fields++;
    return this.take(cursor, size);
  }
  open(): Frame {
    throw new Error("a leaf has no frame");
  }
  toState(value: unknown, _scope: Scope | undefined): unknown {
    return value;
  }
  isState(_value: unknown): boolean {
    return true;
  }
  list(listing: Listing, name: string, value: unknown, scope: Scope | undefined, _tested: boolean): VmdescField[] {
    const from = listing.out.pos;
    this.write(listing.out, value, scope, listing.mode);
    return [{ name, type: this.info, size: listing.out.pos - from }];
  }
}

export class BoolLeaf extends Leaf {
  readonly size = 1;
  readonly min = 1;
  readonly info = "bool";
  override readonly plain = false;

  // A byte that is neither 0 nor 1 stays a number in the record: it reads as true, and must be written back as it was.
  take(cursor: Cursor): unknown {
    const byte = cursor.u8();
    return byte === 0 ? false : byte === 1 ? true : byte;
  }
  override toState(value: unknown): unknown {
    return value !== false;
  }
  override isState(value: unknown): boolean {
    return typeof value === "boolean";
  }
  write(out: Writer, value: unknown, _scope: Scope | undefined, mode: WriteMode): void {
    if (typeof value === "boolean") out.u8(value ? 1 : 0);
    else if (!mode.state && typeof value === "number" && value >= 2 && value <= 255 && value % 1 === 0) out.u8(value);
    else throw outOfRange("bool", value);
  }
}

export class TimerLeaf extends Leaf {
  readonly size = 8;
  readonly min = 8;
  readonly info = "timer";
  take(cursor: Cursor): unknown {
    const value = cursor.u64();
    return value === U64 ? null : value;
  }
  write(out: Writer, value: unknown): void {
    if (value === null) out.u64(U64);
    else if (typeof value === "bigint" && value >= 0n && value < U64) out.u64(value);
    else throw outOfRange("timer", value);
  }
}

export class DoubleLeaf extends Leaf {
  readonly size = 8;
  readonly min = 8;
  readonly info = "CPU_Double_U";
  take(cursor: Cursor): unknown {
    return cursor.u64();
  }
  write(out: Writer, value: unknown): void {
    if (typeof value !== "bigint" || value < 0n || value > U64) throw outOfRange("the 64 bits of a double", value);
    out.u64(value);
  }
}
