// Arrays of pointers, whose null elements are one byte each (wire reference 2.3).
import type { Cursor } from "../../cursor.ts";
import { isMigrationError, MigrationError } from "../../errors.ts";
import type { VmdescField } from "../../stream/vmdesc-types.ts";
import type { Writer } from "../../writer.ts";
import type { Count, Scope } from "../types.ts";
import { ArrayNode } from "./array.ts";
import { Leaf } from "./leaf.ts";
import { listElements, withoutName } from "./listing.ts";
import type { Listing, Node } from "./node.ts";

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
  write(out: Writer, value: unknown): void {
    if (value !== null) throw otherPattern("null", "an element");
    out.u8(nullMarker);
  }
  override list(listing: Listing, name: string, value: unknown): VmdescField[] {
    this.write(listing.out, value);
    // 7.2 shows a null as an empty struct; later versions name it.
    return listing.dialect === "7.2"
      ? [{ name, type: "struct", struct: {}, size: 1 }]
      : [{ name, type: "nullptr", size: 1 }];
  }
}

const nullLeaf = new NullLeaf();

export class PointersNode extends ArrayNode {
  readonly #isNull: (index: number) => boolean;
  constructor(element: Node, count: Count, max: number, isNull: (index: number) => boolean) {
    super(element, count, max, Math.min(element.min, 1));
    this.#isNull = isNull;
  }
  override at(index: number): Node {
    return this.#isNull(index) ? nullLeaf : this.element;
  }
  override runs(): undefined {
    return undefined;
  }
  // What an element may be is its own business: a timer that is not pending is null, too.
  override explain(error: unknown, one: unknown, index: number): unknown {
    const isOther = one === null && !this.#isNull(index) && isMigrationError(error);
    return isOther ? otherPattern("an element", "null") : error;
  }
  override list(
    listing: Listing,
    name: string,
    value: unknown,
    scope: Scope | undefined,
    tested: boolean,
  ): VmdescField[] {
    const entries: VmdescField[][] = [];
    const n = this.each(listing.out, value, scope, listing.mode, (node, one) => {
      entries.push(node.list(listing, name, one, scope, false));
    });
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
}

// A pattern that differs from the receiver's would be read as something else, without any error.
function otherPattern(expected: string, found: string): MigrationError {
  return new MigrationError("NULL_PATTERN", "a pointer is null on one side only", { expected, found });
}
