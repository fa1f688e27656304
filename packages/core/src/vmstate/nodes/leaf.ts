// Leaves: values whose size is known before they are read.
import { MigrationError } from "../../errors.ts";
import { type Cursor, underflow } from "../../cursor.ts";
import type { Writer } from "../../writer.ts";
import type { VmdescField } from "../../stream/vmdesc-types.ts";
import type { BitmapSpec, BufferSpec, IntSpec } from "../spec.ts";
import type { Count, Scope } from "../types.ts";
import type { Frame, Listing, Node, WriteMode } from "./node.ts";

const U64 = 0xffff_ffff_ffff_ffffn;

function outOfRange(info: string, value: unknown): MigrationError {
  return new MigrationError("BITS_RANGE", `not a value of ${info}`, { expected: info, found: describeValue(value) });
}

export function describeValue(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "string") return JSON.stringify(value);
  if (ArrayBuffer.isView(value) || Array.isArray(value)) return `${(value as ArrayLike<unknown>).length} elements`;
  return typeof value === "object" && value !== null ? "an object" : String(value);
}

abstract class Leaf implements Node {
  abstract readonly size: number;
  abstract readonly info: string;
  readonly plain: boolean = true;
  readonly scoped: boolean = false;
  readonly compressible: boolean = true;
  abstract take(cursor: Cursor, scope: Scope | undefined): unknown;
  abstract write(out: Writer, value: unknown, scope: Scope | undefined, mode: WriteMode): void;
  need(_cursor: Cursor, _scope: Scope | undefined): number {
    return this.size;
  }
  read(cursor: Cursor, scope: Scope | undefined): unknown {
    if (cursor.end - cursor.pos < this.need(cursor, scope)) throw underflow;
    return this.take(cursor, scope);
  }
  open(_scope: Scope | undefined): Frame | undefined {
    return undefined;
  }
  toState(value: unknown, _scope: Scope | undefined): unknown {
    return value;
  }
  list(listing: Listing, name: string, value: unknown, scope: Scope | undefined): VmdescField[] {
    const from = listing.out.pos;
    this.write(listing.out, value, scope, listing.mode);
    return [{ name, type: this.info, size: listing.out.pos - from }];
  }
}

export class IntLeaf extends Leaf {
  readonly size: number;
  readonly info: string;
  readonly spec: IntSpec;
  readonly #low: number;
  readonly #high: number;

  constructor(spec: IntSpec) {
    super();
    this.spec = spec;
    this.size = spec.bytes;
    this.info = spec.info;
    const span = 2 ** (8 * Math.min(spec.bytes, 4));
    this.#low = spec.signed ? -span / 2 : 0;
    this.#high = spec.signed ? span / 2 - 1 : span - 1;
  }

  take(cursor: Cursor): unknown {
    const at = cursor.pos;
    cursor.pos = at + this.size;
    const { signed, as } = this.spec;
    switch (this.size) {
      case 1:
        return signed ? cursor.view.getInt8(at) : cursor.bytes[at];
      case 2:
        return signed ? cursor.view.getInt16(at) : cursor.view.getUint16(at);
      case 4:
        return signed ? cursor.view.getInt32(at) : cursor.view.getUint32(at);
    }
    if (as === "bigint") return signed ? cursor.view.getBigInt64(at) : cursor.view.getBigUint64(at);
    if (as === "pair") return [cursor.view.getUint32(at + 4), cursor.view.getUint32(at)];
    const high = signed ? cursor.view.getInt32(at) : cursor.view.getUint32(at);
    const value = high * 2 ** 32 + cursor.view.getUint32(at + 4);
    if (!Number.isSafeInteger(value)) {
      cursor.pos = at;
      throw outOfRange("a safe integer", cursor.view.getBigUint64(at));
    }
    return value;
  }

  write(out: Writer, value: unknown): void {
    const { size, spec } = this;
    if (size < 8) {
      if (typeof value !== "number" || !(value >= this.#low && value <= this.#high) || value % 1 !== 0) {
        throw outOfRange(this.info, value);
      }
      const at = out.reserve(size);
      if (size === 1) out.view.setUint8(at, value);
      else if (size === 2) out.view.setUint16(at, value);
      else out.view.setUint32(at, value);
      return;
    }
    if (spec.as === "bigint") {
      if (typeof value !== "bigint" || (spec.signed ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value)) !== value) {
        throw outOfRange(this.info, value);
      }
      out.u64(value);
    } else if (spec.as === "pair") {
      const [low, high] = (value ?? []) as [number, number];
      if (!isU32(low) || !isU32(high)) throw outOfRange("[low u32, high u32]", value);
      out.u32(high);
      out.u32(low);
    } else {
      if (!Number.isSafeInteger(value) || (!spec.signed && (value as number) < 0)) {
        throw outOfRange(`a safe integer of ${this.info}`, value);
      }
      out.u64(BigInt(value as number));
    }
  }
}

