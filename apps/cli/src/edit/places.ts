// Which subsection the user's word means; else what was probably meant.
import { CliFault } from "../faults.ts";
import { hintOf, nearest } from "../model/nearest.ts";

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
