// What a vault holds of a machine: sections as states where something describes them, as bytes where nothing does, in
// the order in which they came, under the source's own section ids.
import { type Description, decodeState, encodeState, isMigrationError, type StateOf, type Writer } from "@godwit/core";
import {
  type Configuration,
  type SectionHead,
  sectionKey,
  type VmdescDevice,
  writeFooter,
  writeHead,
} from "@godwit/core/stream";
import type { Catalogue } from "../model/catalogue.ts";
import type { VaultRam } from "./vault-ram.ts";

/** A FULL section whose state was decoded, and encodes to the bytes that came. */
export interface DescribedSection {
  readonly how: "described";
  readonly head: SectionHead;
  /** The package or module that describes it. */
  readonly plugin: string;
  readonly description: Description;
  readonly state: StateOf<Description>;
}

/** A FULL section as it came. */
export interface CarriedSection {
  readonly how: "carried";
  readonly head: SectionHead;
  readonly body: Uint8Array;
  /** Why it has no state here. */
  readonly why: string;
}

/** FULL sections, headers and footers with them, whose ends nothing tells: where the run begins and ends is known. */
export interface UndelimitedRun {
  readonly how: "undelimited";
  readonly bytes: Uint8Array;
  readonly why: string;
}

/** START, PART or END of an iterable that is no RAM. */
export interface CarriedPart {
  readonly how: "part";
  readonly phase: "start" | "part" | "end";
  readonly head: SectionHead;
  readonly body: Uint8Array;
}

export type HeldSection = DescribedSection | CarriedSection | UndelimitedRun;

/** A machine, whole but for RAM that still follows. */
export interface VaultContent {
  readonly configuration: Configuration;
  /** Of a target page. Bytes. */
  readonly pageBytes: number;
  readonly ram: { readonly head: SectionHead; readonly memory: VaultRam };
  /** Before the first round: early_setup sections and STARTs; `ram` stands for its own. */
  readonly setup: readonly (HeldSection | CarriedPart | "ram")[];
  readonly parts: readonly CarriedPart[];
  /** In the order of the source's END sections. */
  readonly ends: readonly (CarriedPart | "ram")[];
  readonly devices: readonly HeldSection[];
  /** The text of the source's vmdesc; none of a machine that came by post-copy, unless one was given. */
  readonly vmdesc: Uint8Array | undefined;
}

/** The section's state, where something describes it and nothing of its bytes would be lost; else its bytes. */
export function held(
  head: SectionHead,
  body: Uint8Array,
  vmdesc: VmdescDevice | undefined,
  catalogue: Catalogue,
): DescribedSection | CarriedSection {
  const carried = (why: string): CarriedSection => ({ how: "carried", head, body, why });
  try {
    const found = catalogue.describe({ ...head, bytes: body, vmdesc });
    if (found === undefined) return carried("nothing describes it");
    const { description, plugin } = found;
    if (description.version !== head.version) {
      return carried(`${plugin} writes version ${description.version}, and it came in ${head.version}`);
    }
    const state = decodeState(description, body, { checks: false });
    if (!same(encodeState(description, state), body)) return carried(`${plugin} makes other bytes of its state`);
    return { how: "described", head, plugin, description, state };
  } catch (error) {
    if (isMigrationError(error)) return carried(error.message);
    throw error;
  }
}

/** A FULL section, or a run of them, as it goes on. */
export function writeHeld(out: Writer, section: HeldSection): void {
  if (section.how === "undelimited") {
    out.raw(section.bytes);
    return;
  }
  writeHead(out, "full", section.head);
  out.raw(section.how === "carried" ? section.body : encodeState(section.description, section.state));
  writeFooter(out, section.head.sectionId);
}

/** One line of what is held. */
export interface HeldEntry {
  /** `idstr/instance`; undefined for a run of sections that nothing delimits. */
  readonly section: string | undefined;
  readonly how: HeldSection["how"] | "part";
  readonly bytes: number;
  /** Why it is held as bytes. */
  readonly why: string | undefined;
}

export function entryOf(section: HeldSection | CarriedPart): HeldEntry {
  switch (section.how) {
    case "described": {
      const bytes = encodeState(section.description, section.state).length;
      return { section: sectionKey(section.head), how: "described", bytes, why: undefined };
    }
    case "carried":
      return { section: sectionKey(section.head), how: "carried", bytes: section.body.length, why: section.why };
    case "undelimited":
      return { section: undefined, how: "undelimited", bytes: section.bytes.length, why: section.why };
    case "part":
      return { section: sectionKey(section.head), how: "part", bytes: section.body.length, why: undefined };
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
