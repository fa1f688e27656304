// Integers, and arrays of them as one leaf.
import { allocate } from "../../bounds.ts";
import type { Cursor } from "../../cursor.ts";
import { isMigrationError } from "../../errors.ts";
import type { VmdescField } from "../../stream/vmdesc-types.ts";
import type { Writer } from "../../writer.ts";
import type { IntSpec } from "../spec.ts";
import type { Count, Scope } from "../types.ts";
import { elementsOf, fixedCount, mismatch } from "./count.ts";
import { asArrayLike, Leaf, outOfRange } from "./leaf.ts";
import { listElements } from "./listing.ts";
import type { Listing } from "./node.ts";

const unsigned64 = (value: bigint): boolean => value >= 0n && value <= 0xffff_ffff_ffff_ffffn;
const signed64 = (value: bigint): boolean => value >= -0x8000_0000_0000_0000n && value <= 0x7fff_ffff_ffff_ffffn;

export class IntLeaf extends Leaf {
  readonly size: number;
  readonly min: number;
  readonly info: string;
  readonly spec: IntSpec;
  readonly low: number;
  readonly high: number;

  constructor(spec: IntSpec) {
    super();
    this.spec = spec;
    this.size = spec.bytes;
    this.min = spec.bytes;
    this.info = spec.info;
    const span = 2 ** (8 * Math.min(spec.bytes, 4));
    this.low = spec.signed ? -span / 2 : 0;
    this.high = spec.signed ? span / 2 - 1 : span - 1;
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
      throw outOfRange("a safe integer", signed ? cursor.view.getBigInt64(at) : cursor.view.getBigUint64(at));
    }
    return value;
  }

  write(out: Writer, value: unknown): void {
    const { size, spec } = this;
    if (size < 8) {
      if (typeof value !== "number" || !(value >= this.low && value <= this.high) || value % 1 !== 0) {
        throw outOfRange(this.info, value);
      }
      const at = out.reserve(size);
      if (size === 1) out.view.setUint8(at, value);
      else if (size === 2) out.view.setUint16(at, value);
      else out.view.setUint32(at, value);
      return;
    }
    if (spec.as === "bigint") {
      if (typeof value !== "bigint" || !(spec.signed ? signed64(value) : unsigned64(value))) {
        throw outOfRange(this.info, value);
      }
      out.u64(value);
    } else if (spec.as === "pair") {
      const halves = asArrayLike(value, "[low u32, high u32]");
      if (halves.length !== 2 || !isU32(halves[0]) || !isU32(halves[1])) throw outOfRange("[low u32, high u32]", value);
      out.u32(halves[1]);
      out.u32(halves[0]);
    } else {
      if (typeof value !== "number" || !Number.isSafeInteger(value) || (!spec.signed && value < 0)) {
        throw outOfRange(`a safe integer of ${this.info}`, value);
      }
      const at = out.reserve(8);
      out.view.setInt32(at, Math.floor(value / 2 ** 32));
      out.view.setUint32(at + 4, value >>> 0);
    }
  }
}

function isU32(n: unknown): n is number {
  return typeof n === "number" && n >= 0 && n <= 0xffff_ffff && n % 1 === 0;
}

export type TypedArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigUint64Array
  | BigInt64Array;
type TypedArrayConstructor = {
  readonly name: string;
  new (length: number): TypedArray;
  new (buffer: ArrayBufferLike): TypedArray;
};

const typedArrays: Readonly<Record<string, TypedArrayConstructor>> = {
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  uint32: Uint32Array,
  int32: Int32Array,
  uint64: BigUint64Array,
  int64: BigInt64Array,
};

/** The array that holds every value of the element's width; undefined where values are no plain integers. */
export function typedArrayOf({ as, info }: IntSpec): TypedArrayConstructor | undefined {
  return as === "number" || as === "bigint" ? typedArrays[info] : undefined;
}

