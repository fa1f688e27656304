// Two sections of one name, compared field by field.
import { type FieldValue, fieldsByBytes, fieldsByVmdesc, fieldsOf, type SectionFields } from "../model/fields.ts";
import type { Section } from "../model/read-stream.ts";
import { namesFor } from "../names/names.ts";
import { sameBytes } from "./bytes.ts";
import type { FieldDifference, SectionDifference } from "./difference.ts";
import { fieldDifference } from "./fields.ts";
import type { Ignoring } from "./ignore.ts";

interface SectionsCompared {
  /** Undefined where nothing differs but what is ignored. */
  readonly difference: SectionDifference | undefined;
  readonly ignored: number;
}

const nothing = new Uint8Array(0);

export function compareSections(a: Section, b: Section, ignore: Ignoring): SectionsCompared {
  const isSame = sameBytes(a.body ?? nothing, b.body ?? nothing);
  if (isSame && a.head.version === b.head.version) return { difference: undefined, ignored: 0 };
  let ignored = 0;
  const keeps = (path: string): boolean => {
    if (!ignore.field(a.key, path)) return true;
    ignored++;
    return false;
  };
  const [fieldsA, fieldsB] = sameBasis(a, b);
  const onlyInA = onlyIn(fieldsA, fieldsB);
  const onlyInB = onlyIn(fieldsB, fieldsA);
  const subsectionsOnlyInA = onlyInA.filter(keeps);
  const subsectionsOnlyInB = onlyInB.filter(keeps);
  const found = isSame ? [] : compareFields(a, b, fieldsA, fieldsB, [...onlyInA, ...onlyInB]);
  let fields: readonly FieldDifference[] = found.filter(({ path }) => keeps(path));
  // Bytes that no field is for, padding or the version of a subsection, are told as bytes.
  if (!isSame && found.length + onlyInA.length + onlyInB.length === 0) {
    fields = compareFields(a, b, fieldsByBytes(a), fieldsByBytes(b), []).filter(({ path }) => keeps(path));
  }
  const hasVersion = a.head.version !== b.head.version && keeps("version");
  if (!hasVersion && subsectionsOnlyInA.length + subsectionsOnlyInB.length + fields.length === 0) {
    return { difference: undefined, ignored };
  }
  return {
    difference: {
      section: a.key,
      by: fieldsA.by,
      ...(hasVersion && { version: { a: a.head.version, b: b.head.version } }),
      subsectionsOnlyInA,
      subsectionsOnlyInB,
      fields,
    },
    ignored,
  };
}

/** Paths are the same only where both are read by the same plugin, whatever its dialect, or both by a vmdesc. */
function sameBasis(a: Section, b: Section): readonly [SectionFields, SectionFields] {
  const read = [fieldsOf(a), fieldsOf(b)] as const;
  if (read[0].by === read[1].by && read[0].plugin === read[1].plugin) return read;
  const listed = [fieldsByVmdesc(a), fieldsByVmdesc(b)] as const;
  return listed[0].by === listed[1].by ? listed : [fieldsByBytes(a), fieldsByBytes(b)];
}

/** Subsections that the other side lacks, without those inside of them. */
function onlyIn(own: SectionFields, other: SectionFields): string[] {
  const there = new Set(other.subsections);
  const missing = own.subsections.filter((path) => !there.has(path));
  return missing.filter((path) => !missing.some((outer) => path !== outer && path.startsWith(`${outer}.`)));
}

function compareFields(
  a: Section,
  b: Section,
  fieldsA: SectionFields,
  fieldsB: SectionFields,
  without: readonly string[],
): FieldDifference[] {
  // The version at the top is the section's own, and is told as such.
  const counts = ({ path }: FieldValue): boolean =>
    path !== "$version" && !without.some((outer) => path.startsWith(`${outer}.`));
  const inB = new Map(fieldsB.fields.filter(counts).map((field) => [field.path, field]));
  const namesA = namesFor(a.head.idstr);
  const namesB = namesFor(b.head.idstr);
  const found: FieldDifference[] = [];
  for (const field of fieldsA.fields) {
    if (!counts(field)) continue;
    const difference = fieldDifference(field, inB.get(field.path), namesA, namesB);
    inB.delete(field.path);
    if (difference !== undefined) found.push(difference);
  }
  for (const field of inB.values()) found.push(fieldDifference(undefined, field, namesA, namesB) as FieldDifference);
  return found;
}
