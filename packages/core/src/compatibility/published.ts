// A plugin as it is against what a version of it published: no release may forget a save.
import { compareClasses } from "./classes.ts";
import type { CheckCode } from "./codes.ts";
import { type Finding, findingsOf } from "./finding.ts";
import type { Side } from "./model.ts";

/** What an older version refuses cleanly, with a code that says why: a downgrade is not promised. */
const cleanRefusals: readonly CheckCode[] = ["VERSION_TOO_NEW", "SUBSECTION_REMOVED", "SECTION_REMOVED"];

/**
 * What is not to be: an old save that does not load, or a new one that an old version misreads. `published`: the dump of
 * an earlier version, as `dumpOf` of `@godwit/core/tools` gives it, read with `sideOf`; `present`: today's.
 */
export function comparePublished(published: Side, present: Side): Finding[] {
  const choice = { isChosen: () => true, present: true, whole: true };
  const remarks = [
    ...compareClasses(published, present, "forward", choice),
    ...compareClasses(present, published, "backward", choice).filter(({ code }) => !cleanRefusals.includes(code)),
  ];
  return findingsOf(remarks).filter(({ severity }) => severity === "breaks" || severity === "may break");
}
