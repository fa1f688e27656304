// What a reader tells: the elements of a stream, in their order.
import type { Configuration } from "./configuration.ts";
import type { Phase, SectionHead } from "./sections.ts";
import type { Vmdesc } from "./vmdesc-types.ts";

/** How the end of a section was found, from the surest way to the last resort. */
export type DelimitedBy = "description" | "walker" | "vmdesc" | "given-vmdesc" | "footer-scan";

export interface SectionRead {
  readonly phase: Phase;
  readonly head: SectionHead;
  /** What its decoder made of it; bytes, where nothing describes it. */
  readonly value: unknown;
  readonly delimitedBy: DelimitedBy;
  /** Offset of the section's type byte. */
  readonly offset: number;
  /** Bytes of the body, and of the whole section with header and footer. */
  readonly bodyBytes: number;
  readonly bytes: number;
}

export type StreamEvent =
  | { readonly type: "header"; readonly version: number }
  | {
      readonly type: "configuration";
      readonly configuration: Configuration;
      readonly offset: number;
      readonly bytes: number;
    }
  | ({ readonly type: "section" } & SectionRead)
  | {
      readonly type: "command";
      readonly command: number;
      readonly name: string;
      readonly payload: Uint8Array;
      readonly offset: number;
    }
  | { readonly type: "eof"; readonly offset: number }
  | { readonly type: "vmdesc"; readonly vmdesc: Vmdesc; readonly offset: number; readonly bytes: number }
  | { readonly type: "note"; readonly code: "no-vmdesc"; readonly text: string };
