// The JSON of QEMU's `-dump-vmstate`, and of our own descriptions in the same form, read into one side of a comparison.
import { MigrationError } from "../errors.ts";
import type { CheckedClass, CheckedDescription, CheckedField, Side } from "./model.ts";

type Members = Readonly<Record<string, unknown>>;

/** Descriptions nest a few levels deep; what claims more would only exhaust the stack. */
const deepest = 64;

/** What is found out on the way: QEMU before 10.0 leaves out counts, and only our own dumps have types and priorities. */
interface Found {
  counts: boolean;
  types: boolean;
  priorities: boolean;
}

/** `name`: what to call the file in an error. `DUMP_INVALID` where the text is no dump, with the place in it. */
export function dumpSide(text: string, name: string): Side {
  return sideOf(parsed(text, name), name);
}

function parsed(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalid(name, "is no JSON", cause);
  }
}

/** The same of a dump that is parsed already. */
export function sideOf(json: unknown, name: string): Side {
  const top = membersOf(json, name, "the top");
  const head = top["vmschkmachine"];
  if (head === undefined) throw invalid(name, "is no dump: it has no vmschkmachine");
  const machine = textOf(membersOf(head, name, "vmschkmachine"), "Name", name, "vmschkmachine");
  const found: Found = { counts: false, types: false, priorities: false };
  const classes: CheckedClass[] = [];
  for (const [key, value] of Object.entries(top)) {
    if (key === "vmschkmachine") continue;
    const { Description } = membersOf(value, name, key);
    classes.push({ name: key, description: descriptionOf(Description, name, `${key}.Description`, found, 0) });
  }
  return { machine, classes, ...found, seen: undefined };
}

function descriptionOf(json: unknown, name: string, at: string, found: Found, depth: number): CheckedDescription {
  if (depth > deepest) throw invalid(name, `nests too deep at ${at}`);
  const members = membersOf(json, name, at);
  const { priority, ...more } = moreOf(members, name, at);
  if (priority !== undefined) found.priorities = true;
  return {
    name: textOf(members, "name", name, at),
    version: numberOf(members, "version_id", name, at),
    minimum: numberOf(members, "minimum_version_id", name, at),
    fields: listOf(members, "Fields", name, at).map((one, i) => fieldOf(one, name, `${at}.Fields[${i}]`, found, depth)),
    subsections: listOf(members, "Subsections", name, at).map((one, i) =>
      descriptionOf(one, name, `${at}.Subsections[${i}]`, found, depth + 1),
    ),
    priority: typeof priority === "string" ? priority : undefined,
    rule: textOfRule(more),
    sent: undefined,
  };
}

function fieldOf(json: unknown, name: string, at: string, found: Found, depth: number): CheckedField {
  const members = membersOf(json, name, at);
  const { num, Description } = members;
  const { type, since: _since, until, key: _key, ...more } = moreOf(members, name, at);
  if (num !== undefined) found.counts = true;
  if (type !== undefined) found.types = true;
  return {
    name: textOf(members, "field", name, at),
    since: numberOf(members, "version_id", name, at),
    until: typeof until === "number" ? until : undefined,
    conditional: members["field_exists"] === true && typeof until !== "number",
    bytes: numberOf(members, "size", name, at),
    exact: members["godwit"] !== undefined,
    count: num === undefined ? undefined : numberOf(members, "num", name, at),
    type: typeof type === "string" ? type : undefined,
    rule: textOfRule(more),
    sent: undefined,
    description:
      Description === undefined ? undefined : descriptionOf(Description, name, `${at}.Description`, found, depth + 1),
  };
}

/** What our own dumps have beyond QEMU's. */
function moreOf(members: Members, name: string, at: string): Members {
  return members["godwit"] === undefined ? {} : membersOf(members["godwit"], name, `${at}.godwit`);
}

/** What `num` and `size` say already is left out. */
function textOfRule(more: Members): string {
  const told = Object.entries(more).filter(([key, value]) => !(["count", "bytes"].includes(key) && !isRule(value)));
  return told.map(([key, value]) => `${key} ${JSON.stringify(value)}`).join(", ");
}

const isRule = (value: unknown) => typeof value !== "number";

function membersOf(json: unknown, name: string, at: string): Members {
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw invalid(name, `has no object at ${at}`);
  return json as Members;
}

function textOf(members: Members, key: string, name: string, at: string): string {
  const value = members[key];
  if (typeof value !== "string") throw invalid(name, `has no text "${key}" at ${at}`);
  return value;
}

function numberOf(members: Members, key: string, name: string, at: string): number {
  const value = members[key];
  if (typeof value !== "number" || !Number.isSafeInteger(value)) throw invalid(name, `has no number "${key}" at ${at}`);
  return value;
}

function listOf(members: Members, key: string, name: string, at: string): readonly unknown[] {
  const value = members[key] ?? [];
  if (!Array.isArray(value)) throw invalid(name, `has no list "${key}" at ${at}`);
  return value;
}

function invalid(name: string, why: string, cause?: unknown): MigrationError {
  return new MigrationError("DUMP_INVALID", `${name} ${why}`, { cause });
}
