// What the planner of `edit --retarget` reads and gives: plain data, no input or output.
import type { Configuration, Vmdesc } from "@godwit/core/stream";
import type { Edit, Loss } from "../edit/edit.ts";
import type { Section } from "../model/read-stream.ts";

/** A section as `readStream` hands it over; what stands where is not looked at. */
export type RetargetSection = Pick<Section, "phase" | "head" | "key" | "body" | "bodyOffset" | "listed" | "described">;

/** A stream without its RAM. */
export interface RetargetSource {
  readonly configuration: Configuration | undefined;
  readonly commands: readonly { readonly command: number }[];
  readonly sections: readonly RetargetSection[];
}

/**
 * What the destination itself has saved: a stream, or the vmdesc of one alone. It must be of the machine as it will be
 * started, with the same devices.
 */
export interface RetargetTarget {
  readonly configuration?: Configuration | undefined;
  readonly vmdesc?: Vmdesc | undefined;
  readonly sections?: readonly RetargetSection[] | undefined;
}

/**
 * Why the destination would not take the stream, or would break its guest, whatever is edited.
 * - `machine`: the machine types have nothing to do with each other, or the destination's reads another container.
 * - `capability`: the stream was written with a capability that changes what follows.
 * - `version`: a section is older than what the destination reads.
 * - `fields`: the machine type decides about fields of a section, which no edit adds or takes away.
 * - `layout`: a register that the guest has seen has another value there, and the guest cannot change it.
 */
export interface Refusal {
  readonly kind: "machine" | "capability" | "version" | "fields" | "layout";
  /** `idstr/instance`; undefined where it is the stream's own. */
  readonly section: string | undefined;
  /** The register, where it is one: its offset and its name, such as `PCI capabilities pointer (0x34)`. */
  readonly register: { readonly offset: number; readonly name: string } | undefined;
  /** In the stream, and at the destination; as text. */
  readonly found: string;
  readonly destination: string;
  /** One sentence. */
  readonly why: string;
}

export interface OptionProperty {
  readonly name: string;
  readonly value: string;
  /** What the destination's machine type has if nothing is said, where that is known, and is something else. */
  readonly instead: string | undefined;
}

/** How a device of the destination must be made, as far as the stream shows it. */
export interface DestinationOption {
  /** `idstr/instance` of what shows it. */
  readonly section: string;
  /** QEMU's name of the device: `intel-iommu`. */
  readonly device: string;
  readonly properties: readonly OptionProperty[];
  /** As on a command line: `-device intel-iommu,aw-bits=48`. */
  readonly text: string;
}

export interface RetargetPlan {
  readonly machine: { readonly source: string; readonly destination: string };
  readonly edits: readonly Edit[];
  readonly losses: readonly Loss[];
  readonly options: readonly DestinationOption[];
  readonly refusals: readonly Refusal[];
  /** What is not known, and other sentences. */
  readonly notes: readonly string[];
}
