// The reference page of a description, in Markdown: what stands on the wire, field by field.
import type { Count, Description } from "../vmstate/types.ts";
import { textOf } from "./dump.ts";
import { descriptionIn, type FieldOutline, type Form, fixedBody, fixedBytes, outlineOf } from "./outline.ts";

export interface MarkdownOptions {
  /** Level of the first heading, 1 to 4. The default is 1. */
  readonly level?: number;
}

/**
 * A page: versions and order, a table of fields (offset where it is always the same, wire name, type, bytes, when it is
 * there, what it may be), the subsections, and each nested description once, in the order in which they are met.
 */
export function markdownOf(description: Description, { level = 1 }: MarkdownOptions = {}): string {
  return new Page(level).of(description);
}

class Page {
  readonly #level: number;
  /** What is spelled out already, or will be. */
  readonly #known = new Set<Description>();
  readonly #waiting: Description[] = [];

  constructor(level: number) {
    this.#level = level;
  }

  of(description: Description): string {
    this.#known.add(description);
    const blocks = this.#section(description, this.#level, facts(description));
    for (let nested = this.#waiting.shift(); nested !== undefined; nested = this.#waiting.shift()) {
      blocks.push(
        ...this.#section(nested, this.#level + 1, ["Stands inside of other descriptions, without a header."]),
      );
    }
    return `${blocks.join("\n\n")}\n`;
  }

  #section(description: Description, level: number, says: readonly string[]): string[] {
    const { name, version, minimumVersion, subsections } = description;
    const bytes = fixedBody(description, version);
    const versions =
      minimumVersion === version ? `Version ${version}` : `Version ${version}; read from ${minimumVersion} on`;
    const size = bytes === undefined ? "its size depends on the record" : `${bytes} ${bytes === 1 ? "byte" : "bytes"}`;
    const fields = outlineOf(description);
    const blocks = [
      `${"#".repeat(Math.min(level, 6))} ${code(name)}`,
      [`${versions}; ${size}.`, ...says].join(" "),
      ...(fields.length === 0 ? ["No fields."] : [this.#table(fields, version)]),
    ];
    for (const [key, part] of Object.entries(subsections)) {
      this.#known.add(part.description);
      const own = `Subsection ${code(key)} of ${code(name)}; comes only where it is needed.`;
      blocks.push(...this.#section(part.description, level + 1, [own]));
    }
    return blocks;
  }

  #table(fields: readonly FieldOutline[], version: number): string {
    const rows = ["| offset | field | type | bytes | there | notes |", "| --: | --- | --- | --: | --- | --- |"];
    let offset: number | undefined = 0;
    for (const outline of fields) {
      const { form } = outline;
      const bytes = form && fixedBytes(form);
      const notes = this.#notes(outline);
      const size = form === undefined ? "0" : bytes === undefined ? sizeText(form) : String(bytes);
      rows.push(
        row([
          offset === undefined ? "" : String(offset),
          code(outline.name),
          typeText(outline),
          size,
          there(outline),
          notes,
        ]),
      );
      offset = after(outline, offset, version);
    }
    return rows.join("\n");
  }

  #notes({ key, name, padding, form, checks }: FieldOutline): string {
    const notes: string[] = [];
    if (padding && form !== undefined) notes.push("means nothing");
    else if (form === undefined) notes.push("a test of the fields before it");
    else if (key !== name) notes.push(`${code(key)} in a state`);
    for (const { expected, code: kind } of checks) {
      const text = textOf(expected);
      if (kind === "FIELD_UNEQUAL") notes.push(`must be ${text ?? "equal on both sides"}`);
      else notes.push(text ?? "checked against the record");
    }
    const inner = form && descriptionIn(form);
    if (inner !== undefined) {
      notes.push(`see ${code(inner.name)}`);
      if (!this.#known.has(inner)) this.#waiting.push(inner);
      this.#known.add(inner);
    }
    return notes.join("; ");
  }
}

function facts({ priority, earlySetup, unmigratable, needed }: Description): string[] {
  return [
    `Priority ${code(priority)}.`,
    ...(earlySetup ? ["Sent before the first page."] : []),
    ...(needed === undefined ? [] : ["Sent only where the state needs it."]),
    ...(unmigratable === undefined ? [] : [`Cannot migrate: ${unmigratable}.`]),
  ];
}

function typeText({ type, form }: FieldOutline): string {
  if (form === undefined) return "";
  if (form.kind !== "array" && form.kind !== "pointers") return code(type);
  return `${code(type)} × ${countText(form.count)}${form.kind === "pointers" ? ", some null" : ""}`;
}

function sizeText(form: Form): string {
  if ((form.kind === "bytes" || form.kind === "unused") && typeof form.size === "string") return code(form.size);
  return "varies";
}

function countText(count: Count): string {
  return typeof count === "number" ? String(count) : typeof count === "string" ? code(count) : "varies";
}

function there({ since, until, tested, mustExist, form }: FieldOutline): string {
  if (mustExist) return form === undefined ? "" : "must be";
  if (since !== undefined) return `from version ${since} on`;
  if (until !== undefined) return `before version ${until}`;
  return tested ? "as the record says" : "always";
}

/** Where the next field begins in the newest version. */
function after(
  { form, since = 0, until, tested, mustExist }: FieldOutline,
  offset: number | undefined,
  version: number,
): number | undefined {
  if (form === undefined || version < since || (until !== undefined && version >= until)) return offset;
  const bytes = fixedBytes(form);
  if (offset === undefined || bytes === undefined || (tested && !mustExist)) return undefined;
  return offset + bytes;
}

const row = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
const code = (text: string): string => `\`${text.replaceAll("`", "'")}\``;
