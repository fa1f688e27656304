// The catalogue of a program that may not need it: our plugins are imported when a section is to be described.
import type { BroughtFamily, Catalogue } from "./catalogue.ts";
import { broughtFor, isNamed, sectionNames } from "./section-names.ts";

export function lazyCatalogue(brought: readonly BroughtFamily[]): Catalogue {
  let loaded: Catalogue | undefined;
  return {
    knows: (idstr) => (broughtFor(idstr, brought) ?? sectionNames.find((one) => isNamed(one, idstr)))?.plugin,
    describe(sample) {
      if (loaded === undefined) throw new Error("descriptions are asked for, and were not loaded");
      return loaded.describe(sample);
    },
    async load() {
      loaded ??= (await import("./catalogue.ts")).catalogueWith(brought);
    },
  };
}
