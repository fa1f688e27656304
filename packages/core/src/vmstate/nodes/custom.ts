// Field kinds from outside core, driven by their codec's plain steps.
import type { Cursor } from "../../cursor.ts";
import { MigrationError } from "../../errors.ts";
import type { VmdescField } from "../../stream/vmdesc-types.ts";
import type { Writer } from "../../writer.ts";
import type { CustomCodec, CustomItem } from "../spec.ts";
import type { Field, Scope } from "../types.ts";
import { elementsToState } from "./array.ts";
import { type Frame, type Listing, locate, type Node, type WriteMode } from "./node.ts";

type Compile = (field: Field) => Node;

export class CustomNode implements Node {
  readonly min = 0;
  readonly plain: boolean;
  readonly steady: boolean;
  readonly scoped = true;
  readonly composite = true;
  readonly info: string;
  readonly compressible = false;
  readonly #custom: CustomCodec<unknown, unknown>;
  readonly #compile: Compile;
  /** The two fields that were met last, for most kinds alternate between two. */
  #field: Field | undefined;
  #node: Node | undefined;
  #otherField: Field | undefined;
  #otherNode: Node | undefined;
  /** The values of this field that are being written, one inside of the other. */
  readonly #within: unknown[] = [];
  constructor(custom: CustomCodec<unknown, unknown>, compile: Compile) {
    this.#custom = custom;
    this.#compile = compile;
    this.info = custom.kind;
    const marked = custom.marked === undefined ? undefined : compile(custom.marked);
    this.plain = custom.map === undefined || marked?.plain === true;
    this.steady = this.plain || marked?.steady === true;
  }
  #nodeOf(field: Field): Node {
    if (field === this.#field) return this.#node as Node;
    if (field === this.#otherField) return this.#otherNode as Node;
    this.#otherField = this.#field;
    this.#otherNode = this.#node;
    this.#field = field;
    this.#node = this.#compile(field);
    return this.#node;
  }
  need(): number {
    return 0;
  }
  read(cursor: Cursor, scope: Scope | undefined): unknown {
    cursor.fields++;
    const custom = this.#custom;
    if (custom.marked !== undefined) {
      const run = this.#nodeOf(custom.marked).fast?.()?.readRun(cursor, -1);
      if (run !== undefined) return run;
    }
    const steps = custom.begin(scope as Scope);
    for (let field = custom.next(steps); field !== undefined; field = custom.next(steps)) {
      custom.take(steps, this.#nodeOf(field).read(cursor, scope));
    }
    return custom.end(steps);
  }
  open(scope: Scope | undefined): Frame {
    return new CustomFrame(this.#custom, this.#compile, this.#custom.begin(scope as Scope), scope);
  }
  write(out: Writer, value: unknown, scope: Scope | undefined, mode: WriteMode): void {
    const { marked } = this.#custom;
    if (marked !== undefined && Array.isArray(value)) {
      const node = this.#nodeOf(marked);
      if (node.fast?.()?.writeRun(out, value, mode.state, true) === true) return;
      let i = 0;
      try {
        for (; i < value.length; i++) {
          out.u8(1);
          node.write(out, value[i], scope, mode);
        }
      } catch (error) {
        throw locate(error, `[${i}]`);
      }
      out.u8(0);
      return;
    }
    this.#each(value, this.#custom.encode(value, scope as Scope), (node, item) =>
      node.write(out, item.value, scope, mode),
    );
  }
  toState(value: unknown, scope: Scope | undefined): unknown {
    const custom = this.#custom;
    if (custom.map === undefined || this.plain) return value;
    if (custom.marked !== undefined && this.steady) {
      const node = this.#nodeOf(custom.marked);
      return elementsToState(value as unknown[], (one) => node.toState(one, scope));
    }
    return custom.map(value, (field, one) => this.#nodeOf(field).toState(one, scope), scope as Scope);
  }
  isState(value: unknown): boolean {
    const { marked } = this.#custom;
    if (this.plain || marked === undefined) return this.plain;
    const node = this.#nodeOf(marked);
    return (value as unknown[]).every((one) => node.isState(one));
  }
  list(listing: Listing, name: string, value: unknown, scope: Scope | undefined): VmdescField[] {
    const from = listing.out.pos;
    const items = [...this.#custom.encode(value, scope as Scope)];
    // QEMU repeats the members for every element under the same keys; a reader keeps the last of each.
    const last = new Map(items.map(({ field }, index) => [field, index]));
    let members: Partial<VmdescField> = {};
    this.#each(value, items, (node, item, index) => {
      if (node.compressible && last.get(item.field) !== index) node.write(listing.out, item.value, scope, listing.mode);
      else members = { ...members, ...membersOf(node.list(listing, name, item.value, scope, false)[0]) };
    });
    return [{ name, type: this.info, ...members, size: listing.out.pos - from }];
  }
  #each(
    value: unknown,
    items: Iterable<CustomItem>,
    write: (node: Node, item: CustomItem, index: number) => void,
  ): void {
    let current: CustomItem | undefined;
    let index = 0;
    // Only through a custom field, which may name its fields late, can a description hold itself.
    if (typeof value === "object" && this.#within.includes(value)) {
      throw new MigrationError("RECORD_CYCLE", "a record is reached again through itself");
    }
    this.#within.push(value);
    try {
      for (const item of items) {
        current = item;
        write(this.#nodeOf(item.field), item, index++);
        current = undefined;
      }
    } catch (error) {
      throw locate(error, current?.segment);
    } finally {
      this.#within.pop();
    }
  }
}

/** What a nested body is listed as, whether it stands in a `struct` or in the entry itself. */
function membersOf(entry: VmdescField | undefined): Partial<VmdescField> {
  if (entry?.struct !== undefined) return entry.struct as Partial<VmdescField>;
  if (entry?.vmsd_name === undefined) return {};
  const { name: _n, type: _t, size: _s, array_len: _a, index: _i, ...members } = entry;
  return members;
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
  if (isList(steps)) return steps.slice();
  if (typeof steps !== "object" || steps === null) return steps;
  return Object.fromEntries(Object.entries(steps).map(([key, value]) => [key, isList(value) ? value.slice() : value]));
}

function isList(value: unknown): value is { slice(): unknown } {
  return Array.isArray(value) || ArrayBuffer.isView(value);
}