/** An array of integers: one leaf, so that a thousand elements cost one step. */
export class IntArrayLeaf extends Leaf {
  readonly size: number;
  readonly min: number;
  readonly info: string;
  override readonly scoped: boolean;
  readonly #count: Count;
  readonly #max: number;
  readonly #spec: IntSpec;
  readonly #one: IntLeaf;
  readonly #typed: TypedArrayConstructor | undefined;

  constructor(spec: IntSpec, count: Count, max: number) {
    super();
    this.#spec = spec;
    this.#count = count;
    this.#max = max;
    this.#one = new IntLeaf(spec);
    this.#typed = typedArrayOf(spec);
    this.info = spec.info;
    const n = fixedCount(count);
    this.size = n < 0 ? -1 : n * spec.bytes;
    this.min = Math.max(this.size, 0);
    this.scoped = n < 0;
  }
  #n(scope: Scope | undefined): number {
    return elementsOf(this.#count, scope, this.#max, this.#spec.bytes);
  }
  override need(_cursor: Cursor, scope: Scope | undefined): number {
    return this.size >= 0 ? this.size : this.#n(scope) * this.#spec.bytes;
  }
  take(cursor: Cursor, size: number): unknown {
    const { bytes, signed } = this.#spec;
    const n = size / bytes;
    if (this.#typed === undefined) return this.#values(cursor, n);
    if (bytes === 1) return signed ? new Int8Array(cursor.take(size).buffer) : cursor.take(size);
    const { view, pos: from } = cursor;
    const values = new this.#typed(allocate(cursor, size, cursor.available).buffer);
    cursor.pos = from + size;
    if (bytes === 2) for (let i = 0; i < n; i++) values[i] = view.getUint16(from + 2 * i);
    else if (bytes === 4) for (let i = 0; i < n; i++) values[i] = view.getUint32(from + 4 * i);
    else for (let i = 0; i < n; i++) values[i] = view.getBigUint64(from + 8 * i);
    return values;
  }
  #values(cursor: Cursor, n: number): unknown[] {
    const values: unknown[] = [];
    for (let i = 0; i < n; i++) {
      const { offset } = cursor;
      try {
        values.push(this.#one.take(cursor));
      } catch (error) {
        throw isMigrationError(error) ? error.at({ path: `[${i}]`, offset }) : error;
      }
    }
    return values;
  }
  write(out: Writer, value: unknown, scope: Scope | undefined): void {
    const n = this.#n(scope);
    const from = asArrayLike(value, this.info, "[]");
    if (from.length !== n) throw mismatch(n, from.length);
    if (this.#typed !== undefined && value instanceof this.#typed) {
      this.#writeTyped(out, value);
      return;
    }
    let i = 0;
    try {
      for (; i < n; i++) this.#one.write(out, from[i]);
    } catch (error) {
      throw isMigrationError(error) ? error.at({ path: `[${i}]` }) : error;
    }
  }
  /** An array of the element's own width and sign holds nothing that would not fit. */
  #writeTyped(out: Writer, value: TypedArray): void {
    const n = value.length;
    const at = out.reserve(value.byteLength);
    const { view } = out;
    switch (this.#spec.bytes) {
      case 1:
        out.bytes.set(value as Uint8Array, at);
        return;
      case 2:
        for (let i = 0; i < n; i++) view.setUint16(at + 2 * i, value[i] as number);
        return;
      case 4:
        for (let i = 0; i < n; i++) view.setUint32(at + 4 * i, value[i] as number);
        return;
      case 8:
        for (let i = 0; i < n; i++) view.setBigUint64(at + 8 * i, value[i] as bigint);
    }
  }
  override list(
    listing: Listing,
    name: string,
    value: unknown,
    scope: Scope | undefined,
    tested: boolean,
  ): VmdescField[] {
    const from = listing.out.pos;
    this.write(listing.out, value, scope);
    const size = this.#spec.bytes;
    const n = (listing.out.pos - from) / size;
    return listElements(listing, name, n, !tested, () => [{ name, type: this.info, size }]);
  }
}
