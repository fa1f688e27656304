// Where two dumps of descriptions differ: the section, and the names from it to the field.

import { sameValue } from "@godwit/core";
import type { Dump, DumpDescription, DumpField, DumpSection } from "@godwit/core/tools";

export interface DumpDifference {
  /** The description's name. */
  readonly section: string;
  readonly path: string | undefined;
  readonly text: string;
}

/** The first one; undefined where the dumps say the same. The machine's name is none of it. */
export function dumpDifference(published: Dump, present: Dump): DumpDifference | undefined {
  const keys = new Set([...Object.keys(published), ...Object.keys(present)]);
  keys.delete("vmschkmachine");
  for (const section of keys) {
    const [a, b] = [published[section], present[section]] as (DumpSection | undefined)[];
    if (sameValue(a, b)) continue;
    if (a === undefined) return { section, path: undefined, text: "the section is new" };
    if (b === undefined) return { section, path: undefined, text: "the section is gone" };
    return { section, ...inDescription(a.Description, b.Description, undefined) };
  }
  return undefined;
}

type Place = Omit<DumpDifference, "section">;

function inDescription(a: DumpDescription, b: DumpDescription, path: string | undefined): Place {
  for (const what of ["name", "version_id", "minimum_version_id"] as const) {
    if (a[what] !== b[what]) return { path, text: `its ${what} was ${a[what]}, and is ${b[what]}` };
  }
  return (
    firstOf(a.Fields, b.Fields, (one) => one.field, path, inField) ??
    firstOf(a.Subsections, b.Subsections, (one) => one.name, path, inDescription) ?? {
      path,
      text: `it was ${JSON.stringify(a.godwit ?? {})}, and is ${JSON.stringify(b.godwit ?? {})}`,
    }
  );
}

function firstOf<T>(
  a: readonly T[] = [],
  b: readonly T[] = [],
  nameOf: (one: T) => string,
  path: string | undefined,
  within: (x: T, y: T, path: string) => Place,
): Place | undefined {
  const at = (one: T) => (path === undefined ? nameOf(one) : `${path}.${nameOf(one)}`);
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const [x, y] = [a[i], b[i]];
    if (sameValue(x, y)) continue;
    if (x === undefined) return { path: at(y as T), text: "it is new" };
    if (y === undefined) return { path: at(x), text: "it is gone" };
    if (nameOf(x) !== nameOf(y)) return { path: at(y), text: `it stands where ${nameOf(x)} stood` };
    return within(x, y, at(x));
  }
  return undefined;
}

function inField(
  { Description: inner, ...a }: DumpField,
  { Description: other, ...b }: DumpField,
  path: string,
): Place {
  if (inner !== undefined && other !== undefined && sameValue(a, b)) return inDescription(inner, other, path);
  return { path, text: `it was ${JSON.stringify(a)}, and is ${JSON.stringify(b)}` };
}
