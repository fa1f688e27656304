// Arrays of pointers, whose null elements are one byte each (wire reference 2.3).
import { type Cursor, underflow } from "../../cursor.ts";
import { isMigrationError, MigrationError } from "../../errors.ts";
import type { VmdescField } from "../../stream/vmdesc-types.ts";
import type { Writer } from "../../writer.ts";
import type { Count, Scope } from "../types.ts";
import { ArrayFrame, elementsToState } from "./array.ts";
import { charge, elementsOf, fixedCount, mismatch } from "./count.ts";
import { asArrayLike, Leaf } from "./leaf.ts";
import { listElements, withoutName } from "./listing.ts";
import { type Frame, type Listing, locate, type Node, type WriteMode } from "./node.ts";

const nullMarker = 0x30;

/** The byte of a null pointer; any other byte where the receiver's pattern has a null is refused. */
class NullLeaf extends Leaf {
  readonly size = 1;
  readonly min = 1;
  readonly info = "nullptr";
  take(cursor: Cursor): unknown {
    const byte = cursor.u8();
    if (byte === nullMarker) return null;
    throw new MigrationError("NULL_PATTERN", "the stream holds an element where this side has a null pointer", {
      expected: "0x30",
      found: `0x${byte.toString(16).padStart(2, "0")}`,
    });
  }
  write(out: Writer): void {
    out.u8(nullMarker);
  }
  override list(listing: Listing, name: string): VmdescField[] {
    listing.out.u8(nullMarker);
    // 7.2 shows a null as an empty struct; later versions name it.
    return listing.dialect === "7.2"
      ? [{ name, type: "struct", struct: {}, size: 1 }]
      : [{ name, type: "nullptr", size: 1 }];
  }
}

const nullLeaf = new NullLeaf();

export class PointersNode implements Node {
  readonly size = -1;
  readonly min: number;
  readonly plain: boolean;
  readonly steady: boolean;
  readonly shape = undefined;
  readonly scoped: boolean;
  readonly composite = true;
  readonly info: string;
  readonly compressible: boolean;
  readonly #element: Node;
  readonly #count: Count;
  readonly #max: number;
  readonly #isNull: (index: number) => boolean;
  constructor(element: Node, count: Count, max: number, isNull: (index: number) => boolean) {
    this.#element = element;
    this.#count = count;
    this.#max = max;
    this.#isNull = isNull;
    this.min = Math.max(fixedCount(count), 0) * Math.min(element.min, 1);
    this.plain = element.plain;
    this.steady = element.steady;
    this.scoped = element.scoped || fixedCount(count) < 0;
    this.info = element.info;
    this.compressible = element.compressible;
  }
  #n(scope: Scope | undefined): number {
    return elementsOf(this.#count, scope, this.#max, this.#element.min);
  }
  #at(index: number): Node {
    return this.#isNull(index) ? nullLeaf : this.#element;
  }
  need(): number {
    return 0;
  }
  read(cursor: Cursor, scope: Scope | undefined): unknown {
    const n = this.#n(scope);
    charge(cursor, n, this.#element.min);
    cursor.fields++;
    if (cursor.end - cursor.pos < n * Math.min(this.#element.min, 1)) throw underflow;
    const values: unknown[] = [];
    for (let i = 0; i < n; i++) values.push(this.#at(i).read(cursor, scope));
    return values;
  }
  open(scope: Scope | undefined, cursor: Cursor): Frame {
    const n = this.#n(scope);
    charge(cursor, n, this.#element.min);
    return new ArrayFrame((i) => this.#at(i), n, scope, []);
  }
  write(out: Writer, value: unknown, scope: Scope | undefined, mode: WriteMode): void {
    this.#each(value, scope, (node, one) => node.write(out, one, scope, mode));
  }
  toState(value: unknown, scope: Scope | undefined): unknown {
    if (this.plain) return value;
    return elementsToState(value as unknown[], (one, i) => this.#at(i).toState(one, scope));
  }
  isState(value: unknown): boolean {
    return this.plain || (value as unknown[]).every((one, i) => this.#at(i).isState(one));
  }
  list(listing: Listing, name: string, value: unknown, scope: Scope | undefined, tested: boolean): VmdescField[] {
    const entries: VmdescField[][] = [];
    this.#each(value, scope, (node, one) => entries.push(node.list(listing, name, one, scope, false)));
    const n = entries.length;
    if (listing.dialect === "7.2") {
      return entries.flat().map((entry, index) => (n === 1 ? entry : { name, index, ...withoutName(entry) }));
    }
    const fields: VmdescField[] = [];
    for (let start = 0; start < n; ) {
      const isNull = this.#isNull(start);
      let end = start;
      while (end < n && this.#isNull(end) === isNull) end++;
      const compressed = isNull || (this.compressible && !tested);
      const from = start;
      fields.push(...listElements(listing, name, end - from, compressed, (i) => entries[from + i] as VmdescField[]));
      start = end;
    }
    return fields;
  }
  #each(value: unknown, scope: Scope | undefined, write: (node: Node, one: unknown) => void): void {
    const n = this.#n(scope);
    const from = asArrayLike(value, `${this.info}*[]`);
    if (from.length !== n) throw mismatch(n, from.length);
    let i = 0;
    try {
      for (; i < n; i++) {
        const one = from[i];
        if (this.#isNull(i) && one !== null) throw otherPattern("null", one);
        write(this.#at(i), one);
      }
    } catch (error) {
      // What an element may be is its own business: a timer that is not pending is null, too.
      const isOther = from[i] === null && !this.#isNull(i) && isMigrationError(error);
      throw locate(isOther ? otherPattern("an element", null) : error, `[${i}]`);
    }
  }
}

// A pattern that differs from the receiver's would be read as something else, without any error.
function otherPattern(expected: string, found: unknown): MigrationError {
  return new MigrationError("NULL_PATTERN", "a pointer is null on one side only", {
    expected,
    found: found === null ? "null" : "an element",
  });
}
