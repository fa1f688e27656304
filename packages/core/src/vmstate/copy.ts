// A copy of a state by its description: what a live object has beside the described names stays out of it.
import type { Spec } from "./spec.ts";
import type { AnyRecord, Description, Field } from "./types.ts";
import { cloneValue } from "./values.ts";

/** The described names of a state, as they are: whether they could be written is not asked. */
export function copyState({ fields, subsections }: Description, state: AnyRecord): AnyRecord {
  const copy: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(fields)) {
    if (!key.startsWith("_")) copy[key] = copyField(field, state[key]);
  }
  for (const [key, { description }] of Object.entries(subsections)) copy[key] = copyBody(description, state[key]);
  return copy;
}

function copyBody(description: Description, value: unknown): unknown {
  return typeof value === "object" && value !== null ? copyState(description, value) : value;
}

function copyField(field: Field, value: unknown): unknown {
  const spec = field as Spec;
  switch (spec.kind) {
    case "named":
    case "checked":
    case "condition":
      return spec.element && copyField(spec.element, value);
    case "struct":
      return copyBody(spec.description, value);
    case "array":
    case "pointers":
      return Array.isArray(value) ? value.map((one) => copyField(spec.element, one)) : cloneValue(value);
    default:
      return cloneValue(value);
  }
}

const answers = new WeakMap<Description, boolean>();

/** Whether a state comes back from its own bytes as it was, whatever its values: nothing makes another one of it. */
export function returnsFromBytes(description: Description): boolean {
  let answer = answers.get(description);
  if (answer === undefined) {
    const { preSave, postLoad, fields, subsections } = description;
    answer =
      preSave === undefined &&
      postLoad === undefined &&
      Object.values(fields).every(fieldReturns) &&
      Object.values(subsections).every((one) => returnsFromBytes(one.description));
    answers.set(description, answer);
  }
  return answer;
}

function fieldReturns(field: Field): boolean {
  const spec = field as Spec;
  switch (spec.kind) {
    case "named":
    case "checked":
    case "condition":
      return spec.element === undefined || fieldReturns(spec.element);
    case "array":
    case "pointers":
      return fieldReturns(spec.element);
    case "struct":
      return returnsFromBytes(spec.description);
    case "custom":
      return spec.custom.marked !== undefined && fieldReturns(spec.custom.marked);
    default:
      return spec.kind !== "tmp";
  }
}
