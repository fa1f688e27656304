// Which section the user's word means; else what was probably meant.
import { CliFault } from "../faults.ts";
import { hintOf, nearest } from "./nearest.ts";

interface Keyed {
  readonly key: string;
  readonly head: { readonly idstr: string };
}

/**
 * The key `idstr/instance` of the section that is named so, or by its idstr where that is its alone. Exit 2 else:
 * `SECTION_NOT_FOUND`, `SECTION_AMBIGUOUS`.
 */
export function sectionKeyOf(wanted: string, sections: readonly Keyed[]): string {
  const keys = new Set(sections.map(({ key }) => key));
  if (keys.has(wanted)) return wanted;
  const [key, ...others] = new Set(sections.filter(({ head }) => head.idstr === wanted).map((one) => one.key));
  if (key === undefined) {
    const hint = hintOf(nearest(wanted, [...keys, ...sections.map(({ head }) => head.idstr)]));
    throw new CliFault("SECTION_NOT_FOUND", `the stream has no section ${wanted}`, { exit: 2, hint });
  }
  if (others.length === 0) return key;
  throw new CliFault("SECTION_AMBIGUOUS", `${wanted} is the name of several sections`, {
    exit: 2,
    hint: `say which: ${[key, ...others].join(", ")}`,
  });
}
