// The body of a description: fields in order, then subsections; read, stepped through, written, converted, listed.
import { MigrationError } from "../../errors.ts";
import { type Cursor, underflow } from "../../cursor.ts";
import { utf8Decode, utf8Encode } from "../../utf8.ts";
import type { Writer } from "../../writer.ts";
import type { VmdescField, VmdescMembers } from "../../stream/vmdesc-types.ts";
import { cloneValue, sameValue } from "../values.ts";
import type { ConditionSpec, Spec } from "../spec.ts";
import type { AnyRecord, Description, Field, Scope, Subsection, WireRecord } from "../types.ts";
import { locate } from "./composite.ts";
import { describeValue } from "./leaf.ts";
import type { Frame, Listing, Node, WriteMode } from "./node.ts";

const subsectionByte = 0x05;

interface Member {
  readonly key: string;
  /** The wire's name. */
  readonly name: string;
  /** Undefined for a mere test of the record. */
  readonly node: Node | undefined;
  readonly condition: ConditionSpec | undefined;
  readonly padding: boolean;
}

interface Part {
  readonly key: string;
  readonly name: string;
  readonly subsection: Subsection;
  readonly body: Body;
}

/** A subsection's header as it stands on the wire. */
interface Header {
  readonly part: Part;
  readonly version: number;
}

export class Body {
  readonly description: Description;
  readonly members: readonly Member[];
  readonly parts: readonly Part[];
  /** Bytes of every record of the description's own version; -1 where they differ. */
  readonly size: number;
  readonly plain: boolean;
  readonly scoped: boolean;
  readonly compressible: boolean;
  readonly #name: Uint8Array;
  readonly #probe: Probe;

