// The body of a description: fields in order, then subsections; read, written, converted, listed.
import { type Cursor, underflow } from "../../cursor.ts";
import { MigrationError } from "../../errors.ts";
import type { VmdescField, VmdescMembers } from "../../stream/vmdesc-types.ts";
import type { Writer } from "../../writer.ts";
import { type Fast, generate } from "../jit.ts";
import type { Shape, StructShape } from "../shape.ts";
import type { AnyRecord, Description, Field, Scope, WireRecord } from "../types.ts";
import { sameValue } from "../values.ts";
import { BodyFrame, enter } from "./body-frame.ts";
import { describeValue } from "./leaf.ts";
import { exists, type Member, membersOf } from "./member.ts";
import { type Frame, type Listing, locate, type Node, type WriteMode } from "./node.ts";
import { type Part, Probe, subsectionByte, wanted, writeHeader } from "./probe.ts";
import { absentOf, type ScopeOf, scopesOf } from "./view.ts";

export class Body {
  readonly description: Description;
  readonly members: readonly Member[];
  readonly parts: readonly Part[];
  /** The fewest bytes that a record can have. */
  readonly min: number;
  /** Bytes that a record with all of its subsections has at least: room to begin with. */
  readonly room: number;
  readonly plain: boolean;
  /** See `Node`. */
  readonly steady: boolean;
  readonly scoped: boolean;
  readonly compressible: boolean;
  readonly probe: Probe;
  readonly scopeOf: ScopeOf;
  /** Of the fields, where they are simple. */
  readonly shape: StructShape | undefined;
  #fast: Fast | undefined;
  #uses = 0;

  constructor(description: Description, compile: (field: Field) => Node, bodyOf: (description: Description) => Body) {
    this.description = description;
    this.members = membersOf(description, compile);
    this.parts = Object.entries(description.subsections).map(([key, subsection]) => ({
      key,
      name: subsection.description.name,
      subsection,
      body: bodyOf(subsection.description),
    }));
    this.min = this.members.reduce((sum, m) => sum + (m.condition === undefined ? (m.node?.min ?? 0) : 0), 0);
    this.room = this.min + this.parts.reduce((sum, { name, body }) => sum + body.room + name.length + 6, 0);
    this.steady =
      this.parts.length === 0 &&
      description.postLoad === undefined &&
      this.members.every((m) => m.condition === undefined && m.node?.steady === true);
    this.plain =
      this.parts.length === 0 &&
      description.postLoad === undefined &&
      this.members.every((m) => m.condition === undefined && !m.padding && m.node?.plain === true);
    this.scoped =
      this.parts.length > 0 || this.members.some((m) => m.condition !== undefined || m.node?.scoped === true);
    this.compressible =
      this.parts.length === 0 && this.members.every((m) => !m.tested && (m.node === undefined || m.node.compressible));
    this.probe = new Probe(description.name, this.parts);
    this.scopeOf = scopesOf(this.members, this.parts);
    this.shape = shapeOf(this.members, this.probe);
  }

  /** Generated code, once the body has been in use often enough to be worth it. */
  fast(): Fast | undefined {
    if (this.#uses < usesBeforeFast && ++this.#uses === usesBeforeFast && this.shape !== undefined) {
      this.#fast = generate(this.shape);
    }
    return this.#fast;
  }

  checkVersion(version: number): void {
    const { name, version: newest, minimumVersion: oldest } = this.description;
    if (version < oldest || version > newest) {
      throw new MigrationError("SECTION_VERSION", `"${name}" cannot be read in this version`, {
        expected: oldest === newest ? String(newest) : `${oldest} to ${newest}`,
        found: String(version),
      });
    }
  }

