// The stepped walk of a body: its fields, then the subsections that come.
import { MigrationError } from "../../errors.ts";
import type { Scope, WireRecord } from "../types.ts";
import type { Body } from "./body.ts";
import { exists, type Member } from "./member.ts";
import type { Frame, Node } from "./node.ts";
import { type Header, ProbeNode } from "./probe.ts";
import { HeadedNode } from "./struct.ts";

/** Which child `next` named last. */
type At = "fields" | "probe" | "subsection" | "end";

export class BodyFrame implements Frame {
  readonly scope: Scope;
  readonly #body: Body;
  readonly #record: WireRecord;
  #at: At = "fields";
  #index = -1;
  #header: Header | undefined;

  constructor(body: Body, record: WireRecord, parent: Scope | undefined, version: number) {
    this.#body = body;
    this.#record = record;
    this.scope = body.scopeOf(record, parent, version);
  }

  next(): Node | undefined {
    const { members } = this.#body;
    if (this.#at === "fields") {
      while (++this.#index < members.length) {
        const member = members[this.#index] as Member;
        if (member.condition !== undefined && !exists(member.name, member.condition, this.scope)) continue;
        if (member.node !== undefined) return member.node;
      }
    } else if (this.#at === "probe") {
      if (this.#header === undefined) {
        this.#at = "end";
        return undefined;
      }
      enter(this.#record, this.#header);
      this.#at = "subsection";
      const { part, version } = this.#header;
      return new HeadedNode(part.body, version);
    }
    this.#header = undefined;
    this.#at = "probe";
    return new ProbeNode(this.#body.probe);
  }

  take(value: unknown): void {
    if (this.#at === "fields") {
      if (value !== undefined) this.#record[(this.#body.members[this.#index] as Member).key] = value;
    } else if (this.#at === "probe") this.#header = value as Header | undefined;
    else this.#record[(this.#header as Header).part.key] = value;
  }

  finish(): WireRecord {
    return this.#record;
  }

  segment(): string | undefined {
    if (this.#at === "fields") return this.#body.members[this.#index]?.key;
    return this.#at === "subsection" ? this.#header?.part.key : "(subsection)";
  }

  fork(parent: Scope | undefined): Frame {
    const copy = new BodyFrame(this.#body, { ...this.#record }, parent, this.scope.version);
    copy.#at = this.#at;
    copy.#index = this.#index;
    copy.#header = this.#header;
    return copy;
  }
}

/** Enters a subsection: it may come once, in a version that is readable. */
export function enter(record: WireRecord, { part, version }: Header): void {
  if (Object.hasOwn(record, part.key)) {
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
