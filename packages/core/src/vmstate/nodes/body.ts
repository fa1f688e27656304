// The body of a description: fields in order, then subsections; read, written, converted, listed.
import { type Cursor, underflow } from "../../cursor.ts";
import { MigrationError } from "../../errors.ts";
import type { VmdescField, VmdescMembers } from "../../stream/vmdesc-types.ts";
import type { Writer } from "../../writer.ts";
import type { AnyRecord, Description, Field, Scope, WireRecord } from "../types.ts";
import { sameValue } from "../values.ts";
import { BodyFrame, enter } from "./body-frame.ts";
import { describeValue } from "./leaf.ts";
import { exists, type Member, membersOf } from "./member.ts";
import { type Frame, type Listing, locate, type Node, type WriteMode } from "./node.ts";
import { type Part, Probe, wanted, writeHeader } from "./probe.ts";
import { absentOf, type ScopeOf, scopesOf } from "./view.ts";

export class Body {
  readonly description: Description;
  readonly members: readonly Member[];
  readonly parts: readonly Part[];
  /** The fewest bytes that a record can have. */
  readonly min: number;
  readonly plain: boolean;
  readonly scoped: boolean;
  readonly compressible: boolean;
  readonly probe: Probe;
  readonly scopeOf: ScopeOf;

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

  /** Reads into `record`. */
  read(cursor: Cursor, parent: Scope | undefined, version: number, record: WireRecord): WireRecord {
    cursor.fields++;
    const scope = this.scoped ? this.scopeOf(record, parent, version) : parent;
    for (const member of this.members) {
      if (member.condition !== undefined && !exists(member, member.condition, scope as Scope)) continue;
      if (member.node !== undefined) record[member.key] = member.node.read(cursor, scope);
    }
    for (;;) {
      if (cursor.end - cursor.pos < wanted(this.probe, cursor)) throw underflow;
      const header = this.probe.take(cursor);
      if (header === undefined) return record;
      enter(record, header);
      const { part, version: own } = header;
      record[part.key] = part.body.read(cursor, scope, own, { $version: own });
    }
  }

  open(parent: Scope | undefined, version: number, record: WireRecord): Frame {
    return new BodyFrame(this, record, parent, version);
  }

  /** Writes a state (asking `needed` and predicates) or a wire record (which says itself what is present). */
  write(out: Writer, value: unknown, parent: Scope | undefined, version: number, mode: WriteMode): void {
    const { record, scope } = this.#enter(value, parent, version, mode);
    this.#eachField(record, scope, mode, (member, own) => member.node?.write(out, own, scope, mode));
    this.#eachPart(record, scope, mode, (part, own, v) => {
      writeHeader(out, part.name, v);
      part.body.write(out, own, scope, v, mode);
    });
  }

  /** Writes the value and gives the members that QEMU would list for it. */
  list(listing: Listing, value: unknown, parent: Scope | undefined, version: number): VmdescMembers {
    const { record, scope } = this.#enter(value, parent, version, listing.mode);
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

  /** The complete state of a wire record: what did not come is `absent`. */
  toState(record: AnyRecord, parent: Scope | undefined, version: number): AnyRecord {
    if (this.plain) return withoutVersion(record);
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

  #enter(
    value: unknown,
    parent: Scope | undefined,
    version: number,
    mode: WriteMode,
  ): { record: AnyRecord; scope: Scope } {
    if (typeof value !== "object" || value === null) {
      throw new MigrationError("FIELD_MISSING", `no state for "${this.description.name}"`, {
        found: describeValue(value),
      });
    }
    if (!mode.state) return { record: value, scope: this.scopeOf(value as WireRecord, parent, version) };
    const { preSave } = this.description;
    const record = preSave === undefined ? value : preSave(value);
    return { record, scope: { record, parent, version } };
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
    if (condition === undefined || exists(member, condition, scope)) return true;
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

function withoutVersion(record: AnyRecord): AnyRecord {
  if (!Object.hasOwn(record, "$version")) return record;
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
