// The body of a description: fields in order, then subsections; read, written, converted, listed.
import { type Cursor, underflow } from "../../cursor.ts";
import { MigrationError } from "../../errors.ts";
import type { VmdescField, VmdescMembers } from "../../stream/vmdesc-types.ts";
import type { Writer } from "../../writer.ts";
import { acceleration, type Fast } from "../fast.ts";
import type { AnyRecord, Description, Field, Scope, WireRecord } from "../types.ts";
import { holds } from "../values.ts";
import { BodyFrame, enter } from "./body-frame.ts";
import { describeValue } from "./leaf.ts";
import { exists, type Member, membersOf } from "./member.ts";
import { type Frame, type Listing, locate, type Node, type WriteMode } from "./node.ts";
import { type Part, Probe, subsectionByte, wanted, writeHeader } from "./probe.ts";
import { absentOf, type ScopeOf, scopesOf } from "./view.ts";

type OwnScope = { -readonly [K in keyof Scope]: Scope[K] };
const nothing: AnyRecord = {};

/** Where a body's listing goes. */
interface Listed {
  readonly listing: Listing;
  readonly fields: VmdescField[];
  readonly subsections: VmdescMembers[];
}

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
  /** Steady, and written as it is: it may be a part of generated code. */
  readonly isSimple: boolean;
  #fast: Fast | undefined;
  #uses = 0;
  #spare: OwnScope | undefined;

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
    this.isSimple = this.steady && description.preSave === undefined;
  }

  /** Generated code, once the body has been in use often enough to be worth it. */
  fast(): Fast | undefined {
    const { generate } = acceleration;
    if (generate !== undefined && this.#uses < usesBeforeFast && ++this.#uses === usesBeforeFast) {
      this.#fast = generate(this);
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
    this.#put(out, record, parent, version, mode, !isWritten, undefined);
  }

  /** Writes the value and gives the members that QEMU would list for it. */
  list(listing: Listing, value: unknown, parent: Scope | undefined, version: number): VmdescMembers {
    const { out, mode } = listing;
    const fields: VmdescField[] = [];
    const subsections: VmdescMembers[] = [];
    this.#put(out, this.#enter(value, mode), parent, version, mode, true, { listing, fields, subsections });
    const name = this.description.name;
    return { vmsd_name: name, version, fields, ...(subsections.length > 0 ? { subsections } : {}) };
  }

  /** Nothing is made here for a field: snapshots are taken many times a second. */
  #put(
    out: Writer,
    record: AnyRecord,
    parent: Scope | undefined,
    version: number,
    mode: WriteMode,
    withFields: boolean,
    listed: Listed | undefined,
  ): void {
    const scope = this.#enterScope(record, parent, version, mode);
    let key = "";
    try {
      if (withFields) {
        for (const member of this.members) {
          key = member.key;
          if (!this.#present(member, record, scope, mode)) continue;
          // A state has no padding; a record has the bytes that came.
          const own = member.padding && mode.state ? undefined : this.#value(member, record);
          if (listed === undefined) member.node?.write(out, own, scope, mode);
          else this.#listMember(member, own, scope, listed);
        }
      }
      for (const part of mode.state ? this.parts : this.#partsIn(record)) {
        key = part.key;
        const own = record[key] as AnyRecord | undefined;
        if (own === undefined || own === null) throw this.#missing(key);
        const { needed, absent, description } = part.subsection;
        if (mode.state && !needed(own, scope as Scope)) {
          mustEqualAbsent(own, absent, scope as Scope);
          continue;
        }
        const partVersion = mode.state ? description.version : (own["$version"] ?? description.version);
        writeHeader(out, part.name, partVersion);
        mode.sent?.(description.name);
        if (listed === undefined) part.body.write(out, own, scope, partVersion, mode);
        else listed.subsections.push(part.body.list(listed.listing, own, scope, partVersion));
      }
    } catch (error) {
      throw locate(error, key);
    }
    if (mode.state && this.scoped) this.#leaveScope(scope as OwnScope);
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

  /** The scope of a body that is written. Its nodes look at it only where it is `scoped`. */
  #enterScope(record: AnyRecord, parent: Scope | undefined, version: number, { state }: WriteMode): Scope | undefined {
    if (!this.scoped) return parent;
    if (!state) return this.scopeOf(record as WireRecord, parent, version);
    const scope = this.#spare;
    if (scope === undefined) return { record, parent, version };
    this.#spare = undefined;
    scope.record = record;
    scope.parent = parent;
    scope.version = version;
    return scope;
  }

  /** What is never left, because something threw, is not used again. */
  #leaveScope(scope: OwnScope): void {
    scope.record = nothing;
    scope.parent = undefined;
    this.#spare = scope;
  }

  #listMember(member: Member, own: unknown, scope: Scope | undefined, { listing, fields }: Listed): void {
    if (member.node === undefined) return;
    fields.push(...member.node.list(listing, this.#listedName(member), own, scope, member.tested));
  }

  #present(member: Member, record: AnyRecord, scope: Scope | undefined, mode: WriteMode): boolean {
    const { condition, key, padding } = member;
    if (condition === undefined || exists(member.name, condition, scope as Scope)) return true;
    if (mode.state) {
      if (!padding) mustEqualAbsent(this.#value(member, record), condition.absent, scope as Scope);
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

  /** The subsections that a record holds, in its order. */
  #partsIn(record: AnyRecord): readonly Part[] {
    return Object.keys(record).flatMap((key) => this.parts.filter((part) => part.key === key));
  }

  /** QEMU numbers the fields of one name, `name[0]`, `name[1]`. */
  #listedName(member: Member): string {
    const alike = this.members.filter((m) => m.node !== undefined && m.name === member.name);
    return alike.length > 1 ? `${member.name}[${alike.indexOf(member)}]` : member.name;
  }
}

/** A body is worth code of its own when it has been read and written this often. */
const usesBeforeFast = 16;

function withoutVersion(record: AnyRecord): AnyRecord {
  if (record["$version"] === undefined) return record;
  const { $version: _, ...state } = record;
  return state;
}

function mustEqualAbsent(value: unknown, absent: unknown, scope: Scope): void {
  const assumed: unknown = typeof absent === "function" ? absent(scope) : absent;
  if (holds(value, assumed)) return;
  throw new MigrationError(
    "ABSENT_MISMATCH",
    "the value would be lost: it does not travel, and the destination would assume another",
    { expected: describeValue(assumed), found: describeValue(value) },
  );
}
