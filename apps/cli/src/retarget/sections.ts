// Which sections, subsections and versions of a stream the destination does not read, and what is lost with them.
import { isMigrationError, type WireRecord } from "@godwit/core";
import { sameValue } from "@godwit/core/codec";
import type { CheckedDescription, Side } from "@godwit/core/compatibility";
import { layoutByVmdesc, valueToJson } from "@godwit/core/tools";
import type { Edit, Loss } from "../edit/edit.ts";
import { type FieldValue, leaves, type SectionFields } from "../model/fields.ts";
import type { DecodedSection, DecodedTarget } from "./decoded.ts";
import { dumped, namesOf, subsectionNames } from "./dumped.ts";
import { isOutsideDumps } from "./outside-dumps.ts";
import type { Refusal } from "./types.ts";

export interface SectionPlan {
  readonly edits: Edit[];
  readonly losses: Loss[];
  readonly refusals: Refusal[];
  readonly notes: string[];
}

/** Of one section. `target`: what the destination has saved knows what its dump may not. */
function planSection(section: DecodedSection, dump: Side, target: DecodedTarget | undefined): SectionPlan {
  const plan: SectionPlan = { edits: [], losses: [], refusals: [], notes: [] };
  const { key } = section;
  const known = dumped(dump, section);
  if (known.length === 0) {
    if (isOutsideDumps(namesOf(section)) || hasSaved(target, section)) return plan;
    plan.edits.push({ kind: "drop-section", section: key });
    plan.losses.push(
      ...orItself(
        section,
        "",
        lost(section, () => true, undefined),
      ),
    );
    plan.notes.push(`${key}: the destination's dump has no device class that writes such a section`);
    return plan;
  }
  planVersion(section, known, plan);
  planSubsections(section, known, plan);
  return plan;
}

const hasSaved = (target: DecodedTarget | undefined, { key, head }: DecodedSection): boolean =>
  target?.sections?.some((one) => one.key === key) === true ||
  target?.vmdesc?.devices.some((one) => one.name === head.idstr && one.instance_id === head.instance) === true;

function planVersion(section: DecodedSection, known: readonly CheckedDescription[], plan: SectionPlan): void {
  const { key, head } = section;
  const newest = Math.max(...known.map(({ version }) => version));
  const oldest = Math.min(...known.map(({ minimum }) => minimum));
  if (head.version < oldest) {
    plan.refusals.push({
      kind: "version",
      section: key,
      register: undefined,
      found: `version ${head.version}`,
      destination: `reads versions ${oldest} to ${newest}`,
      why: "the section was written in a version that the destination no longer reads",
    });
  } else if (head.version > newest) {
    const own = known.find(({ version }) => version === newest) as CheckedDescription;
    plan.losses.push(...lostByVersion(section, own, newest));
    if (section.fields().description !== undefined) plan.edits.push({ kind: "version", section: key, version: newest });
    else {
      plan.refusals.push({
        kind: "version",
        section: key,
        register: undefined,
        found: `version ${head.version}`,
        destination: `reads versions ${oldest} to ${newest}`,
        why: "nothing describes the section, so that it cannot be written in an older version (--plugin brings descriptions)",
      });
    }
  }
}

/** Fields that came after that version; by our description where one fits, else those that the destination does not name. */
function lostByVersion(section: DecodedSection, own: CheckedDescription, version: number): Loss[] {
  const { listed } = section;
  const names = new Set(own.fields.filter(({ since }) => since <= version).map(({ name }) => name));
  if (listed?.fields === undefined) return lost(section, () => true, undefined);
  return listed.fields
    .filter(({ name }) => !names.has(name))
    .flatMap(({ name }) => lost(section, ({ path }) => isBelow(path, name), undefined));
}

function planSubsections(section: DecodedSection, known: readonly CheckedDescription[], plan: SectionPlan): void {
  const { key } = section;
  const names = new Set(known.flatMap((one) => [...subsectionNames(one)]));
  const dropped: Place[] = [];
  for (const place of subsectionsOf(section, plan)) {
    // One that holds others takes them along.
    if (names.has(place.name) || dropped.some(({ path }) => isBelow(place.path, path))) continue;
    plan.losses.push(...orItself(section, place.path, lostSubsection(section, place)));
    // Elements of an array each have theirs, and an edit is about all of a name.
    if (!dropped.some(({ name }) => name === place.name)) {
      plan.edits.push({ kind: "drop-subsection", section: key, subsection: place.name });
    }
    dropped.push(place);
  }
}