  /** `headed`: the record keeps its version. */
  read(cursor: Cursor, parent: Scope | undefined, version: number, headed: boolean): WireRecord {
    let record = this.fast()?.read(cursor, headed ? version : undefined);
    let scope: Scope | undefined;
    if (record === undefined) {
      cursor.fields++;
      record = this.#start(version, headed);
      scope = this.scoped ? this.scopeOf(record, parent, version) : parent;
      this.#readFields(cursor, record, scope);
    }
    for (;;) {
      const { pos, end } = cursor;
      if (pos < end ? cursor.bytes[pos] !== subsectionByte : cursor.final) return record;
      if (end - pos < wanted(this.probe, cursor)) throw underflow;
      const header = this.probe.take(cursor);
      if (header === undefined) return record;
      enter(record, header);
      scope ??= this.scopeOf(record, parent, version);
      record[header.part.key] = header.part.body.read(cursor, scope, header.version, true);
    }
  }

  #readFields(cursor: Cursor, record: WireRecord, scope: Scope | undefined): void {
    for (const { condition, node, key, name } of this.members) {
      if (condition !== undefined && !exists(name, condition, scope as Scope)) continue;
      const value = node?.read(cursor, scope);
      if (value !== undefined) record[key] = value;
    }
  }

  #start(version: number, headed: boolean): WireRecord {
    return headed ? { $version: version } : {};
  }

  open(parent: Scope | undefined, version: number, headed: boolean): Frame {
    return new BodyFrame(this, this.#start(version, headed), parent, version);
  }

  /** Writes a state (asking `needed` and predicates) or a wire record (which says itself what is present). */
  write(out: Writer, value: unknown, parent: Scope | undefined, version: number, mode: WriteMode): void {
    const record = this.#enter(value, mode);
    const isWritten = this.fast()?.write(out, record, mode.state) === true;
    if (isWritten && this.parts.length === 0) return;
    const scope = this.#scopeToWrite(record, parent, version, mode);
    if (!isWritten) {
      this.#eachField(record, scope, mode, (member, own) => member.node?.write(out, own, scope, mode));
    }
    this.#eachPart(record, scope, mode, (part, own, v) => {
      writeHeader(out, part.name, v);
      part.body.write(out, own, scope, v, mode);
    });
  }

  /** Writes the value and gives the members that QEMU would list for it. */
  list(listing: Listing, value: unknown, parent: Scope | undefined, version: number): VmdescMembers {
    const record = this.#enter(value, listing.mode);
    const scope = this.#scopeToWrite(record, parent, version, listing.mode);
    const fields: VmdescField[] = [];
    const subsections: VmdescMembers[] = [];
    this.#eachField(record, scope, listing.mode, (member, own) => {
      if (member.node === undefined) return;
      fields.push(...member.node.list(listing, this.#listedName(member), own, scope, member.tested));
    });
    this.#eachPart(record, scope, listing.mode, (part, own, v) => {
      writeHeader(listing.out, part.name, v);
      subsections.push(part.body.list(listing, own, scope, v));
    });
    const name = this.description.name;
    return { vmsd_name: name, version, fields, ...(subsections.length > 0 ? { subsections } : {}) };
  }

  /** Whether a record is the state that it means; of steady bodies only. */
  isState(record: AnyRecord): boolean {
    if (this.#fast !== undefined) return this.#fast.isState(record);
    return this.members.every(({ key, node, padding }) =>
      padding ? record[key] === undefined : node?.isState(record[key]),
    );
  }

  /** The complete state of a wire record: what did not come is `absent`. */
  toState(record: AnyRecord, parent: Scope | undefined, version: number): AnyRecord {
    if (this.plain || (this.steady && this.isState(record))) return withoutVersion(record);
    const state: Record<string, unknown> = {};
    const scope: Scope = { record: state, parent, version };
    let key = "";
    try {
      for (const member of this.members) {
        if (member.padding) continue;
        key = member.key;
        state[key] = Object.hasOwn(record, key)
          ? member.node?.toState(record[key], scope)
          : absentOf(member.condition?.absent, scope);
      }
      for (const part of this.parts) {
        key = part.key;
        state[key] = Object.hasOwn(record, key)
          ? part.body.toState(record[key], scope, record[key].$version)
          : absentOf(part.subsection.absent, scope);
      }
    } catch (error) {
      throw locate(error, key);
    }
    const { postLoad } = this.description;
    return postLoad === undefined ? state : postLoad(state, version);
  }

  #enter(value: unknown, { state }: WriteMode): AnyRecord {
    if (typeof value !== "object" || value === null) {
      throw new MigrationError("FIELD_MISSING", `no state for "${this.description.name}"`, {
        found: describeValue(value),
      });
    }
    const { preSave } = this.description;
    return state && preSave !== undefined ? preSave(value) : value;
  }

  #scopeToWrite(record: AnyRecord, parent: Scope | undefined, version: number, { state }: WriteMode): Scope {
    return state ? { record, parent, version } : this.scopeOf(record as WireRecord, parent, version);
  }

  #eachField(record: AnyRecord, scope: Scope, mode: WriteMode, write: (member: Member, own: unknown) => void): void {
    for (const member of this.members) {
      try {
        if (!this.#present(member, record, scope, mode)) continue;
        // A state has no padding; a record has the bytes that came.
        write(member, member.padding && mode.state ? undefined : this.#value(member, record));
      } catch (error) {
        throw locate(error, member.key);
      }
    }
  }

  #present(member: Member, record: AnyRecord, scope: Scope, mode: WriteMode): boolean {
    const { condition, key, padding } = member;
    if (condition === undefined || exists(member.name, condition, scope)) return true;
    if (mode.state) {
      if (!padding) mustEqualAbsent(this.#value(member, record), condition.absent, scope);
    } else if (Object.hasOwn(record, key)) {
      throw new MigrationError("FIELD_CHECK", "the record holds a field that its own conditions exclude");
    }
    return false;
  }

  #value(member: Member, record: AnyRecord): unknown {
    const value: unknown = record[member.key];
    if (value === undefined && !member.padding) throw this.#missing(member.key);
    return value;
  }

  #missing(key: string): MigrationError {
    return new MigrationError("FIELD_MISSING", `no "${key}" in the state of "${this.description.name}"`);
  }

  /** The subsections that are written: of a record, those that it holds, in their order; of a state, the needed ones. */
  #eachPart(
    record: AnyRecord,
    scope: Scope,
    mode: WriteMode,
    write: (part: Part, own: AnyRecord, version: number) => void,
  ): void {
    if (this.parts.length === 0) return;
    const parts = mode.state
      ? this.parts
      : Object.keys(record).flatMap((key) => this.parts.filter((part) => part.key === key));
    for (const part of parts) {
      try {
        const own = record[part.key] as AnyRecord | undefined;
        if (own === undefined || own === null) throw this.#missing(part.key);
        const newest = part.subsection.description.version;
        if (!mode.state) write(part, own, own["$version"] ?? newest);
        else if (part.subsection.needed(own, scope)) write(part, own, newest);
        else mustEqualAbsent(own, part.subsection.absent, scope);
      } catch (error) {
        throw locate(error, part.key);
      }
    }
  }

  /** QEMU numbers the fields of one name, `name[0]`, `name[1]`. */
  #listedName(member: Member): string {
    const alike = this.members.filter((m) => m.node !== undefined && m.name === member.name);
    return alike.length > 1 ? `${member.name}[${alike.indexOf(member)}]` : member.name;
  }
}

/** A body is worth code of its own when it has been read and written this often. */
const usesBeforeFast = 16;

function shapeOf(members: readonly Member[], probe: Probe): StructShape | undefined {
  const shapes: [string, Shape][] = [];
  for (const { key, node, condition } of members) {
    if (condition !== undefined || node?.shape === undefined) return undefined;
    shapes.push([key, node.shape]);
  }
  return { kind: "struct", members: shapes, probe };
}

function withoutVersion(record: AnyRecord): AnyRecord {
  if (record["$version"] === undefined) return record;
  const { $version: _, ...state } = record;
  return state;
}

function mustEqualAbsent(value: unknown, absent: unknown, scope: Scope): void {
  const assumed: unknown = typeof absent === "function" ? absent(scope) : absent;
  if (sameValue(value, assumed)) return;
  throw new MigrationError(
    "ABSENT_MISMATCH",
    "the value would be lost: it does not travel, and the destination would assume another",
    { expected: describeValue(assumed), found: describeValue(value) },
  );
}
