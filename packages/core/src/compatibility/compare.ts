// Two descriptions of one section, in one direction: what the writer puts on the wire, and what the reader takes from it.
import { align, type Pairing } from "./align.ts";
import type { CheckCode, Condition } from "./codes.ts";
import type { Direction, Remark } from "./finding.ts";
import { type CheckedDescription, type CheckedField, isIn, isPadding, wireBytes } from "./model.ts";

export interface Comparison {
  readonly direction: Direction;
  readonly section: string;
  /** What must be so for the section to come at all. */
  readonly conditions: readonly Condition[];
  /** Whether each side's dump has array counts. */
  readonly counts: { readonly writer: boolean; readonly reader: boolean };
  /** The dumps are ours, and whole: an empty description has nothing to save. One of QEMU's may be of what cannot migrate. */
  readonly whole?: boolean;
  readonly remarks: Remark[];
}

interface Context extends Comparison {
  readonly path: readonly string[];
  readonly description: string;
  readonly nested: Nested | undefined;
}

/** Inside a struct: the two versions by which its fields were chosen, and the struct's type where one is known. */
interface Nested {
  readonly writerVersion: number;
  readonly readerVersion: number;
  readonly type: string | undefined;
}

/** A section, whose version stands in its head. */
export function compareSections(
  writer: CheckedDescription,
  reader: CheckedDescription,
  comparison: Comparison,
): readonly Remark[] {
  const context: Context = { ...comparison, path: [], description: writer.name, nested: undefined };
  if (writer.name !== reader.name) say(context, "SECTION_NAME", "", writer.name, reader.name);
  if (writer.priority !== undefined && reader.priority !== undefined && writer.priority !== reader.priority) {
    say(context, "PRIORITY", "", `priority ${writer.priority}`, `priority ${reader.priority}`);
  }
  if (writer.rule !== reader.rule) say(context, "SECTION_RULE", "", writer.rule, reader.rule);
  if (comparison.whole !== true && isEmpty(writer) !== isEmpty(reader)) {
    say(context, "DESCRIPTION_EMPTY", "", contentOf(writer), contentOf(reader));
    compareVersions(writer, reader, context);
  } else {
    compareHeaded(writer, reader, context);
  }
  return comparison.remarks;
}

const isEmpty = ({ fields, subsections }: CheckedDescription) => fields.length === 0 && subsections.length === 0;
const contentOf = (one: CheckedDescription) =>
  isEmpty(one) ? "nothing" : [...one.fields, ...one.subsections].map(({ name }) => name).join(", ");

/** A section or a subsection: the reader goes by the version that the writer gives. */
function compareHeaded(writer: CheckedDescription, reader: CheckedDescription, context: Context): void {
  if (!compareVersions(writer, reader, context)) return;
  compareBodies(writer, reader, writer.version, context);
}

/** Whether the reader takes that version at all. */
function compareVersions(writer: CheckedDescription, reader: CheckedDescription, context: Context): boolean {
  const versions = [versionsOf(writer), versionsOf(reader)] as const;
  if (writer.version > reader.version) say(context, "VERSION_TOO_NEW", "", ...versions);
  else if (writer.version < reader.minimum) say(context, "VERSION_TOO_OLD", "", ...versions);
  else if (writer.version !== reader.version) say(context, "VERSION_RAISED", "", ...versions);
  else if (writer.minimum !== reader.minimum) say(context, "MINIMUM_VERSION", "", ...versions);
  return writer.version <= reader.version && writer.version >= reader.minimum;
}

const versionsOf = ({ version, minimum }: CheckedDescription) => `version ${version}, minimum ${minimum}`;

/** `wanted`: the version by which the reader chooses its fields. */
function compareBodies(writer: CheckedDescription, reader: CheckedDescription, wanted: number, context: Context): void {
  const written = writer.fields.filter((field) => isIn(field, writer.version));
  const read = reader.fields.filter((field) => isIn(field, wanted));
  const later = reader.fields.filter((field) => !isIn(field, wanted));
  for (const pair of align(written, read, context.description)) comparePair(pair, later, context);
  compareLater(
    writer.fields,
    later.filter(({ since }) => since > wanted),
    written,
    context,
  );
  compareSubsections(writer.subsections, reader.subsections, context);
}

/** What the reader leaves out for the writer's version. QEMU has fields that are never sent: of versions above their own. */
function compareLater(
  fields: readonly CheckedField[],
  later: readonly CheckedField[],
  written: readonly CheckedField[],
  context: Context,
): void {
  for (const field of later) {
    if (written.some(({ name }) => name === field.name)) continue;
    const unsent = fields.find(({ name }) => name === field.name);
    if (unsent === undefined) sayFields(context, "FIELD_LATER", [], [field]);
    else if (unsent.since !== field.since) sayFields(context, "FIELD_SINCE_CHANGED", [unsent], [field]);
  }
}