interface Place {
  readonly name: string;
  /** Where its values' paths begin, by the vmdesc. */
  readonly path: string;
}

/** As the vmdesc lists them; without one, those that our description knows on its first level. */
function subsectionsOf(section: DecodedSection, plan: SectionPlan): readonly Place[] {
  const { listed, body, key } = section;
  if (listed !== undefined && body !== undefined) {
    const { subsections, complete } = layoutByVmdesc(listed, body);
    if (!complete) plan.notes.push(`${key}: its vmdesc leaves bytes open, in which subsections may stand`);
    return subsections;
  }
  const { description, record } = section.fields();
  return Object.entries(description?.subsections ?? {})
    .filter(([own]) => record?.[own] !== undefined)
    .map(([path, one]) => ({ name: one.description.name, path }));
}

/** What has no values tells by being there, and nobody knows what the destination does without it. */
function orItself({ key }: DecodedSection, path: string, losses: readonly Loss[]): readonly Loss[] {
  return losses.length > 0 ? losses : [{ section: key, path, value: {}, absent: undefined, safe: false }];
}

/** What the destination takes where a subsection does not come: only our own description tells that. */
function lostSubsection(section: DecodedSection, { name, path }: Place): Loss[] {
  const { description, record } = section.fields();
  const [own] = Object.entries(description?.subsections ?? {}).find(([, one]) => one.description.name === name) ?? [];
  if (description === undefined || record === undefined || own === undefined) {
    return lost(section, (one) => isBelow(one.path, path), undefined);
  }
  return lost(section, (one) => isBelow(one.path, own), absentOf(description, record, own, section.head.version));
}

function absentOf(
  description: NonNullable<SectionFields["description"]>,
  record: WireRecord,
  own: string,
  version: number,
): ReadonlyMap<string, unknown> | undefined {
  const absent = description.subsections[own]?.absent;
  const value = typeof absent === "function" ? absent({ record, parent: undefined, version }) : absent;
  return value === undefined ? undefined : new Map([...leaves(value, own)].map((one) => [one.path, one.value]));
}

const isBelow = (path: string, top: string): boolean =>
  path === top || path.startsWith(`${top}.`) || path.startsWith(`${top}[`);

/** `absent`: by path; undefined where nobody knows it. */
function lost(
  section: DecodedSection,
  isLost: (field: FieldValue) => boolean,
  absent: ReadonlyMap<string, unknown> | undefined,
): Loss[] {
  return section
    .fields()
    .fields.filter(isLost)
    .filter(({ path }) => !path.split(".").some((name) => name.startsWith("$")))
    .map(({ path, value }) => {
      const isKnown = absent?.has(path) === true;
      const other = isKnown ? absent?.get(path) : undefined;
      return {
        section: section.key,
        path,
        value: valueToJson(value),
        absent: isKnown ? valueToJson(other) : undefined,
        safe: isKnown && sameValue(value, other),
      };
    });
}

/** A vmdesc that does not fit the section's bytes hides its subsections; the stream itself may be in order. */
export function planSections(
  sections: readonly DecodedSection[],
  dump: Side,
  target: DecodedTarget | undefined,
): SectionPlan {
  const plan: SectionPlan = { edits: [], losses: [], refusals: [], notes: [] };
  const seen = new Set<string>();
  for (const section of sections) {
    if (seen.has(section.key)) continue;
    try {
      const own = planSection(section, dump, target);
      plan.edits.push(...own.edits);
      plan.losses.push(...own.losses);
      plan.refusals.push(...own.refusals);
      plan.notes.push(...own.notes);
    } catch (error) {
      if (!isMigrationError(error)) throw error;
      plan.notes.push(`${section.key}: not looked into: ${error.message}`);
    }
    seen.add(section.key);
  }
  return plan;
}
