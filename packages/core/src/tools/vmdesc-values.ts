// What a vmdesc says of a section, laid over the section's bytes: leaves with offsets and values, and where its
// subsections stand. What the vmdesc leaves open stays bytes. Source: wire reference 1.8 and 2.6.
import { MigrationError } from "../errors.ts";
import type { VmdescDevice, VmdescField, VmdescMembers } from "../stream/vmdesc-types.ts";
import { utf8Decode } from "../utf8.ts";
import { leafValue, type VmdescValue } from "./vmdesc-leaf.ts";
import { headerBytes, isArray, membersOf, Sizes } from "./vmdesc-sizes.ts";

export interface VmdescSubsection {
  /** Where its fields' paths begin: the path of what holds it, and its name on the wire. */
  readonly path: string;
  /** The name on the wire. */
  readonly name: string;
  readonly version: number;
  /** Of its header's first byte, 0x05, from the section's first body byte. Bytes. */
  readonly offset: number;
  /** Of its header alone, and of all of it. Bytes. */
  readonly headerBytes: number;
  readonly bytes: number;
}

export interface VmdescLayout {
  /** In the order of the wire. With the subsections' headers they cover the body: no gap, no overlap. */
  readonly values: VmdescValue[];
  /** In the order of the wire; one that holds others stands before them. */
  readonly subsections: VmdescSubsection[];
  /** False where a part of the body is a `rest`: subsections may hide in it. */
  readonly complete: boolean;
}

/**
 * The leaves of a section's body (without header and footer), as the stream's own description lists them.
 *
 * One leaf each: scalars; arrays of scalars (`count` is set, `elementsOf` takes them apart); buffers, lists and what else has
 * no type that is known here, as bytes. Where the description cannot tell (QEMU 7.2 lists an array of pointers whose first
 * is null as so many nulls), the bytes that it leaves open are one leaf of bytes if both of its ends are certain; else a last
 * one named `~rest` takes what follows in the struct that holds it.
 *
 * `VMDESC_INVALID`, with path and offset in the body, where description and bytes contradict each other.
 */
export function valuesByVmdesc(device: VmdescDevice, body: Uint8Array): VmdescValue[] {
  return layoutByVmdesc(device, body).values;
}

/** `valuesByVmdesc`, and where the subsections stand. */
export function layoutByVmdesc(device: VmdescDevice, body: Uint8Array): VmdescLayout {
  const layout = new Layout(body);
  const members = device as Partial<VmdescMembers>;
  checkSizes(members, "");
  if (members.fields === undefined && members.subsections === undefined) layout.leaf("data", "buffer", 0, body.length);
  else if (!layout.level(members, "", 0, body.length)) {
    const expected = `${layout.sizes.of(members).bytes} bytes`;
    throw invalid("does not fit the section", undefined, 0, expected, `${body.length} bytes`);
  }
  return { values: layout.values, subsections: layout.subsections, complete: layout.complete };
}

/** Leaves without bytes cost a hostile description nothing; more than these no device has. */
const emptyLeavesBound = 1 << 16;

/** Fields and subsections whose whole extent is known: a section's body, a struct. */
interface Level {
  at: number;
  readonly end: number;
  /** How many parts of it have no size that is known, and what is left for them. Bytes. */
  readonly open: number;
  readonly openBytes: number;
}

class Layout implements VmdescLayout {
  readonly values: VmdescValue[] = [];
  readonly subsections: VmdescSubsection[] = [];
  complete = true;
  readonly sizes = new Sizes();
  readonly #body: Uint8Array;
  readonly #times = new Map<string, number>();
  #empty = 0;

  constructor(body: Uint8Array) {
    this.#body = body;
  }

