// Arrays of anything but integers, element by element.
import { type Cursor, underflow } from "../../cursor.ts";
import type { VmdescField } from "../../stream/vmdesc-types.ts";
import type { Writer } from "../../writer.ts";
import type { Shape } from "../shape.ts";
import type { Count, Scope } from "../types.ts";
import { charge, elementsOf, fixedCount, mismatch } from "./count.ts";
import { asArrayLike } from "./leaf.ts";
import { listElements } from "./listing.ts";
import { type Frame, type Listing, locate, type Node, type WriteMode } from "./node.ts";

export class ArrayNode implements Node {
  readonly size: number;
  readonly min: number;
  readonly plain: boolean;
  readonly steady: boolean;
  readonly shape: Shape | undefined;
  readonly scoped: boolean;
  readonly composite = true;
  readonly info: string;
  readonly compressible: boolean;
  readonly #element: Node;
  readonly #count: Count;
  readonly #max: number;
  constructor(element: Node, count: Count, max: number) {
    this.#element = element;
    this.#count = count;
    this.#max = max;
    const n = fixedCount(count);
    this.size = n < 0 || element.size < 0 ? -1 : n * element.size;
    this.min = Math.max(n, 0) * element.min;
    this.plain = element.plain;
    this.steady = element.steady;
    this.shape = n < 0 || element.shape === undefined ? undefined : { kind: "array", element: element.shape, n };
    this.scoped = element.scoped || n < 0;
    this.info = element.info;
    this.compressible = element.compressible;
  }
  #n(scope: Scope | undefined): number {
    return elementsOf(this.#count, scope, this.#max, this.#element.min);
  }
  need(): number {
    return 0;
  }
  read(cursor: Cursor, scope: Scope | undefined): unknown {
    const n = this.#n(scope);
    const element = this.#element;
    charge(cursor, n, element.min);
    cursor.fields++;
    if (cursor.end - cursor.pos < n * element.min) throw underflow;
    const run = element.fast?.()?.readRun(cursor, n);
    if (run !== undefined) return run;
    const values: unknown[] = [];
    for (let i = 0; i < n; i++) values.push(element.read(cursor, scope));
    return values;
  }
  open(scope: Scope | undefined, cursor: Cursor): Frame {
    const element = this.#element;
    const n = this.#n(scope);
    charge(cursor, n, element.min);
    return new ArrayFrame(() => element, n, scope, []);
  }
  write(out: Writer, value: unknown, scope: Scope | undefined, mode: WriteMode): void {
    const isRight = Array.isArray(value) && value.length === this.#n(scope);
    if (isRight && this.#element.fast?.()?.writeRun(out, value, mode.state, false) === true) return;
    this.#each(value, scope, (one) => this.#element.write(out, one, scope, mode));
  }
  toState(value: unknown, scope: Scope | undefined): unknown {
    if (this.plain) return value;
    return elementsToState(value as unknown[], (one) => this.#element.toState(one, scope));
  }
  isState(value: unknown): boolean {
    return this.plain || (value as unknown[]).every((one) => this.#element.isState(one));
  }
  list(listing: Listing, name: string, value: unknown, scope: Scope | undefined, tested: boolean): VmdescField[] {
    const compressed = this.compressible && !tested;
    const entries: VmdescField[][] = [];
    const n = this.#each(value, scope, (one) => {
      if (compressed && entries.length > 0) this.#element.write(listing.out, one, scope, listing.mode);
      else entries.push(this.#element.list(listing, name, one, scope, false));
    });
    return listElements(listing, name, n, compressed, (i) => entries[i] ?? []);
  }
  #each(value: unknown, scope: Scope | undefined, write: (one: unknown) => void): number {
    const n = this.#n(scope);
    const from = asArrayLike(value, `${this.info}[]`);
    if (from.length !== n) throw mismatch(n, from.length);
    let i = 0;
    try {
      for (; i < n; i++) write(from[i]);
    } catch (error) {
      throw locate(error, `[${i}]`);
    }
    return n;
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
export class ArrayFrame implements Frame {
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