function isU32(n: unknown): boolean {
  return typeof n === "number" && n >= 0 && n <= 0xffff_ffff && n % 1 === 0;
}

export class BoolLeaf extends Leaf {
  readonly size = 1;
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
  write(out: Writer, value: unknown, _scope: Scope | undefined, mode: WriteMode): void {
    if (typeof value === "boolean") out.u8(value ? 1 : 0);
    else if (!mode.state && typeof value === "number" && value >= 2 && value <= 255) out.u8(value);
    else throw outOfRange("bool", value);
  }
}

export class TimerLeaf extends Leaf {
  readonly size = 8;
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
  readonly info = "CPU_Double_U";
  take(cursor: Cursor): unknown {
    return cursor.u64();
  }
  write(out: Writer, value: unknown): void {
    if (typeof value !== "bigint" || value < 0n || value > U64) throw outOfRange("the 64 bits of a double", value);
    out.u64(value);
  }
}

/** A count from the record, checked against its bound. */
export function countOf(count: Count, scope: Scope | undefined, max: number, code: "COUNT_BOUND" | "LENGTH_BOUND"): number {
  if (typeof count === "number") return count;
  if (scope === undefined) throw new MigrationError("DEFINITION_INVALID", "a count without a record", { side: "define" });
  const n: unknown = typeof count === "string" ? scope.record[count] : count(scope.record, scope);
  if (typeof n !== "number" || n < 0 || n % 1 !== 0 || n > max) {
    throw new MigrationError(code, typeof count === "string" ? `the count in "${count}" is out of bounds` : "a count is out of bounds", {
      expected: `0 to ${max}`,
      found: describeValue(n),
    });
  }
  return n;
}

/** A count that is the same for every record. */
export function fixedCount(count: Count): number {
  return typeof count === "number" ? count : -1;
}

