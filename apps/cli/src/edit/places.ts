// Which section, and which subsection, the user's word means; else what was probably meant.
import { CliFault } from "../faults.ts";
import { hintOf, nearest } from "./nearest.ts";

interface Keyed {
  readonly key: string;
  readonly head: { readonly idstr: string };
}

/** The key `idstr/instance` of the section that is named so, or by its idstr where that is its alone. Exit 2 else. */
export function sectionKeyOf(wanted: string, sections: readonly Keyed[]): string {
  const keys = new Set(sections.map(({ key }) => key));
  if (keys.has(wanted)) return wanted;
  const [key, ...others] = new Set(sections.filter(({ head }) => head.idstr === wanted).map((one) => one.key));
  if (key === undefined) {
    const hint = hintOf(nearest(wanted, [...keys, ...sections.map(({ head }) => head.idstr)]));
    throw new CliFault("EDIT_SECTION_UNKNOWN", `the stream has no section ${wanted}`, { exit: 2, hint });
  }
  if (others.length === 0) return key;
  throw new CliFault("EDIT_SECTION_AMBIGUOUS", `${wanted} is the name of several sections`, {
    exit: 2,
    hint: `say which: ${[key, ...others].join(", ")}`,
  });
}

interface NamedPlace {
  /** The wire's name. */
  readonly name: string;
  readonly path: string;
}

/** By the wire's name, or by its path where one name comes several times. Exit 2 else. */
export function chooseSubsection<T extends NamedPlace>(section: string, wanted: string, places: readonly T[]): T {
  const found = places.filter(({ name }) => name === wanted);
  const [chosen, ...others] = found.length === 0 ? places.filter(({ path }) => path === wanted) : found;
  if (chosen === undefined) {
    const hint = hintOf(
      nearest(
        wanted,
        places.map(({ name }) => name),
      ),
    );
    throw new CliFault("EDIT_SUBSECTION_UNKNOWN", `${section} has no subsection ${wanted}`, { exit: 2, hint });
  }
  if (others.length === 0) return chosen;
  throw new CliFault("EDIT_SUBSECTION_AMBIGUOUS", `${section} has several subsections ${wanted}`, {
    exit: 2,
    hint: `say which: ${found.map(({ path }) => path).join(", ")}`,
  });
}