  leaf(name: string, type: string, offset: number, bytes: number, count?: number): void {
    if (bytes === 0 && ++this.#empty > emptyLeavesBound) throw invalid("has too many empty fields", name, offset);
    const times = (this.#times.get(name) ?? 0) + 1;
    this.#times.set(name, times);
    const path = times === 1 ? name : `${name}~${times}`;
    const value = leafValue(type, this.#body, offset, bytes, count);
    this.values.push({ path, type, offset, bytes, value, ...(count !== undefined && { count }) });
  }

  /** All of a level; false, and nothing done, where its members do not add up to its bytes. */
  level(members: Partial<VmdescMembers>, prefix: string, offset: number, bytes: number): boolean {
    const said = this.sizes.of(members);
    const openBytes = bytes - said.bytes;
    if (said.open === 0 ? openBytes !== 0 : openBytes < said.open) return false;
    const level: Level = { at: offset, end: offset + bytes, open: said.open, openBytes };
    if (!this.#members(members, prefix, level)) {
      this.complete = false;
      this.leaf(`${prefix}~rest`, "rest", level.at, level.end - level.at);
    }
    return true;
  }

  /** False where it had to stop. */
  #members({ fields = [], subsections = [] }: Partial<VmdescMembers>, prefix: string, level: Level): boolean {
    for (const { field, path, count, isOpen } of namedFields(fields, prefix, this.sizes)) {
      if (isOpen) {
        if (level.open > 1) return false;
        this.complete = false;
        this.leaf(path, "rest", level.at, level.openBytes);
        level.at += level.openBytes;
      } else {
        this.#field(field, path, level.at, count);
        level.at += field.size * count;
      }
    }
    return subsections.every((own) => this.#subsection(own, prefix, level));
  }

  #field(field: VmdescField, path: string, offset: number, count: number): void {
    const { type, size, struct } = field;
    const inside: Partial<VmdescMembers> | undefined = struct ?? (field.fields && field);
    const isNull = struct !== undefined && !("fields" in struct);
    if (inside === undefined || isNull) {
      this.leaf(path, isNull ? "nullptr" : type, offset, size * count, isArray(field) ? count : undefined);
      return;
    }
    // Elements without bytes would be as many as a description claims, at no cost to it.
    const elements = size === 0 && count > 1 ? 0 : count;
    for (let i = 0; i < elements; i++) {
      const own = isArray(field) ? `${path}[${i}]` : path;
      const at = offset + i * size;
      if (!this.level(inside, `${own}.`, at, size)) this.leaf(own, type, at, size);
    }
  }

  #subsection(own: VmdescMembers, prefix: string, level: Level): boolean {
    const offset = level.at;
    const path = prefix + own.vmsd_name;
    this.#header(own, path, offset);
    const at = this.subsections.length;
    const head = { path, name: own.vmsd_name, version: own.version, offset, headerBytes: headerBytes(own) };
    level.at += head.headerBytes;
    if (!this.#members(own, `${path}.`, level)) return false;
    this.subsections.splice(at, 0, { ...head, bytes: level.at - offset });
    return true;
  }

  #header({ vmsd_name: name, version }: VmdescMembers, path: string, offset: number): void {
    const body = this.#body;
    const from = offset + 2;
    const to = from + (body[offset + 1] ?? 0);
    const isThere = body[offset] === subsectionByte && to + 4 <= body.length;
    const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
    const found = isThere ? `"${utf8Decode(body, from, to)}" v${view.getUint32(to)}` : "no subsection";
    const expected = `"${name}" v${version}`;
    if (found !== expected) throw invalid("tells of a subsection that is not there", path, offset, expected, found);
  }
}

const subsectionByte = 0x05;

interface NamedField {
  readonly field: VmdescField;
  readonly path: string;
  readonly count: number;
  readonly isOpen: boolean;
}

/**
 * Fields of one name, one behind the other, are the elements of an array that are not all alike, or runs of them. QEMU 7.2
 * numbers them all, 10.0 all but the last, and runs not at all.
 */
function* namedFields(fields: readonly VmdescField[], prefix: string, sizes: Sizes): Generator<NamedField> {
  for (let i = 0; i < fields.length; ) {
    const { name, index } = fields[i] as VmdescField;
    let end = i + 1;
    while (end < fields.length && fields[end]?.name === name) end++;
    const isRun = end - i > 1 || index !== undefined;
    let element = index ?? 0;
    for (; i < end; i++) {
      const field = fields[i] as VmdescField;
      const path = `${prefix}${name}`;
      const { array_len: count = 1 } = field;
      const isOpen = sizes.isOpen(field);
      if (!isRun) yield { field, path, count, isOpen };
      // A run's elements have their places in the whole array.
      else if (isOpen) yield { field, path: `${path}[${element}]`, count, isOpen };
      else
        for (let n = 0; n < (field.size === 0 ? 1 : count); n++)
          yield { field: single(field), path: `${path}[${element + n}]`, count: 1, isOpen };
      element += count;
    }
  }
}

function single(field: VmdescField): VmdescField {
  const { array_len: _, ...rest } = field;
  return rest;
}

function invalid(
  why: string,
  path: string | undefined,
  offset: number,
  expected?: string,
  found?: string,
): MigrationError {
  const detail = `the stream's own description ${why}`;
  return new MigrationError("VMDESC_INVALID", detail, { path, offset, expected, found });
}

/** What is reckoned with are numbers, and names are names: a description is input like the rest of the stream. */
function checkSizes({ fields = [], subsections = [] }: Partial<VmdescMembers>, prefix: string): void {
  for (const field of fields) {
    const { name, type, size, array_len = 1, index = 0 } = field;
    const path = `${prefix}${name}`;
    if (typeof name !== "string" || typeof type !== "string")
      throw invalid("has a field without name or type", path, 0);
    for (const n of [size, array_len, index, size * array_len]) {
      if (!Number.isSafeInteger(n) || n < 0)
        throw invalid("has a size or count that is none", path, 0, undefined, String(n));
    }
    checkSizes(membersOf(field), `${path}.`);
  }
  for (const own of subsections) checkSizes(own, `${prefix}${own.vmsd_name}.`);
}