export class BufferLeaf extends Leaf {
  readonly size: number;
  readonly info: string;
  override readonly scoped: boolean;
  readonly #spec: BufferSpec;
  constructor(spec: BufferSpec) {
    super();
    this.#spec = spec;
    this.size = fixedCount(spec.size);
    this.info = spec.info;
    this.scoped = this.size < 0;
  }
  override need(_cursor: Cursor, scope: Scope | undefined): number {
    return this.size >= 0 ? this.size : countOf(this.#spec.size, scope, this.#spec.max, "LENGTH_BOUND");
  }
  take(cursor: Cursor, scope: Scope | undefined): unknown {
    return cursor.take(this.need(cursor, scope));
  }
  write(out: Writer, value: unknown, scope: Scope | undefined): void {
    const size = this.size >= 0 ? this.size : countOf(this.#spec.size, scope, this.#spec.max, "LENGTH_BOUND");
    if (value === undefined && this.#spec.padding) {
      const at = out.reserve(size);
      out.bytes.fill(0, at, at + size);
      return;
    }
    const from = asArrayLike(value, this.info);
    if (from.length !== size) throw mismatch(size, from.length);
    // Reserving may replace the buffer, so it comes before `out.bytes` is looked at.
    const at = out.reserve(size);
    out.bytes.set(from as ArrayLike<number>, at);
  }
}

function asArrayLike(value: unknown, info: string): ArrayLike<unknown> {
  if (typeof value !== "object" || value === null || typeof (value as ArrayLike<unknown>).length !== "number") {
    throw outOfRange(info, value);
  }
  return value as ArrayLike<unknown>;
}

export function mismatch(expected: number, found: number): MigrationError {
  return new MigrationError("COUNT_MISMATCH", "the number of elements differs from the count", {
    expected: String(expected),
    found: String(found),
  });
}

export class BitmapLeaf extends Leaf {
  readonly size: number;
  readonly info = "bitmap";
  override readonly scoped: boolean;
  readonly #spec: BitmapSpec;
  constructor(spec: BitmapSpec) {
    super();
    this.#spec = spec;
    const bits = fixedCount(spec.bits);
    this.size = bits < 0 ? -1 : Math.ceil(bits / 64) * 8;
    this.scoped = this.size < 0;
  }
  #bytes(scope: Scope | undefined): number {
    if (this.size >= 0) return this.size;
    return Math.ceil(countOf(this.#spec.bits, scope, this.#spec.max, "LENGTH_BOUND") / 64) * 8;
  }
  override need(_cursor: Cursor, scope: Scope | undefined): number {
    return this.#bytes(scope);
  }
  take(cursor: Cursor, scope: Scope | undefined): unknown {
    return swapWords(cursor.take(this.#bytes(scope)));
  }
  write(out: Writer, value: unknown, scope: Scope | undefined): void {
    const size = this.#bytes(scope);
    const from = asArrayLike(value, this.info);
    if (from.length !== size) throw mismatch(size, from.length);
    const at = out.reserve(size);
    out.bytes.set(from as ArrayLike<number>, at);
    swapWords(out.bytes.subarray(at, at + size));
  }
}

/** be64 words to bytes whose bit i is bit i & 7 of byte i >> 3, or back; in place. */
function swapWords(bytes: Uint8Array): Uint8Array {
  for (let i = 0; i < bytes.length; i += 8) bytes.subarray(i, i + 8).reverse();
  return bytes;
}

type TypedArray = Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array | BigUint64Array | BigInt64Array;

/** An array of integers: one leaf, so that a thousand elements cost one step. */
export class IntArrayLeaf extends Leaf {
  readonly size: number;
  readonly info: string;
  override readonly scoped: boolean;
  readonly #count: Count;
  readonly #max: number;
  readonly #spec: IntSpec;
  readonly #one: IntLeaf;
  constructor(spec: IntSpec, count: Count, max: number) {
    super();
    this.#spec = spec;
    this.#count = count;
    this.#max = max;
    this.#one = new IntLeaf(spec);
    this.info = spec.info;
    const n = fixedCount(count);
    this.size = n < 0 ? -1 : n * spec.bytes;
    this.scoped = n < 0;
  }
  #n(scope: Scope | undefined): number {
    return countOf(this.#count, scope, this.#max, "COUNT_BOUND");
  }
  override need(_cursor: Cursor, scope: Scope | undefined): number {
    return this.size >= 0 ? this.size : this.#n(scope) * this.#spec.bytes;
  }
  take(cursor: Cursor, scope: Scope | undefined): unknown {
    const n = this.size >= 0 ? this.size / this.#spec.bytes : this.#n(scope);
    const { bytes, signed, as } = this.#spec;
    if (bytes === 1) {
      const copy = cursor.take(n);
      return signed ? new Int8Array(copy.buffer) : copy;
    }
    if (as === "safe" || as === "pair") {
      const values: unknown[] = [];
      for (let i = 0; i < n; i++) values.push(this.#one.take(cursor));
      return values;
    }
    const raw = cursor.take(n * bytes).buffer as ArrayBuffer;
    const view = new DataView(raw);
    if (bytes === 2) {
      const out = signed ? new Int16Array(raw) : new Uint16Array(raw);
      for (let i = 0; i < n; i++) out[i] = view.getUint16(2 * i);
      return out;
    }
    if (bytes === 4) {
      const out = signed ? new Int32Array(raw) : new Uint32Array(raw);
      for (let i = 0; i < n; i++) out[i] = view.getUint32(4 * i);
      return out;
    }
    const out = signed ? new BigInt64Array(raw) : new BigUint64Array(raw);
    for (let i = 0; i < n; i++) out[i] = view.getBigUint64(8 * i);
    return out;
  }
  write(out: Writer, value: unknown, scope: Scope | undefined): void {
    const n = this.#n(scope);
    const from = asArrayLike(value, `${this.info}[]`);
    if (from.length !== n) throw mismatch(n, from.length);
    if (this.#spec.bytes === 1 && ArrayBuffer.isView(value)) {
      const typed = value as Uint8Array;
      if (typed.BYTES_PER_ELEMENT === 1) {
        out.raw(new Uint8Array(typed.buffer, typed.byteOffset, typed.byteLength));
        return;
      }
    }
    let i = 0;
    try {
      for (; i < n; i++) this.#one.write(out, from[i]);
    } catch (error) {
      throw error instanceof MigrationError ? error.at({ path: `[${i}]` }) : error;
    }
  }
  override list(listing: Listing, name: string, value: unknown, scope: Scope | undefined): VmdescField[] {
    const n = this.#n(scope);
    this.write(listing.out, value, scope);
    if (n === 0) return [];
    const size = this.#spec.bytes;
    return [n === 1 ? { name, type: this.info, size } : { name, array_len: n, type: this.info, size }];
  }
}

export type { TypedArray };
