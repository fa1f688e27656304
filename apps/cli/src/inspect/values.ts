// The values of a section, as they are asked for: chosen by path, with names, and with what is not to be shown left out.
import type { MigrationError } from "@godwit/core";
import { type FieldValue, fieldsOf } from "../model/fields.ts";
import { globMatcher } from "../model/glob.ts";
import type { Section } from "../model/read-stream.ts";
import { namesFor } from "../names/names.ts";
import type { InspectedField } from "./inspection.ts";
import { mayShow } from "./redact.ts";

/** By `--path`: the path alone, or `SECTION#path`. All, if there is no glob. */
function fieldMatcher(globs: readonly string[]): (section: string, path: string) => boolean {
  if (globs.length === 0) return () => true;
  const matchers = globs.map((glob) => ({ matches: globMatcher(glob), whole: glob.includes("#") }));
  return (section, path) => matchers.some(({ matches, whole }) => matches(whole ? `${section}#${path}` : path));
}

/** The values of a section that are asked for, and why its description was not used. */
export type ValuesOf = (section: Section) => {
  readonly fields: readonly InspectedField[];
  readonly fault: MigrationError | undefined;
};

export function valuesOf(paths: readonly string[], redact: boolean): ValuesOf {
  const wants = fieldMatcher(paths);
  return (section) => {
    const { fields, plugin, fault } = fieldsOf(section);
    const names = namesFor(section.head.idstr);
    const wanted = fields.filter(({ path }) => wants(section.key, path));
    return { fields: wanted.map((field) => inspected(field, plugin, names, redact)), fault };
  };
}

function inspected(
  field: FieldValue,
  plugin: string | undefined,
  namesOf: ReturnType<typeof namesFor>,
  redact: boolean,
): InspectedField {
  const { path, type, offset, value } = field;
  const show = !redact || mayShow(plugin, field);
  const named = namesOf(field).filter((part) => !redact || (part.isPrivate !== true && (part.path !== "" || show)));
  return {
    path,
    ...(type !== undefined && { type }),
    ...(offset !== undefined && { offset }),
    ...(show ? { value } : { redacted: true as const }),
    ...(value instanceof Uint8Array && { bytes: value.length }),
    ...(named.length > 0 && {
      names: named.map(({ path: at, value: own, names }) => ({ path: at, value: own, names })),
    }),
  };
}
