// Sections as documents: one device's values as JSON, a section's body as bytes.
import { recordToJson } from "@godwit/core/tools";
import { CliFault } from "../faults.ts";
import { fieldsOf } from "../model/fields.ts";
import { sectionKeyOf } from "../model/named-section.ts";
import type { Section, StreamVisitor } from "../model/read-stream.ts";

/** Keeps the sections that a name may mean, and the keys of all. */
export class SectionFinder implements StreamVisitor {
  readonly #wanted: string;
  readonly #keys = new Map<string, { readonly key: string; readonly head: Section["head"] }>();
  readonly #candidates: Section[] = [];

  constructor(wanted: string) {
    this.#wanted = wanted;
  }

  section(section: Section): void {
    const { key, head } = section;
    this.#keys.set(key, { key, head });
    if (key === this.#wanted || head.idstr === this.#wanted) this.#candidates.push(section);
  }

  /** All parts of the one that is meant. Exit 2 for none, and for several. */
  found(): readonly Section[] {
    const key = sectionKeyOf(this.#wanted, [...this.#keys.values()]);
    return this.#candidates.filter((section) => section.key === key);
  }
}

/** The document of `--device`: its shape is in verbs/extract.ts. */
export function deviceDocument(sections: readonly Section[]): Record<string, unknown> {
  const section = sections.find(({ phase }) => phase === "full");
  const first = sections[0] as Section;
  if (section === undefined) {
    throw new CliFault("EXTRACT_ITERABLE", `${first.key} is sent in parts, and is no device's state`, {
      exit: 2,
      hint: first.ram === undefined ? "--raw gives its bytes" : "--ram gives its blocks",
    });
  }
  const { key, head, offset, bodyOffset, bodyBytes, delimitedBy } = section;
  const { by, plugin, description, record, fields, fault } = fieldsOf(section);
  const listed = fields.map(({ path, type, offset: at, value }) => ({ path, type, offset: at, value }));
  return {
    section: key,
    idstr: head.idstr,
    instance: head.instance,
    version: head.version,
    sectionId: head.sectionId,
    offset,
    bodyOffset,
    bodyBytes,
    delimitedBy,
    by,
    plugin: plugin ?? null,
    fault: fault === undefined ? null : { code: fault.code, message: fault.detail, path: fault.location.path ?? null },
    ...(description === undefined || record === undefined
      ? { record: null, fields: listed }
      : { record: recordToJson(description, record), fields: null }),
  };
}

/** The body; of a section in parts their bodies, one behind the other. */
export function rawBytes(sections: readonly Section[]): Uint8Array {
  const [first] = sections;
  if (first?.ram !== undefined) {
    throw new CliFault("EXTRACT_ITERABLE", "RAM is too much to be held as bytes", {
      exit: 2,
      hint: "--ram gives its blocks",
    });
  }
  return new Uint8Array(Buffer.concat(sections.map(({ body }) => body as Uint8Array)));
}