function comparePair(pair: Pairing, later: readonly CheckedField[], context: Context): void {
  switch (pair.kind) {
    case "same":
      compareFields(pair.writer, pair.reader, context);
      break;
    case "renamed":
      sayFields(context, "FIELD_RENAMED", [pair.writer], [pair.reader]);
      compareFields(pair.writer, pair.reader, context);
      break;
    case "moved":
      sayFields(context, "FIELD_ORDER", [pair.writer], [pair.reader]);
      break;
    case "split":
      sayFields(context, "FIELD_SPLIT", pair.writer, pair.reader);
      break;
    case "to-padding":
      sayFields(context, "FIELD_TO_PADDING", pair.writer, [pair.reader]);
      break;
    case "from-padding":
      sayFields(context, "PADDING_TO_FIELD", [pair.writer], pair.reader);
      break;
    case "padding-size":
      comparePaddingSize(pair.writer, pair.reader, context);
      break;
    case "removed":
      sayRemoved(pair.writer, later, context);
      break;
    case "added":
      sayAdded(pair.reader, context);
      break;
  }
}

/** The other field may be an array, where its side's dump has no counts. */
function comparePaddingSize(writer: CheckedField, reader: CheckedField, context: Context): void {
  const { counts } = context;
  const known = isPadding(writer) ? counts.reader : counts.writer;
  sayFields(context, known ? "FIELD_SIZE" : "PADDING_SIZE", [writer], [reader]);
}

function sayRemoved(writer: CheckedField, later: readonly CheckedField[], context: Context): void {
  const since = later.find(({ name }) => name === writer.name);
  const { nested } = context;
  if (since !== undefined) {
    sayFields(context, "FIELD_SINCE", [writer], [since]);
  } else {
    const isLaterHere = nested !== undefined && isLater(writer, nested.readerVersion);
    const code = isLaterHere ? laterCode(nested, "FIELD_REMOVED") : codeBySent(writer, "FIELD_REMOVED");
    if (code !== undefined) sayFields(context, code, [writer], []);
  }
}

function sayAdded(reader: CheckedField, context: Context): void {
  const { nested } = context;
  const isLaterHere = nested !== undefined && isLater(reader, nested.writerVersion);
  const code = isLaterHere ? laterCode(nested, "FIELD_ADDED") : codeBySent(reader, "FIELD_ADDED");
  if (code !== undefined) sayFields(context, code, [], [reader]);
}

/** A field's test says what no dump holds, unless a stream showed it. */
function codeBySent(
  { conditional, sent }: CheckedField,
  plain: "FIELD_ADDED" | "FIELD_REMOVED",
): CheckCode | undefined {
  if (!conditional || sent === true) return plain;
  return sent === undefined ? `${plain}_CONDITIONAL` : undefined;
}

const isLater = ({ conditional, since }: CheckedField, version: number) => !conditional && since > version;

/** Whether a struct goes by its own version or by one that the description around it names, only types tell. */
function laterCode({ type }: Nested, plain: CheckCode): CheckCode {
  if (type === undefined) return "FIELD_LATER_IN_STRUCT";
  return type === "vstruct" ? "FIELD_LATER" : plain;
}

/** A field of both. */
function compareFields(writer: CheckedField, reader: CheckedField, context: Context): void {
  if (writer.since !== reader.since || writer.until !== reader.until) {
    sayFields(context, "FIELD_SINCE_CHANGED", [writer], [reader]);
  }
  if (writer.rule !== reader.rule) say(context, "FIELD_RULE", writer.name, writer.rule, reader.rule);
  if (writer.conditional !== reader.conditional && (writer.conditional ? writer : reader).sent !== true) {
    sayFields(context, "FIELD_CONDITION", [writer], [reader]);
  }
  compareCounts(writer, reader, context);
  if (writer.description !== undefined && reader.description !== undefined) {
    compareStructs(writer, reader, writer.description, reader.description, context);
  } else if (writer.description !== undefined || reader.description !== undefined) {
    const bytes = [wireBytes(writer), wireBytes(reader)];
    const alike = bytes[0] !== undefined && bytes[0] === bytes[1];
    sayFields(context, alike ? "FIELD_RESHAPED" : "FIELD_KIND", [writer], [reader]);
  } else {
    compareLeaves(writer, reader, context);
  }
}

function compareCounts(writer: CheckedField, reader: CheckedField, context: Context): void {
  const [a, b] = [writer.count, reader.count];
  if (a === b) return;
  if (a !== undefined && b !== undefined) {
    sayFields(context, "FIELD_COUNT", [writer], [reader]);
  } else if (context.counts.writer && context.counts.reader && (a ?? b) !== 1) {
    sayFields(context, "FIELD_COUNT_CHANGES", [writer], [reader]);
  }
}

