// Arrays of anything but integers, element by element.
import { type Cursor, underflow } from "../../cursor.ts";
import type { VmdescField } from "../../stream/vmdesc-types.ts";
import type { Writer } from "../../writer.ts";
import type { Fast } from "../fast.ts";
import type { Count, Scope } from "../types.ts";
import { charge, elementsOf, fixedCount, mismatch } from "./count.ts";
import { asArrayLike } from "./leaf.ts";
import { listElements } from "./listing.ts";
import { type Frame, type Listing, locate, type Node, type WriteMode } from "./node.ts";

export class ArrayNode implements Node {
  readonly min: number;
  readonly plain: boolean;
  readonly steady: boolean;
  readonly scoped: boolean;
  readonly composite = true;
  readonly info: string;
  readonly compressible: boolean;
  readonly element: Node;
  readonly #count: Count;
  readonly #max: number;
  readonly #least: number;
  /** `leastBytes`: the fewest that an element takes. */
  constructor(element: Node, count: Count, max: number, leastBytes: number = element.min) {
    this.element = element;
    this.#count = count;
    this.#max = max;
    this.#least = leastBytes;
    this.min = Math.max(fixedCount(count), 0) * leastBytes;
    this.plain = element.plain;
    this.steady = element.steady;
    this.scoped = element.scoped || fixedCount(count) < 0;
    this.info = element.info;
    this.compressible = element.compressible;
  }
  /** The node of an element. */
  at(_index: number): Node {
    return this.element;
  }
  /** Generated code for all elements. */
  runs(): Fast | undefined {
    return this.element.fast?.();
  }
  /** What an element's error means. */
  explain(error: unknown, _one: unknown, _index: number): unknown {
    return error;
  }
  #n(scope: Scope | undefined): number {
    return elementsOf(this.#count, scope, this.#max, this.element.min);
  }
  need(): number {
    return 0;
  }
  read(cursor: Cursor, scope: Scope | undefined): unknown {
    const n = this.#n(scope);
    charge(cursor, n, this.element.min);
    cursor.fields++;
    if (cursor.end - cursor.pos < n * this.#least) throw underflow;
    const run = this.runs()?.readRun(cursor, n);
    if (run !== undefined) return run;
    const values: unknown[] = [];
    for (let i = 0; i < n; i++) values.push(this.at(i).read(cursor, scope));
    return values;
  }
  open(scope: Scope | undefined, cursor: Cursor): Frame {
    const n = this.#n(scope);
    charge(cursor, n, this.element.min);
    return new ArrayFrame((i) => this.at(i), n, scope, []);
  }
  write(out: Writer, value: unknown, scope: Scope | undefined, mode: WriteMode): void {
    this.each(out, value, scope, mode);
  }
  /** Writes the elements, or gives each to `list`; their number. */
  each(
    out: Writer,
    value: unknown,
    scope: Scope | undefined,
    mode: WriteMode,
    list?: (node: Node, one: unknown) => void,
  ): number {
    const n = this.#n(scope);
    const from = asArrayLike(value, this.info, "[]");
    if (from.length !== n) throw mismatch(n, from.length);
    if (list === undefined && Array.isArray(value) && this.runs()?.writeRun(out, value, mode.state, false)) return n;
    let i = 0;
    try {
      for (; i < n; i++) {
        if (list === undefined) this.at(i).write(out, from[i], scope, mode);
        else list(this.at(i), from[i]);
      }
    } catch (error) {
      throw locate(this.explain(error, from[i], i), `[${i}]`);
    }
    return n;
  }
  toState(value: unknown, scope: Scope | undefined): unknown {
    if (this.plain) return value;
    return elementsToState(value as unknown[], (one, i) => this.at(i).toState(one, scope));
  }
  isState(value: unknown): boolean {
    return this.plain || (value as unknown[]).every((one, i) => this.at(i).isState(one));
  }
  list(listing: Listing, name: string, value: unknown, scope: Scope | undefined, tested: boolean): VmdescField[] {
    const { out, mode } = listing;
    const compressed = this.compressible && !tested;
    const entries: VmdescField[][] = [];
    const n = this.each(out, value, scope, mode, (node, one) => {
      if (compressed && entries.length > 0) node.write(out, one, scope, mode);
      else entries.push(node.list(listing, name, one, scope, tested));
    });
    return listElements(listing, name, n, compressed, (i) => entries[i] ?? []);
  }
}

/** The states of elements: the same array where nothing changes. */
export function elementsToState(
  values: readonly unknown[],
  toState: (one: unknown, index: number) => unknown,
): readonly unknown[] {
  let states: unknown[] | undefined;
  let i = 0;
  try {
    for (; i < values.length; i++) {
      const state = toState(values[i], i);
      if (states === undefined && state !== values[i]) states = values.slice(0, i);
      states?.push(state);
    }
  } catch (error) {
    throw locate(error, `[${i}]`);
  }
  return states ?? values;
}

/** Steps through elements; which node stands at an index is told by `at`. */
class ArrayFrame implements Frame {
  readonly scope: Scope | undefined;
  readonly #at: (index: number) => Node;
  readonly #n: number;
  readonly #values: unknown[];
  constructor(at: (index: number) => Node, n: number, scope: Scope | undefined, values: unknown[]) {
    this.#at = at;
    this.#n = n;
    this.scope = scope;
    this.#values = values;
  }
  next(): Node | undefined {
    const index = this.#values.length;
    return index < this.#n ? this.#at(index) : undefined;
  }
  take(value: unknown): void {
    this.#values.push(value);
  }
  finish(): unknown {
    return this.#values;
  }
  segment(): string {
    return `[${this.#values.length}]`;
  }
  fork(parent: Scope | undefined): Frame {
    return new ArrayFrame(this.#at, this.#n, parent, this.#values.slice());
  }
}
