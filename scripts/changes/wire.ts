// The difference of two dumps: every place where the wire, or what is taken from it, is another. `comparePublished` of
// `@godwit/core/compatibility` tells which of them break a save; these are all of them.
import type { Dump, DumpDescription, DumpField, DumpSection } from "@godwit/core/tools";

export interface WireChange {
  /** The dump's key: the section's description, with `~2` where there are several of that name. */
  readonly section: string;
  /** The innermost description. */
  readonly description: string;
  /** Empty where the description itself is meant. */
  readonly field: string;
  /** What the published version has there, and what is there now; empty for nothing. */
  readonly published: string;
  readonly present: string;
}

interface Entry {
  readonly description: string;
  readonly field: string;
  readonly text: string;
  /** Key of the entry that holds this one. */
  readonly within: string | undefined;
}

/** What stands in a section, by place, with the order of the fields and subsections of each description. */
interface Content {
  readonly entries: Map<string, Entry>;
  readonly orders: Map<string, readonly string[]>;
}

export function wireChanges(published: Dump, present: Dump): WireChange[] {
  const [before, after] = [sectionsOf(published), sectionsOf(present)];
  return [...new Set([...before.keys(), ...after.keys()])].flatMap((section) => {
    const [old, now] = [before.get(section), after.get(section)];
    if (old !== undefined && now !== undefined) return compare(section, contentOf(old), contentOf(now));
    const { name } = (old ?? now) as DumpDescription;
    const text = (one: DumpDescription | undefined) => (one === undefined ? "" : headOf(one));
    return [{ section, description: name, field: "", published: text(old), present: text(now) }];
  });
}

function sectionsOf(dump: Dump): Map<string, DumpDescription> {
  const sections = Object.entries(dump).filter(([key]) => key !== "vmschkmachine");
  return new Map(sections.map(([key, section]) => [key, (section as DumpSection).Description]));
}

function compare(section: string, old: Content, now: Content): WireChange[] {
  const changes: WireChange[] = [];
  for (const key of new Set([...old.entries.keys(), ...now.entries.keys()])) {
    const [a, b] = [old.entries.get(key), now.entries.get(key)];
    if (a?.text === b?.text) continue;
    const { description, field, within } = (a ?? b) as Entry;
    // What stands inside of something that came or went is told with it.
    const isTold = within !== undefined && !(a === undefined ? old : now).entries.has(within);
    if (!isTold) changes.push({ section, description, field, published: a?.text ?? "", present: b?.text ?? "" });
  }
  for (const [key, names] of old.orders) {
    const later = now.orders.get(key);
    if (later === undefined) continue;
    const texts = [names.filter((one) => later.includes(one)), later.filter((one) => names.includes(one))].map(
      (order) => order.join(", "),
    );
    const [published = "", present = ""] = texts;
    const { description } = old.entries.get(key) as Entry;
    if (published !== present) changes.push({ section, description, field: "(order)", published, present });
  }
  return changes;
}

function contentOf(description: DumpDescription): Content {
  const content: Content = { entries: new Map(), orders: new Map() };
  addDescription(content, description, "", undefined);
  return content;
}

function addDescription(content: Content, of: DumpDescription, key: string, within: string | undefined): void {
  const { name, Fields = [], Subsections = [] } = of;
  content.entries.set(key, { description: name, field: "", text: headOf(of), within });
  const order: string[] = [];
  for (const field of Fields) {
    // Paddings have one name.
    const times = order.filter((one) => one === field.field || one.startsWith(`${field.field} (`)).length;
    const label = times === 0 ? field.field : `${field.field} (${times + 1})`;
    order.push(label);
    const place = `${key} > field ${label}`;
    content.entries.set(place, { description: name, field: label, text: textOf(field), within: key });
    if (field.Description !== undefined) addDescription(content, field.Description, `${place} > struct`, place);
  }
  for (const one of Subsections) {
    order.push(`subsection ${one.name}`);
    addDescription(content, one, `${key} > subsection ${one.name}`, key);
  }
  content.orders.set(key, order);
}

function headOf({ name, version_id, minimum_version_id, godwit = {} }: DumpDescription): string {
  return `${name}, version ${version_id}, minimum ${minimum_version_id}${moreOf(godwit)}`;
}

/** The key is a state's, and not the wire's. */
function textOf({ field, version_id, field_exists, num, size, Description, godwit }: DumpField): string {
  const { key: _key, type = "?", ...more } = godwit ?? {};
  const told = { ...(version_id > 0 && { since: version_id }), ...(field_exists && { exists: "record" }), ...more };
  const what = Description === undefined ? type : `${type} ${Description.name}`;
  return `${field}: ${what}, ${size} B${num === undefined ? "" : ` x ${num}`}${moreOf(told)}`;
}

function moreOf(members: object): string {
  return Object.entries(members)
    .filter(([, value]) => value !== undefined && value !== false)
    .map(([key, value]) => `, ${key} ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join("");
}
