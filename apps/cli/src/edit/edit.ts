// What can be done to a stream, as data: verbs make edits, `applyEdits` carries them out in one pass.
import type { JsonValue } from "@godwit/core/tools";

/** `section` is `idstr/instance`; `subsection` is the wire's name. */
export type Edit =
  | { readonly kind: "machine"; readonly name: string }
  | { readonly kind: "drop-command"; readonly command: number }
  | { readonly kind: "drop-section"; readonly section: string }
  | { readonly kind: "drop-subsection"; readonly section: string; readonly subsection: string }
  | {
      readonly kind: "add-subsection";
      readonly section: string;
      readonly subsection: string;
      readonly values: JsonValue;
    }
  | { readonly kind: "set"; readonly section: string; readonly path: string; readonly value: JsonValue }
  | { readonly kind: "version"; readonly section: string; readonly version: number };

/** A value that the edited stream does not bring any more. */
export interface Loss {
  readonly section: string;
  readonly path: string;
  readonly value: JsonValue;
  /** What the destination takes instead; undefined where nothing that was given tells. */
  readonly absent: JsonValue | undefined;
  /** The two are equal. */
  readonly safe: boolean;
}
