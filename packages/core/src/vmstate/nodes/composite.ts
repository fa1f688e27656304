// Composites below a body: arrays, arrays of pointers, checked values, and fields from outside core.
import { MigrationError } from "../../errors.ts";
import { type Cursor, underflow } from "../../cursor.ts";
import type { Writer } from "../../writer.ts";
import type { VmdescField } from "../../stream/vmdesc-types.ts";
import type { CheckedSpec, CustomCodec } from "../spec.ts";
import type { Count, Field, Scope } from "../types.ts";
import { countOf, describeValue, fixedCount, mismatch } from "./leaf.ts";
import type { Frame, Listing, Node, WriteMode } from "./node.ts";

export function locate(error: unknown, path: string): unknown {
  return error instanceof MigrationError ? error.at({ path }) : error;
}

// Elements that take no bytes would let a count of a few bytes build an array of any length.
const freeElements = 4096;

function tooMany(count: number): MigrationError {
  return new MigrationError("COUNT_BOUND", "the elements take no bytes, so nothing justifies their number", {
    expected: `at most ${freeElements}`,
    found: String(count),
  });
}

export class ArrayNode implements Node {
  readonly size: number;
  readonly plain: boolean;
  readonly scoped: boolean;
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
    this.plain = element.plain;
    this.scoped = element.scoped || n < 0;
    this.info = element.info;
    this.compressible = element.compressible;
  }
  #n(scope: Scope | undefined): number {
    const n = countOf(this.#count, scope, this.#max, "COUNT_BOUND");
    if (this.#element.size === 0 && n > freeElements) throw tooMany(n);
    return n;
  }
  need(): number {
    return 0;
  }
  read(cursor: Cursor, scope: Scope | undefined): unknown {
    const n = this.#n(scope);
    const element = this.#element;
    if (element.size > 0 && cursor.end - cursor.pos < n * element.size) throw underflow;
    const values: unknown[] = [];
    for (let i = 0; i < n; i++) values.push(element.read(cursor, scope));
    return values;
  }
  open(scope: Scope | undefined): Frame {
    return new ArrayFrame(this.#element, this.#n(scope), scope, []);
  }
  write(out: Writer, value: unknown, scope: Scope | undefined, mode: WriteMode): void {
    const n = this.#n(scope);
    const from = value as ArrayLike<unknown>;
    if (typeof from?.length !== "number") throw new MigrationError("BITS_RANGE", "not an array", { expected: `${n} elements`, found: describeValue(value) });
    if (from.length !== n) throw mismatch(n, from.length);
    let i = 0;
    try {
      for (; i < n; i++) this.#element.write(out, from[i], scope, mode);
    } catch (error) {
      throw locate(error, `[${i}]`);
    }
  }
  toState(value: unknown, scope: Scope | undefined): unknown {
    if (this.plain) return value;
    return (value as unknown[]).map((one) => this.#element.toState(one, scope));
  }
  list(listing: Listing, name: string, value: unknown, scope: Scope | undefined): VmdescField[] {
    const from = value as ArrayLike<unknown>;
    return listElements(listing, name, from.length, this.compressible, (i) =>
      this.#element.list(listing, name, from[i], scope),
    );
  }
}

/** Equal elements as one entry with `array_len`, others one by one with `index` (wire reference 1.8). */
function listElements(
  listing: Listing,
  name: string,
  n: number,
  compressible: boolean,
  one: (i: number) => VmdescField[],
): VmdescField[] {
  const fields: VmdescField[] = [];
  for (let i = 0; i < n; i++) {
    const [entry] = one(i);
    if (entry === undefined) continue;
    const { name: _, ...rest } = entry;
    if (n === 1) fields.push(entry);
    else if (compressible) {
      if (i === 0) fields.push({ name, array_len: n, ...rest });
    } else if (i === n - 1 && listing.dialect !== "7.2") fields.push(entry);
    else fields.push({ name, index: i, ...rest });
  }
  return fields;
}

class ArrayFrame implements Frame {
  readonly scope: Scope | undefined;
  readonly #element: Node;
  readonly #n: number;
  readonly #values: unknown[];
  constructor(element: Node, n: number, scope: Scope | undefined, values: unknown[]) {
    this.#element = element;
    this.#n = n;
    this.scope = scope;
    this.#values = values;
  }
  next(): Node | undefined {
    return this.#values.length < this.#n ? this.#element : undefined;
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
    return new ArrayFrame(this.#element, this.#n, parent, this.#values.slice());
  }
}

const nullMarker = 0x30;

/** The byte of a null pointer; any other byte where the receiver's pattern has a null is refused. */
export class NullLeaf implements Node {
  readonly size = 1;
  readonly plain = true;
  readonly scoped = false;
  readonly info = "nullptr";
  readonly compressible = true;
  need(): number {
    return 1;
  }
  open(): undefined {
    return undefined;
  }
  read(cursor: Cursor): unknown {
    if (cursor.end - cursor.pos < 1) throw underflow;
    const byte = cursor.bytes[cursor.pos];
    if (byte !== nullMarker) {
      throw new MigrationError("NULL_PATTERN", "the stream holds an element where this side has a null pointer", {
        expected: "0x30",
        found: `0x${byte?.toString(16)}`,
      });
    }
    cursor.pos++;
    return null;
  }
  write(out: Writer): void {
    out.u8(nullMarker);
  }
  toState(value: unknown): unknown {
    return value;
  }
  list(listing: Listing, name: string): VmdescField[] {
    listing.out.u8(nullMarker);
    // 7.2 shows a null as an empty struct; later versions name it.
    return listing.dialect === "7.2" ? [{ name, type: "struct", struct: {}, size: 1 }] : [{ name, type: "nullptr", size: 1 }];
  }
}

const nullLeaf = new NullLeaf();

export class PointersNode implements Node {
  readonly size = -1;
  readonly plain: boolean;
  readonly scoped: boolean;
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
    this.plain = element.plain;
    this.scoped = element.scoped || fixedCount(count) < 0;
    this.info = element.info;
    this.compressible = element.compressible;
  }
  #at(index: number): Node {
    return this.#isNull(index) ? nullLeaf : this.#element;
  }
  need(): number {
    return 0;
  }
  read(cursor: Cursor, scope: Scope | undefined): unknown {
    const n = countOf(this.#count, scope, this.#max, "COUNT_BOUND");
    if (this.#element.size === 0 && n > freeElements) throw tooMany(n);
    const values: unknown[] = [];
    for (let i = 0; i < n; i++) values.push(this.#at(i).read(cursor, scope));
    return values;
  }
  open(scope: Scope | undefined): Frame {
    const n = countOf(this.#count, scope, this.#max, "COUNT_BOUND");
    if (this.#element.size === 0 && n > freeElements) throw tooMany(n);
    return new PointersFrame((i) => this.#at(i), n, scope, []);
  }
  write(out: Writer, value: unknown, scope: Scope | undefined, mode: WriteMode): void {
    const n = countOf(this.#count, scope, this.#max, "COUNT_BOUND");
    const from = value as ArrayLike<unknown>;
    if (from.length !== n) throw mismatch(n, from.length);
    let i = 0;
    try {
      for (; i < n; i++) this.#checked(i, from[i]).write(out, from[i], scope, mode);
    } catch (error) {
      throw locate(error, `[${i}]`);
    }
  }
  // A pattern that differs from the receiver's would be read as something else, without any error.
  #checked(index: number, value: unknown): Node {
    if ((value === null) !== this.#isNull(index)) {
      throw new MigrationError("NULL_PATTERN", "a pointer is null on one side only", {
        expected: this.#isNull(index) ? "null" : "an element",
        found: value === null ? "null" : "an element",
      });
    }
    return this.#at(index);
  }
  toState(value: unknown, scope: Scope | undefined): unknown {
    if (this.plain) return value;
    return (value as unknown[]).map((one) => (one === null ? null : this.#element.toState(one, scope)));
  }
  list(listing: Listing, name: string, value: unknown, scope: Scope | undefined): VmdescField[] {
    const from = value as ArrayLike<unknown>;
    const entries: VmdescField[] = [];
    if (listing.dialect === "7.2") {
      for (let i = 0; i < from.length; i++) {
        const [entry] = this.#checked(i, from[i]).list(listing, name, from[i], scope);
        if (entry) entries.push(from.length === 1 ? entry : { name, index: i, ...withoutName(entry) });
      }
      return entries;
    }
    for (let i = 0; i < from.length; ) {
      let run = i;
      while (run < from.length && (from[run] === null) === (from[i] === null)) run++;
      const start = i;
      entries.push(
        ...listElements(listing, name, run - i, from[i] === null || this.compressible, (k) =>
          this.#checked(start + k, from[start + k]).list(listing, name, from[start + k], scope),
        ),
      );
      i = run;
    }
    return entries;
  }
}

function withoutName(entry: VmdescField): Omit<VmdescField, "name"> {
  const { name: _, ...rest } = entry;
  return rest;
}

class PointersFrame implements Frame {
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
    return this.#values.length < this.#n ? this.#at(this.#values.length) : undefined;
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
    return new PointersFrame(this.#at, this.#n, parent, this.#values.slice());
  }
}

/** A value that must pass a test. The test is about this machine, so tools may switch it off. */
export class CheckedNode implements Node {
  readonly size: number;
  readonly plain: boolean;
  readonly scoped = true;
  readonly info: string;
  readonly compressible: boolean;
  readonly #element: Node;
  readonly #spec: CheckedSpec;
  constructor(element: Node, spec: CheckedSpec) {
    this.#element = element;
    this.#spec = spec;
    this.size = element.size;
    this.plain = element.plain;
    this.info = spec.info ?? element.info;
    this.compressible = element.compressible;
  }
  #test(value: unknown, scope: Scope | undefined): void {
    const record = scope ?? { record: {}, parent: undefined, version: 0 };
    if (!this.#spec.test(this.#element.toState(value, scope), record)) {
      throw new MigrationError(this.#spec.code, this.#spec.code === "FIELD_UNEQUAL" ? "the two sides differ" : "the value is refused", {
        expected: this.#spec.expected(record),
        found: describeValue(value),
      });
    }
  }
  need(cursor: Cursor, scope: Scope | undefined): number {
    return this.#element.need(cursor, scope);
  }
  read(cursor: Cursor, scope: Scope | undefined): unknown {
    const at = cursor.pos;
    const value = this.#element.read(cursor, scope);
    if (cursor.checks) {
      try {
        this.#test(value, scope);
      } catch (error) {
        cursor.pos = at;
        throw error;
      }
    }
    return value;
  }
  open(scope: Scope | undefined): Frame | undefined {
    const inner = this.#element.open(scope);
    return inner && new CheckedFrame(inner, (value, at) => this.#test(value, at), scope);
  }
  write(out: Writer, value: unknown, scope: Scope | undefined, mode: WriteMode): void {
    if (mode.checks) this.#test(value, scope);
    this.#element.write(out, value, scope, mode);
  }
  toState(value: unknown, scope: Scope | undefined): unknown {
    return this.#element.toState(value, scope);
  }
  list(listing: Listing, name: string, value: unknown, scope: Scope | undefined): VmdescField[] {
    if (listing.mode.checks) this.#test(value, scope);
    return this.#element.list(listing, name, value, scope).map((entry) => ({ ...entry, type: this.info }));
  }
}

class CheckedFrame implements Frame {
  readonly #inner: Frame;
  readonly #test: (value: unknown, scope: Scope | undefined) => void;
  readonly #outer: Scope | undefined;
  constructor(inner: Frame, test: (value: unknown, scope: Scope | undefined) => void, outer: Scope | undefined) {
    this.#inner = inner;
    this.#test = test;
    this.#outer = outer;
  }
  get scope(): Scope | undefined {
    return this.#inner.scope;
  }
  next(): Node | Frame | undefined {
    return this.#inner.next();
  }
  take(value: unknown): void {
    this.#inner.take(value);
  }
  finish(): unknown {
    const value = this.#inner.finish();
    this.#test(value, this.#outer);
    return value;
  }
  segment(): string | undefined {
    return this.#inner.segment();
  }
  fork(parent: Scope | undefined): Frame {
    return new CheckedFrame(this.#inner.fork(parent), this.#test, parent);
  }
}

type Compile = (field: Field) => Node;

export class CustomNode implements Node {
  readonly size = -1;
  readonly plain: boolean;
  readonly scoped = true;
  readonly info: string;
  readonly compressible = false;
  readonly #custom: CustomCodec<unknown, unknown>;
  readonly #compile: Compile;
  constructor(custom: CustomCodec<unknown, unknown>, compile: Compile) {
    this.#custom = custom;
    this.#compile = compile;
    this.info = custom.kind;
    this.plain = custom.map === undefined;
  }
  need(): number {
    return 0;
  }
  read(cursor: Cursor, scope: Scope | undefined): unknown {
    const { begin, next, take, end } = this.#custom;
    const steps = begin(scope as Scope);
    for (let field = next(steps); field !== undefined; field = next(steps)) {
      take(steps, this.#compile(field).read(cursor, scope));
    }
    return end(steps);
  }
  open(scope: Scope | undefined): Frame {
    return new CustomFrame(this.#custom, this.#compile, this.#custom.begin(scope as Scope), scope);
  }
  write(out: Writer, value: unknown, scope: Scope | undefined, mode: WriteMode): void {
    for (const item of this.#custom.encode(value, scope as Scope)) {
      try {
        this.#compile(item.field).write(out, item.value, scope, mode);
      } catch (error) {
        throw item.segment === undefined ? error : locate(error, item.segment);
      }
    }
  }
  toState(value: unknown, scope: Scope | undefined): unknown {
    const { map } = this.#custom;
    return map === undefined ? value : map(value, (field, one) => this.#compile(field).toState(one, scope), scope as Scope);
  }
  list(listing: Listing, name: string, value: unknown, scope: Scope | undefined): VmdescField[] {
    const from = listing.out.pos;
    let members: Partial<VmdescField> = {};
    for (const item of this.#custom.encode(value, scope as Scope)) {
      const [entry] = this.#compile(item.field).list(listing, name, item.value, scope);
      // QEMU repeats the members for every element under the same keys; a reader keeps the last.
      const struct = entry?.struct;
      if (struct !== undefined && "vmsd_name" in struct) members = struct;
    }
    return [{ name, type: this.info, ...members, size: listing.out.pos - from }];
  }
}

class CustomFrame implements Frame {
  readonly scope: Scope | undefined;
  readonly #custom: CustomCodec<unknown, unknown>;
  readonly #compile: Compile;
  readonly #steps: unknown;
  constructor(custom: CustomCodec<unknown, unknown>, compile: Compile, steps: unknown, scope: Scope | undefined) {
    this.#custom = custom;
    this.#compile = compile;
    this.#steps = steps;
    this.scope = scope;
  }
  next(): Node | undefined {
    const field = this.#custom.next(this.#steps);
    return field === undefined ? undefined : this.#compile(field);
  }
  take(value: unknown): void {
    this.#custom.take(this.#steps, value);
  }
  finish(): unknown {
    return this.#custom.end(this.#steps);
  }
  segment(): string | undefined {
    return this.#custom.segment?.(this.#steps);
  }
  fork(parent: Scope | undefined): Frame {
    const copy = this.#custom.fork?.(this.#steps) ?? copyOneLevel(this.#steps);
    return new CustomFrame(this.#custom, this.#compile, copy, parent);
  }
}

function copyOneLevel(steps: unknown): unknown {
  if (Array.isArray(steps)) return steps.slice();
  if (typeof steps !== "object" || steps === null) return steps;
  return Object.fromEntries(
    Object.entries(steps).map(([key, value]) => [key, Array.isArray(value) ? value.slice() : value]),
  );
}
