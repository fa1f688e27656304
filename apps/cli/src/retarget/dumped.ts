// What a dump knows of a section of the stream: the description of the class that could have written it.
import type { CheckedClass, CheckedDescription, Side } from "@godwit/core/compatibility";
import type { RetargetSection } from "./types.ts";

/** What the section may be called in a dump, the likeliest first: a path may stand before the name. */
export function namesOf({ head, listed, described }: RetargetSection): readonly string[] {
  const names = new Set<string>();
  if (listed?.vmsd_name !== undefined) names.add(listed.vmsd_name);
  if (described !== undefined && "description" in described) names.add(described.description.name);
  for (let rest = head.idstr; ; ) {
    names.add(rest);
    const slash = rest.indexOf("/", rest.startsWith("/") ? 1 : 0);
    if (slash < 0) break;
    rest = rest.slice(slash + 1);
  }
  return [...names];
}

/**
 * The descriptions of that name. Several classes may share one: QEMU has four `vga`; which of them the machine uses is not
 * in the dump.
 */
export function dumped({ classes }: Side, section: RetargetSection): readonly CheckedDescription[] {
  for (const name of namesOf(section)) {
    const found = classes.filter((one: CheckedClass) => one.description.name === name);
    if (found.length > 0) return found.map(({ description }) => description);
  }
  return [];
}

/** The names of all subsections, those of nested structs too. */
export function subsectionNames({ fields, subsections }: CheckedDescription): ReadonlySet<string> {
  const names = new Set<string>();
  for (const own of subsections) {
    names.add(own.name);
    for (const name of subsectionNames(own)) names.add(name);
  }
  for (const { description } of fields) {
    if (description !== undefined) for (const name of subsectionNames(description)) names.add(name);
  }
  return names;
}