function compareLeaves(writer: CheckedField, reader: CheckedField, context: Context): void {
  const typed = writer.type !== undefined && reader.type !== undefined;
  if (writer.bytes !== reader.bytes && !(typed && writer.type === reader.type && !isSizedByType(writer))) {
    sayFields(context, isSizeInMemory(writer, reader) ? "FIELD_SIZE_UNKNOWN" : "FIELD_SIZE", [writer], [reader]);
  } else if (typed && writer.type !== reader.type) {
    sayFields(context, unsigned(writer) === unsigned(reader) ? "FIELD_SIGN" : "FIELD_TYPE", [writer], [reader]);
  }
}

const unsigned = ({ type = "" }: CheckedField) => type.replace(/^u(?=int)/, "");

/** Lists, timers and what a device writes itself have a size in memory in a dump; numbers and buffers that of the wire. */
const isSizedByType = ({ type, exact }: CheckedField) =>
  exact || type === undefined || /^(u?int|bool|buffer|unused|CPU_D)/.test(type);

/** A QEMUTimer by pointer or by value: eight bytes on the wire both times. */
const timerBytes: readonly number[] = [8, 48];

function isSizeInMemory(a: CheckedField, b: CheckedField): boolean {
  if (a.bytes === 0 || b.bytes === 0) return true;
  if (!isSizedByType(a) || !isSizedByType(b)) return true;
  return a.type === undefined && b.type === undefined && timerBytes.includes(a.bytes) && timerBytes.includes(b.bytes);
}

function compareStructs(
  field: CheckedField,
  readField: CheckedField,
  writer: CheckedDescription,
  reader: CheckedDescription,
  outer: Context,
): void {
  const typed = field.type !== undefined && readField.type !== undefined;
  if (typed && field.type !== readField.type) sayFields(outer, "FIELD_TYPE", [field], [readField]);
  const context: Context = {
    ...outer,
    path: [...outer.path, field.name],
    description: writer.name,
    conditions: field.conditional && field.sent !== true ? withCondition(outer, "test") : outer.conditions,
    nested: {
      writerVersion: writer.version,
      readerVersion: reader.version,
      type: field.type ?? readField.type,
    },
  };
  if (writer.name !== reader.name) say(context, "NESTED_NAME", "", writer.name, reader.name);
  if (writer.version !== reader.version || writer.minimum !== reader.minimum) {
    say(context, "NESTED_VERSION", "", versionsOf(writer), versionsOf(reader));
  }
  compareBodies(writer, reader, reader.version, context);
}

const withCondition = ({ conditions }: Context, one: Condition): readonly Condition[] =>
  conditions.includes(one) ? conditions : [...conditions, one];

function compareSubsections(
  written: readonly CheckedDescription[],
  read: readonly CheckedDescription[],
  outer: Context,
): void {
  const readers = new Map(read.map((one) => [one.name, one]));
  const writers = new Set(written.map(({ name }) => name));
  for (const writer of written) {
    const reader = readers.get(writer.name);
    const conditions = writer.sent === true ? outer.conditions : withCondition(outer, "subsection");
    if (reader === undefined) {
      const code = outer.conditions.includes("state") ? "SUBSECTION_NOT_SEEN" : "SUBSECTION_REMOVED";
      say({ ...outer, conditions }, code, writer.name, contentOf(writer), "");
    } else {
      const path = [...outer.path, writer.name];
      const context: Context = { ...outer, conditions, path, description: writer.name, nested: undefined };
      compareHeaded(writer, reader, context);
    }
  }
  for (const { name } of read) {
    if (!writers.has(name))
      say(outer, "SUBSECTION_ADDED", name, "", contentOf(readers.get(name) as CheckedDescription));
  }
  const orders = [written.filter(({ name }) => readers.has(name)), read.filter(({ name }) => writers.has(name))];
  const [a = "", b = ""] = orders.map((order) => order.map(({ name }) => name).join(", "));
  if (a !== b) say(outer, "SUBSECTION_ORDER", "", a, b);
}

function sayFields(
  context: Context,
  code: CheckCode,
  writer: readonly CheckedField[],
  reader: readonly CheckedField[],
): void {
  const [of = []] = [writer, reader].filter((fields) => fields.some((field) => !isPadding(field)));
  const subject = (of.length > 0 ? of : [...writer, ...reader]).map(({ name }) => name).join(", ");
  say(context, code, subject, writer.map(shapeOf).join(", "), reader.map(shapeOf).join(", "));
}

function shapeOf({ name, since, until, conditional, bytes, count, type, description }: CheckedField): string {
  const what = description === undefined ? `${bytes === 0 ? "?" : bytes} B` : `struct ${description.name}`;
  const rest = [
    type !== undefined && type,
    since > 0 && `since ${since}`,
    until !== undefined && `until ${until}`,
    conditional && "if a test says so",
  ].filter((one) => one !== false);
  return [`${name}: ${what}${count === undefined ? "" : ` x ${count}`}`, ...rest].join(", ");
}

function say(context: Context, code: CheckCode, subject: string, writer: string, reader: string): void {
  const { direction, section, path, description, conditions } = context;
  context.remarks.push({
    code,
    direction,
    section,
    path: path.join("/"),
    description,
    subject,
    writer,
    reader,
    conditions,
  });
}