  constructor(description: Description, compile: (field: Field) => Node, bodyOf: (description: Description) => Body) {
    this.description = description;
    this.#name = utf8Encode(description.name);
    this.members = membersOf(description, compile);
    this.parts = Object.entries(description.subsections).map(([key, subsection]) => ({
      key,
      name: subsection.description.name,
      subsection,
      body: bodyOf(subsection.description),
    }));
    const fixed = this.members.every((m) => m.condition === undefined && m.node !== undefined && m.node.size >= 0);
    // A following 0x05 may begin a subsection of this very body, known or not, so one byte more must be looked at.
    this.size = fixed ? this.members.reduce((sum, m) => sum + (m.node?.size ?? 0), 0) : -1;
    this.plain =
      this.parts.length === 0 &&
      description.postLoad === undefined &&
      this.members.every((m) => m.condition === undefined && !m.padding && m.node?.plain === true);
    this.scoped =
      this.parts.length > 0 || this.members.some((m) => m.condition !== undefined || m.node?.scoped === true);
    this.compressible =
      this.parts.length === 0 &&
      this.members.every(
        (m) =>
          (m.condition === undefined || m.condition.since !== undefined) && (m.node === undefined || m.node.compressible),
      );
    this.#probe = new Probe(this.#name, this.parts);
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

  read(cursor: Cursor, parent: Scope | undefined, version: number): WireRecord {
    const record: WireRecord = {};
    const scope = this.scoped ? { record, parent, version } : parent;
    for (const member of this.members) {
      if (member.condition !== undefined && !exists(member, scope as Scope)) continue;
      if (member.node !== undefined) record[member.key] = member.node.read(cursor, scope);
      cursor.fields++;
    }
    for (;;) {
      if (cursor.end - cursor.pos < this.#probe.need(cursor) && !cursor.final) throw underflow;
      const header = this.#probe.take(cursor);
      if (header === undefined) return record;
      begin(record, header);
      const { part, version: own } = header;
      record[part.key] = { $version: own, ...part.body.read(cursor, scope, own) };
    }
  }

  open(parent: Scope | undefined, version: number): BodyFrame {
    return new BodyFrame(this, this.#probe, {}, parent, version);
  }

  /** Writes a state (asking `needed` and predicates) or a wire record (which says itself what is present). */
  write(out: Writer, value: unknown, parent: Scope | undefined, version: number, mode: WriteMode): void {
    const { record, scope } = this.#enter(value, parent, version, mode);
    let key = "";
    try {
      for (const member of this.members) {
        key = member.key;
        if (!this.#present(member, record, scope, mode)) continue;
        member.node?.write(out, this.#value(member, record), scope, mode);
      }
      // What `#needed` throws names its subsection itself.
      key = "";
      for (const { part, own, version: v } of this.#needed(record, scope, mode)) {
        key = part.key;
        writeHeader(out, part.name, v);
        part.body.write(out, own, scope, v, mode);
        key = "";
      }
    } catch (error) {
      throw locate(error, key);
    }
  }

  /** Writes the value and gives the members that QEMU would list for it. */
  list(listing: Listing, value: unknown, parent: Scope | undefined, version: number): VmdescMembers {
    const { record, scope } = this.#enter(value, parent, version, listing.mode);
    const fields: VmdescField[] = [];
    const subsections: VmdescMembers[] = [];
    let key = "";
    const times = new Map<string, number>();
    for (const { name } of this.members) times.set(name, (times.get(name) ?? 0) + 1);
    const seen = new Map<string, number>();
    try {
      for (const member of this.members) {
        key = member.key;
        if (!this.#present(member, record, scope, listing.mode) || member.node === undefined) continue;
        const nth = seen.get(member.name) ?? 0;
        seen.set(member.name, nth + 1);
        const name = (times.get(member.name) ?? 0) > 1 ? `${member.name}[${nth}]` : member.name;
        fields.push(...member.node.list(listing, name, this.#value(member, record), scope));
      }
      key = "";
      for (const { part, own, version: v } of this.#needed(record, scope, listing.mode)) {
        key = part.key;
        writeHeader(listing.out, part.name, v);
        subsections.push(part.body.list(listing, own, scope, v));
        key = "";
      }
    } catch (error) {
      throw locate(error, key);
    }
    return {
      vmsd_name: this.description.name,
      version,
      fields,
      ...(subsections.length > 0 ? { subsections } : {}),
    };
  }

  /** The complete state of a wire record: what did not come is `absent`. */
  toState(record: AnyRecord, parent: Scope | undefined, version: number): AnyRecord {
    if (this.plain) return record;
    const state: Record<string, unknown> = {};
    const scope: Scope = { record: state, parent, version };
    for (const { key, node, condition, padding } of this.members) {
      if (padding) continue;
      if (key in record) state[key] = node?.toState(record[key], scope);
      else state[key] = absentOf(condition?.absent, scope);
    }
    for (const { key, subsection, body } of this.parts) {
      if (key in record) {
        const { $version, ...own } = record[key];
        state[key] = body.toState(own, scope, $version);
      } else state[key] = absentOf(subsection.absent, scope);
    }
    const { postLoad } = this.description;
    return postLoad === undefined ? state : postLoad(state, version);
  }

  #enter(value: unknown, parent: Scope | undefined, version: number, mode: WriteMode): { record: AnyRecord; scope: Scope } {
    if (typeof value !== "object" || value === null) {
      throw new MigrationError("FIELD_MISSING", `no state for "${this.description.name}"`, { found: describeValue(value) });
    }
    const { preSave } = this.description;
    const record = mode.state && preSave !== undefined ? preSave(value as AnyRecord) : (value as AnyRecord);
    return { record, scope: { record, parent, version } };
  }

  #present(member: Member, record: AnyRecord, scope: Scope, mode: WriteMode): boolean {
    const { condition, key } = member;
    if (condition === undefined) return true;
    if (exists(member, scope)) return true;
    if (mode.state && !member.padding) {
      const absent = typeof condition.absent === "function" ? condition.absent(scope) : condition.absent;
      if (!sameValue(record[key], absent)) throw notCarried(record[key]);
    } else if (!mode.state && key in record) {
      throw new MigrationError("FIELD_CHECK", "the record holds a field that its own conditions exclude");
    }
    return false;
  }

  #value(member: Member, record: AnyRecord): unknown {
    const value: unknown = record[member.key];
    if (value === undefined && !member.padding) {
      throw new MigrationError("FIELD_MISSING", `no "${member.key}" in the state of "${this.description.name}"`);
    }
    return value;
  }

  *#needed(record: AnyRecord, scope: Scope, mode: WriteMode): Iterable<{ part: Part; own: AnyRecord; version: number }> {
    if (this.parts.length === 0) return;
    if (!mode.state) {
      // A wire record keeps the order of the wire, which is the order of its keys.
      for (const [key, own] of Object.entries(record)) {
        const part = this.parts.find((p) => p.key === key);
        if (part !== undefined) yield { part, own: own as AnyRecord, version: own.$version };
      }
      return;
    }
    for (const part of this.parts) {
      const own = record[part.key] as AnyRecord | undefined;
      if (own === undefined) {
        throw new MigrationError("FIELD_MISSING", `no "${part.key}" in the state of "${this.description.name}"`, { path: part.key });
      }
      if (part.subsection.needed(own, scope)) {
        yield { part, own, version: part.subsection.description.version };
      } else {
        const { absent } = part.subsection;
        if (!sameValue(own, typeof absent === "function" ? absent(scope) : absent)) throw locate(notCarried(own), part.key);
      }
    }
  }
}

function notCarried(value: unknown): MigrationError {
  return new MigrationError("ABSENT_MISMATCH", "the value would be lost: it does not travel, and the destination would assume another", {
    found: describeValue(value),
  });
}

function absentOf(absent: unknown, scope: Scope): unknown {
  return cloneValue(typeof absent === "function" ? absent(scope) : absent);
}

function exists(member: Member, scope: Scope): boolean {
  const condition = member.condition as ConditionSpec;
  if (condition.exists(scope.record, scope)) return true;
  if (condition.mustExist) {
    throw new MigrationError("FIELD_MUST_EXIST", `the test of "${member.name}" fails`);
  }
  return false;
}

function membersOf(description: Description, compile: (field: Field) => Node): Member[] {
  return Object.entries(description.fields).map(([key, field]) => {
    let spec = field as Spec;
    let condition: ConditionSpec | undefined;
    const padding = (spec as { padding?: true }).padding === true;
    // QEMU gives all of its unused fields this one name.
    let name = padding ? "unused" : key;
    let inner: Field | undefined = field;
    while (spec.kind === "named" || spec.kind === "condition") {
      if (spec.kind === "named") name = spec.name;
      else if (condition === undefined) condition = spec;
      else throw new MigrationError("DEFINITION_INVALID", `field "${key}" of "${description.name}" has two conditions`, { side: "define" });
      inner = spec.element;
      if (inner === undefined) break;
      spec = inner as Spec;
    }
    return { key, name, node: inner === undefined ? undefined : compile(inner), condition, padding };
  });
}

function writeHeader(out: Writer, name: string, version: number): void {
  out.u8(subsectionByte);
  out.str8(name);
  out.u32(version);
}

/** Enters a subsection: it may come once, in a version that is readable. */
function begin(record: WireRecord, { part, version }: Header): void {
  if (part.key in record) {
    throw new MigrationError("SUBSECTION_DUPLICATE", `subsection "${part.name}" came twice`);
  }
  const { version: newest, minimumVersion: oldest } = part.subsection.description;
  if (version < oldest || version > newest) {
    throw new MigrationError("SUBSECTION_VERSION", `subsection "${part.name}" cannot be read in this version`, {
      expected: oldest === newest ? String(newest) : `${oldest} to ${newest}`,
      found: String(version),
    });
  }
}

/**
 * Looks for a subsection of this body (wire reference 2.6). A 0x05 may as well be data of what encloses the body, so
 * nothing is consumed before the whole name has been seen, and no byte is waited for that cannot change the answer.
 */
class Probe {
  readonly #name: Uint8Array;
  readonly #parts: readonly Part[];
  constructor(name: Uint8Array, parts: readonly Part[]) {
    this.#name = name;
    this.#parts = parts;
  }

  /** Bytes from here on that are needed to decide. */
  need(cursor: Cursor): number {
    const { bytes, pos, end } = cursor;
    if (pos >= end) return 1;
    if (bytes[pos] !== subsectionByte) return 0;
    if (pos + 1 >= end) return 2;
    const length = bytes[pos + 1] as number;
    if (length < this.#name.length + 1) return 0;
    const seen = Math.min(this.#name.length, end - pos - 2);
    for (let i = 0; i < seen; i++) if (bytes[pos + 2 + i] !== this.#name[i]) return 0;
    return 2 + length + 4;
  }

  /** The header, consumed, or undefined where what follows is not ours. */
  take(cursor: Cursor): Header | undefined {
    const need = this.need(cursor);
    if (need <= 2 || cursor.end - cursor.pos < need) return undefined;
    const name = utf8Decode(cursor.bytes, cursor.pos + 2, cursor.pos + need - 4);
    const part = this.#parts.find((p) => p.name === name);
    if (part === undefined) {
      throw new MigrationError("SUBSECTION_UNKNOWN", `subsection "${name}" is not known here`, { found: name });
    }
    cursor.pos += need - 4;
    return { part, version: cursor.u32() };
  }
}

/** The probe as a node of the stepped walk. */
class ProbeNode {
  readonly size = -1;
  readonly plain = true;
  readonly scoped = false;
  readonly info = "subsection";
  readonly compressible = false;
  readonly #probe: Probe;
  constructor(probe: Probe) {
    this.#probe = probe;
  }
  need(cursor: Cursor): number {
    const need = this.#probe.need(cursor);
    return cursor.final && need > cursor.end - cursor.pos ? 0 : need;
  }
  open(): undefined {
    return undefined;
  }
  read(cursor: Cursor): Header | undefined {
    return this.#probe.take(cursor);
  }
  write(): void {}
  toState(value: unknown): unknown {
    return value;
  }
  list(): VmdescField[] {
    return [];
  }
}

class BodyFrame implements Frame {
  readonly scope: Scope;
  readonly #body: Body;
  readonly #probe: Probe;
  readonly #record: WireRecord;
  #index = -1;
  /** The subsection that is being read, then its key once it is complete. */
  #header: Header | undefined;
  #probing = false;

  constructor(body: Body, probe: Probe, record: WireRecord, parent: Scope | undefined, version: number) {
    this.#body = body;
    this.#probe = probe;
    this.#record = record;
    this.scope = { record, parent, version };
  }

  next(): Node | Frame | undefined {
    const { members } = this.#body;
    if (this.#header !== undefined) return this.#header.part.body.open(this.scope, this.#header.version);
    while (++this.#index < members.length) {
      const member = members[this.#index] as Member;
      if (member.condition !== undefined && !exists(member, this.scope)) continue;
      if (member.node !== undefined) return member.node;
    }
    if (this.#probing) return undefined;
    this.#probing = true;
    return new ProbeNode(this.#probe);
  }

  take(value: unknown): void {
    if (this.#index < this.#body.members.length) {
      this.#record[(this.#body.members[this.#index] as Member).key] = value;
    } else if (this.#header !== undefined) {
      this.#record[this.#header.part.key] = { $version: this.#header.version, ...(value as WireRecord) };
      this.#header = undefined;
      this.#probing = false;
    } else if (value !== undefined) {
      begin(this.#record, value as Header);
      this.#header = value as Header;
    }
  }

  finish(): WireRecord {
    return this.#record;
  }

  segment(): string | undefined {
    return this.#body.members[this.#index]?.key ?? this.#header?.part.key ?? "(subsection)";
  }

  fork(parent: Scope | undefined): Frame {
    const copy = new BodyFrame(this.#body, this.#probe, { ...this.#record }, parent, this.scope.version);
    copy.#index = this.#index;
    copy.#header = this.#header;
    copy.#probing = this.#probing;
    return copy;
  }
}

/** A nested body as a field: struct and vstruct. */
export class StructNode implements Node {
  // A nested body is followed by a probe for its subsections, so its end is known only with the byte behind it.
  readonly size = -1;
  readonly plain: boolean;
  readonly scoped: boolean;
  readonly compressible: boolean;
  readonly info: string;
  readonly #body: Body;
  readonly #version: number;
  readonly #fixed: boolean;
  constructor(body: Body, version: number | undefined) {
    this.#body = body;
    this.#fixed = version !== undefined;
    this.#version = version ?? body.description.version;
    this.plain = body.plain;
    this.scoped = body.scoped;
    this.compressible = body.compressible;
    this.info = this.#fixed ? "vstruct" : "struct";
  }
  need(): number {
    return 0;
  }
  read(cursor: Cursor, scope: Scope | undefined): unknown {
    return this.#body.read(cursor, scope, this.#version);
  }
  open(scope: Scope | undefined): Frame {
    return this.#body.open(scope, this.#version);
  }
  write(out: Writer, value: unknown, scope: Scope | undefined, mode: WriteMode): void {
    this.#body.write(out, value, scope, this.#version, mode);
  }
  toState(value: unknown, scope: Scope | undefined): unknown {
    return this.#body.toState(value as AnyRecord, scope, this.#version);
  }
  list(listing: Listing, name: string, value: unknown, scope: Scope | undefined): VmdescField[] {
    const from = listing.out.pos;
    const members = this.#body.list(listing, value, scope, this.#version);
    const size = listing.out.pos - from;
    return [this.#fixed ? { name, type: this.info, ...members, size } : { name, type: this.info, struct: members, size }];
  }
}

/** A nested body that stands on the wire in another shape. Its child is read as version 0, as QEMU does. */
export class TmpNode implements Node {
  readonly size = -1;
  readonly plain = false;
  readonly scoped = true;
  readonly compressible = false;
  readonly info = "tmp";
  readonly #body: Body;
  readonly #save: (value: unknown, scope: Scope) => AnyRecord;
  readonly #load: (wire: AnyRecord, scope: Scope) => unknown;
  constructor(body: Body, save: (value: unknown, scope: Scope) => AnyRecord, load: (wire: AnyRecord, scope: Scope) => unknown) {
    this.#body = body;
    this.#save = save;
    this.#load = load;
  }
  need(): number {
    return 0;
  }
  read(cursor: Cursor, scope: Scope | undefined): unknown {
    return this.#body.read(cursor, scope, 0);
  }
  open(scope: Scope | undefined): Frame {
    return this.#body.open(scope, 0);
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
  list(listing: Listing, name: string, value: unknown, scope: Scope | undefined): VmdescField[] {
    const from = listing.out.pos;
    const members = this.#body.list(listing, this.#wire(value, scope, listing.mode), scope, 0);
    return [{ name, type: this.info, ...members, size: listing.out.pos - from }];
  }
}
