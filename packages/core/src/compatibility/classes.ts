// Two sides' device classes: which are on one side only, and how the sections of the others compare.
import { compareSections } from "./compare.ts";
import type { Direction, Remark } from "./finding.ts";
import type { CheckedClass, Side } from "./model.ts";

/** What of two sides is looked at. */
export interface ClassChoice {
  readonly isChosen: (one: CheckedClass) => boolean;
  /** Whether what is chosen is known to be in the machine. */
  readonly present: boolean;
  /** See `Comparison`. */
  readonly whole?: boolean;
}

export function compareClasses(writer: Side, reader: Side, direction: Direction, choice: ClassChoice): Remark[] {
  const remarks: Remark[] = [];
  const { whole = false } = choice;
  const conditions = choice.present ? [] : (["device"] as const);
  const readers = new Map(reader.classes.map((one) => [one.name, one]));
  const seen = new Set(reader.seen?.map(({ name }) => name));
  const writers = new Set(writer.classes.map(({ name }) => name));
  const counts = { writer: writer.counts, reader: reader.counts };
  const about = { direction, path: "", description: "", subject: "", writer: "", reader: "" };
  for (const { name: section, description } of writer.classes.filter(choice.isChosen)) {
    const same = readers.get(section);
    const found = (same === undefined ? heirsOf(description.name, reader) : [same]).map((one) =>
      compareSections(description, one.description, { direction, section, conditions, counts, whole, remarks: [] }),
    );
    // A section's name says which description reads it, and of several that have it, nothing says which it is.
    const [fewest] = [...found].sort((a, b) => a.length - b.length);
    remarks.push(...(fewest ?? []));
    if (same !== undefined) continue;
    const isRead = fewest !== undefined || seen.has(description.name);
    if (isRead) remarks.push({ ...about, code: "SECTION_CLASS", section, conditions: [] });
    else remarks.push({ ...about, code: "SECTION_REMOVED", section, conditions });
  }
  for (const { name: section } of reader.classes.filter(choice.isChosen)) {
    if (!writers.has(section)) remarks.push({ ...about, code: "SECTION_ADDED", section, conditions: [] });
  }
  return remarks;
}

const heirsOf = (name: string, { classes }: Side) => classes.filter(({ description }) => description.name === name);
