// An edit that cannot be done although it was well put: exit 1, with the place.
import type { MigrationError } from "@godwit/core";
import { CliFault } from "../faults.ts";
import type { Section } from "../model/read-stream.ts";

export interface RefusalPlace {
  readonly section?: string;
  readonly path?: string;
  readonly offset?: number;
}

/**
 * - `EDIT_UNDESCRIBED`: nothing tells what the section's bytes mean, or not enough for this edit.
 * - `EDIT_TYPE_UNKNOWN`: the vmdesc names the field's type, and nothing tells what that is.
 * - `EDIT_ITERABLE`: RAM and the parts of other iterable sections are copied as they are.
 * - `EDIT_COMMAND`: the command cannot be left out.
 * - `EDIT_CONFIGURATION`: the stream has no configuration section.
 * - `EDIT_MAPPED_RAM`: there is no room before the pages of a mapped-ram file.
 */
export type RefusalCode =
  | "EDIT_UNDESCRIBED"
  | "EDIT_TYPE_UNKNOWN"
  | "EDIT_ITERABLE"
  | "EDIT_COMMAND"
  | "EDIT_CONFIGURATION"
  | "EDIT_MAPPED_RAM";

export function refusal(code: RefusalCode, sentence: string, place: RefusalPlace, hint?: string): CliFault {
  return new CliFault(code, sentence, { exit: 1, place, hint });
}

/** What is read a second time is not what was read first. */
export function streamChanged(): CliFault {
  return new CliFault("STREAM_CHANGED", "the stream changed while it was edited", {
    exit: 1,
    hint: "is somebody still writing it?",
  });
}

export function undescribed({ key, bodyOffset }: Section, why: string): CliFault {
  const hint = "--plugin with a module that describes the section makes more of it editable";
  return refusal("EDIT_UNDESCRIBED", `${key} cannot be edited so: ${why}`, { section: key, offset: bodyOffset }, hint);
}

/** Of these the value alone is to blame, and no other field. */
const valueCodes: ReadonlySet<string> = new Set(["BITS_RANGE", "FIELD_MISSING"]);

/** What a description or a field's type says to new values: its code and path, but not the hint of a damaged stream. */
export function unfit(error: MigrationError, { key, bodyOffset }: Section): CliFault {
  const { code, detail, location, expected, found } = error;
  const values = [expected && `expected ${expected}`, found && `found ${found}`].filter(Boolean).join(", ");
  return new CliFault(code, values === "" ? detail : `${detail}: ${values}`, {
    exit: 1,
    place: {
      section: key,
      ...(location.path !== undefined && { path: location.path }),
      offset: bodyOffset + (location.offset ?? 0),
    },
    hint: valueCodes.has(code)
      ? "godwit schema tells what the fields of a plugin or a stream take"
      : "the section with the new values would not be one: set what depends on them in the same command",
    cause: error,
  });
}
