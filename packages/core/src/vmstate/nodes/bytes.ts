// Raw bytes: buffers, padding and bitmaps.
import type { Cursor } from "../../cursor.ts";
import type { Writer } from "../../writer.ts";
import type { BitmapSpec, BufferSpec } from "../spec.ts";
import type { Scope } from "../types.ts";
import { countOf, fixedCount, mismatch } from "./count.ts";
import { asArrayLike, Leaf, outOfRange } from "./leaf.ts";

/** Writes exactly `size` bytes of any array-like; gives the index of the first. */
function writeBytes(out: Writer, value: unknown, size: number, info: string): number {
  const from = asArrayLike(value, info);
  if (from.length !== size) throw mismatch(size, from.length);
  if (!(value instanceof Uint8Array)) {
    for (let i = 0; i < size; i++) {
      const byte = from[i];
      if (typeof byte !== "number" || (byte & 0xff) !== byte) throw outOfRange(info, byte).at({ path: `[${i}]` });
    }
  }
  const at = out.reserve(size);
  out.bytes.set(from as ArrayLike<number>, at);
  return at;
}

export class BufferLeaf extends Leaf {
  readonly size: number;
  readonly min: number;
  readonly info: string;
  override readonly scoped: boolean;
  readonly #spec: BufferSpec;
  constructor(spec: BufferSpec) {
    super();
    this.#spec = spec;
    this.size = fixedCount(spec.size);
    this.min = Math.max(this.size, 0);
    this.info = spec.info;
    this.scoped = this.size < 0;
  }
  override need(_cursor: Cursor | undefined, scope: Scope | undefined): number {
    return this.size >= 0 ? this.size : countOf(this.#spec.size, scope, this.#spec.max, "LENGTH_BOUND");
  }
  // A record without padding has that of zeros, which is what everybody writes.
  take(cursor: Cursor, size: number): unknown {
    if (!this.#spec.padding) return cursor.take(size);
    const { bytes, pos } = cursor;
    for (let i = 0; i < size; i++) if (bytes[pos + i] !== 0) return cursor.take(size);
    cursor.pos = pos + size;
    return undefined;
  }
  write(out: Writer, value: unknown, scope: Scope | undefined): void {
    const size = this.need(undefined, scope);
    if (value === undefined && this.#spec.padding) {
      const at = out.reserve(size);
      out.bytes.fill(0, at, at + size);
    } else writeBytes(out, value, size, this.info);
  }
}

export class BitmapLeaf extends Leaf {
  readonly size: number;
  readonly min: number;
  readonly info = "bitmap";
  override readonly scoped: boolean;
  readonly #spec: BitmapSpec;
  constructor(spec: BitmapSpec) {
    super();
    this.#spec = spec;
    const bits = fixedCount(spec.bits);
    this.size = bits < 0 ? -1 : Math.ceil(bits / 64) * 8;
    this.min = Math.max(this.size, 0);
    this.scoped = this.size < 0;
  }
  override need(_cursor: Cursor | undefined, scope: Scope | undefined): number {
    if (this.size >= 0) return this.size;
    return Math.ceil(countOf(this.#spec.bits, scope, this.#spec.max, "LENGTH_BOUND") / 64) * 8;
  }
  take(cursor: Cursor, size: number): unknown {
    const bytes = cursor.take(size);
    swapWords(bytes, 0, size);
    return bytes;
  }
  write(out: Writer, value: unknown, scope: Scope | undefined): void {
    const size = this.need(undefined, scope);
    const at = writeBytes(out, value, size, this.info);
    swapWords(out.bytes, at, at + size);
  }
}

/** be64 words to bytes whose bit i is bit i & 7 of byte i >> 3, or back; in place. */
function swapWords(bytes: Uint8Array, from: number, to: number): void {
  for (let word = from; word < to; word += 8) {
    for (let low = word, high = word + 7; low < high; low++, high--) {
      const byte = bytes[low] as number;
      bytes[low] = bytes[high] as number;
      bytes[high] = byte;
    }
  }
}
