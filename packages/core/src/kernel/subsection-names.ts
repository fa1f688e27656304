// Which subsections a section of a description may hold, at whatever depth.
import type { Spec } from "../vmstate/spec.ts";
import type { Description, Field } from "../vmstate/types.ts";

/**
 * The names of a description's subsections, of theirs, and of those of the structs in it, each once. What stands in a
 * custom field is not told, but for the elements of a list that says what they are.
 */
export function subsectionNames(description: Description): ReadonlySet<string> {
  const names = new Set<string>();
  collect(description, names, new Set());
  return names;
}

function collect(of: Description, names: Set<string>, seen: Set<Description>): void {
  if (seen.has(of)) return;
  seen.add(of);
  for (const { description } of Object.values(of.subsections)) {
    names.add(description.name);
    collect(description, names, seen);
  }
  for (const field of Object.values(of.fields)) {
    const inner = descriptionIn(field);
    if (inner !== undefined) collect(inner, names, seen);
  }
}

/** The description of the bodies that a field holds. */
function descriptionIn(field: Field | undefined): Description | undefined {
  if (field === undefined) return undefined;
  const spec = field as Spec;
  if ("description" in spec) return spec.description;
  if (spec.kind === "custom") return spec.custom.elements ?? descriptionIn(spec.custom.marked);
  return "element" in spec ? descriptionIn(spec.element) : undefined;
}
