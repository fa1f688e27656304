// Who described a section, in a word or two.
import type { DescribedBy } from "./inspection.ts";

export function describedText(by: DescribedBy | null): string {
  if (by === null) return "nobody";
  if (by.kind === "vmdesc") return by.given ? "the given vmdesc" : "vmdesc";
  if (by.kind === "walker") return "core, its length only";
  return by.plugin;
}
