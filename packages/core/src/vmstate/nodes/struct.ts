// Nested bodies as fields: struct, vstruct and tmp. None of them has a header.
import type { Cursor } from "../../cursor.ts";
import type { VmdescField } from "../../stream/vmdesc-types.ts";
import type { Writer } from "../../writer.ts";
import type { Fast } from "../fast.ts";
import type { AnyRecord, Scope, WireRecord } from "../types.ts";
import type { Body } from "./body.ts";
import type { Frame, Listing, Node, WriteMode } from "./node.ts";

export class StructNode implements Node {
  readonly min: number;
  readonly plain: boolean;
  readonly steady: boolean;
  readonly scoped: boolean;
  readonly composite = true;
  readonly compressible: boolean;
  readonly info: string;
  readonly body: Body;
  readonly version: number;
  readonly #fixed: boolean;

  /** `version` is set for a vstruct. */
  constructor(body: Body, version: number | undefined) {
    this.body = body;
    this.#fixed = version !== undefined;
    this.version = version ?? body.description.version;
    this.min = body.min;
    this.plain = body.plain;
    this.steady = body.steady;
    this.scoped = body.scoped;
    this.compressible = body.compressible;
    this.info = this.#fixed ? "vstruct" : "struct";
  }
  fast(): Fast | undefined {
    return this.body.isSimple ? this.body.fast() : undefined;
  }
  need(): number {
    return 0;
  }
  read(cursor: Cursor, scope: Scope | undefined): unknown {
    return this.body.read(cursor, scope, this.version, false);
  }
  open(scope: Scope | undefined): Frame {
    return this.body.open(scope, this.version, false);
  }
  write(out: Writer, value: unknown, scope: Scope | undefined, mode: WriteMode): void {
    this.body.write(out, value, scope, this.version, mode);
  }
  toState(value: unknown, scope: Scope | undefined): unknown {
    if (this.plain) return value;
    return this.body.toState(value as AnyRecord, scope, this.version);
  }
  isState(value: unknown): boolean {
    return this.body.isState(value as AnyRecord);
  }
  list(listing: Listing, name: string, value: unknown, scope: Scope | undefined): VmdescField[] {
    const from = listing.out.pos;
    const members = this.body.list(listing, value, scope, this.version);
    const size = listing.out.pos - from;
    const type = this.info;
    return [this.#fixed ? { name, type, ...members, size } : { name, type, struct: members, size }];
  }
}

/** A body behind a header that tells its version: a section's, or a subsection's. The record keeps the version. */
export class HeadedNode extends StructNode {
  override read(cursor: Cursor, scope: Scope | undefined): WireRecord {
    return this.body.read(cursor, scope, this.version, true);
  }
  override open(scope: Scope | undefined): Frame {
    return this.body.open(scope, this.version, true);
  }
}

type Save = (value: unknown, scope: Scope) => AnyRecord;
type Load = (wire: AnyRecord, scope: Scope) => unknown;

/** A nested body that stands on the wire in another shape. Its child is read as version 0, as QEMU does. */
export class TmpNode implements Node {
  readonly min: number;
  readonly plain = false;
  readonly steady = false;
  readonly scoped = true;
  readonly composite = true;
  readonly compressible = false;
  readonly info = "tmp";
  readonly #body: Body;
  readonly #save: Save;
  readonly #load: Load;
  constructor(body: Body, save: Save, load: Load) {
    this.#body = body;
    this.#save = save;
    this.#load = load;
    this.min = body.min;
  }
  need(): number {
    return 0;
  }
  read(cursor: Cursor, scope: Scope | undefined): unknown {
    return this.#body.read(cursor, scope, 0, false);
  }
  open(scope: Scope | undefined): Frame {
    return this.#body.open(scope, 0, false);
  }
  #wire(value: unknown, scope: Scope | undefined, mode: WriteMode): unknown {
    return mode.state ? this.#save(value, scope as Scope) : value;
  }
  write(out: Writer, value: unknown, scope: Scope | undefined, mode: WriteMode): void {
    this.#body.write(out, this.#wire(value, scope, mode), scope, 0, mode);
  }
  toState(value: unknown, scope: Scope | undefined): unknown {
    return this.#load(this.#body.toState(value as AnyRecord, scope, 0), scope as Scope);
  }
  isState(): boolean {
    return false;
  }
  list(listing: Listing, name: string, value: unknown, scope: Scope | undefined): VmdescField[] {
    const from = listing.out.pos;
    const members = this.#body.list(listing, this.#wire(value, scope, listing.mode), scope, 0);
    // Read as version 0 but, like every body, listed with its own.
    const { version } = this.#body.description;
    return [{ name, type: this.info, ...members, version, size: listing.out.pos - from }];
  }
}
