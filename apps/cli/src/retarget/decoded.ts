// Sections with their fields, decoded when they are first asked for, and once.
import { fieldsOf, type SectionFields } from "../model/fields.ts";
import type { Section } from "../model/read-stream.ts";
import type { RetargetSection, RetargetTarget } from "./types.ts";

export interface DecodedSection extends RetargetSection {
  /** What `fieldsOf` throws. */
  fields(): SectionFields;
}

export function decoded(section: RetargetSection): DecodedSection {
  let found: SectionFields | undefined;
  return {
    ...section,
    fields() {
      // It reads the members that a RetargetSection has.
      found ??= fieldsOf(section as Section);
      return found;
    },
  };
}

/** What the destination has saved, its sections likewise. */
export interface DecodedTarget extends Omit<RetargetTarget, "sections"> {
  readonly sections: readonly DecodedSection[] | undefined;
}

export function decodedTarget(target: RetargetTarget): DecodedTarget {
  return { ...target, sections: target.sections?.map(decoded) };
}
