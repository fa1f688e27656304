// A value that must pass a test. The test is about this machine, so tools may switch it off.
import type { Cursor } from "../../cursor.ts";
import { MigrationError } from "../../errors.ts";
import type { VmdescField } from "../../stream/vmdesc-types.ts";
import type { Writer } from "../../writer.ts";
import type { CheckedSpec } from "../spec.ts";
import type { Scope } from "../types.ts";
import { describeValue } from "./leaf.ts";
import type { Frame, Listing, Node, WriteMode } from "./node.ts";

const nowhere: Scope = { record: {}, parent: undefined, version: 0 };

export class CheckedNode implements Node {
  readonly min: number;
  readonly plain: boolean;
  readonly steady: boolean;
  readonly scoped = true;
  readonly composite: boolean;
  readonly info: string;
  readonly compressible: boolean;
  readonly #element: Node;
  readonly #spec: CheckedSpec;
  constructor(element: Node, spec: CheckedSpec) {
    this.#element = element;
    this.#spec = spec;
    this.min = element.min;
    this.plain = element.plain;
    this.steady = element.steady;
    this.composite = element.composite;
    this.info = spec.info ?? element.info;
    this.compressible = element.compressible;
  }
  /** Tests the value of a state. */
  #test(state: unknown, scope: Scope = nowhere): void {
    const { code, test, expected } = this.#spec;
    if (test(state, scope)) return;
    throw new MigrationError(code, code === "FIELD_UNEQUAL" ? "the two sides differ" : "the value is refused", {
      expected: expected(scope),
      found: describeValue(state),
    });
  }
  #testRecord(value: unknown, scope: Scope | undefined): void {
    this.#test(this.#element.toState(value, scope), scope);
  }
  need(cursor: Cursor, scope: Scope | undefined): number {
    return this.#element.need(cursor, scope);
  }
  read(cursor: Cursor, scope: Scope | undefined): unknown {
    const value = this.#element.read(cursor, scope);
    if (cursor.checks) this.#testRecord(value, scope);
    return value;
  }
  open(scope: Scope | undefined, cursor: Cursor): Frame {
    return this.#element.open(scope, cursor);
  }
  verify(value: unknown, scope: Scope | undefined): void {
    this.#element.verify?.(value, scope);
    this.#testRecord(value, scope);
  }
  write(out: Writer, value: unknown, scope: Scope | undefined, mode: WriteMode): void {
    this.#element.write(out, value, scope, mode);
    this.#testWritten(value, scope, mode);
  }
  toState(value: unknown, scope: Scope | undefined): unknown {
    return this.#element.toState(value, scope);
  }
  isState(value: unknown): boolean {
    return this.#element.isState(value);
  }
  list(listing: Listing, name: string, value: unknown, scope: Scope | undefined, tested: boolean): VmdescField[] {
    const entries = this.#element.list(listing, name, value, scope, tested);
    this.#testWritten(value, scope, listing.mode);
    const type = this.#spec.info;
    return type === undefined ? entries : entries.map((entry) => ({ ...entry, type }));
  }
  #testWritten(value: unknown, scope: Scope | undefined, mode: WriteMode): void {
    if (!mode.checks) return;
    if (mode.state) this.#test(value, scope);
    else this.#testRecord(value, scope);
  }
}
