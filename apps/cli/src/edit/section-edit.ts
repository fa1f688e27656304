// The edits of one section, and what becomes of it.
import type { VmdescDevice } from "@godwit/core/stream";
import type { JsonValue } from "@godwit/core/tools";
import type { Edit } from "./edit.ts";

/** What is done inside a section that stays. */
export type SectionEdit = Extract<Edit, { readonly kind: "set" | "drop-subsection" | "add-subsection" | "version" }>;

/** One edit, as it was carried out. */
export interface Change {
  readonly edit: SectionEdit;
  /** How the section was taken apart. */
  readonly by: "description" | "vmdesc";
  /** In the section, by whatever took it apart. */
  readonly path: string;
  /** Undefined where nothing was there. */
  readonly before: JsonValue | undefined;
  /** Undefined where nothing is left. */
  readonly after: JsonValue | undefined;
}

export interface EditedSection {
  readonly body: Uint8Array;
  readonly version: number;
  /** What the vmdesc says of it now; undefined where it said nothing. */
  readonly listed: VmdescDevice | undefined;
  readonly changes: readonly Change[];
}
