// What `inspect` finds, as plain data: the document of `--json`, and what the text is made from.
import type { DelimitedBy, Phase } from "@godwit/core/stream";
import type { RamRecordCounts } from "@godwit/ram-dirty-tracker";
import type { FaultReport } from "../faults.ts";
import type { Compression } from "../io/compression.ts";

export interface Inspection {
  readonly stream: {
    /** As the user named it; null with `--redact`. */
    readonly name: string | null;
    readonly compression: Compression;
    /** Of the stream itself; null where its end was not reached. */
    readonly bytes: number | null;
    /** What stands around it in the file. */
    readonly wrapper: { readonly kind: "libvirt"; readonly headerBytes: number; readonly domain: string | null } | null;
    /** Of a checkpoint file: the recording that is shown, and all that there are. */
    readonly checkpoint: { readonly recording: string; readonly recordings: readonly Recording[] } | null;
  };
  readonly machineType: string | null;
  readonly producer: Producer;
  readonly capabilities: readonly string[];
  /** With dashes; null where the stream has none. */
  readonly uuid: string | "redacted" | null;
  readonly configuration: Place | null;
  readonly ram: RamCensus | null;
  /** In the order of the wire, each PART for itself. */
  readonly sections: readonly InspectedSection[];
  readonly commands: readonly InspectedCommand[];
  readonly eof: { readonly offset: number } | null;
  readonly vmdesc: Place | null;
  /** What is worth knowing, in sentences. */
  readonly notes: readonly string[];
  readonly error?: FaultReport;
}

export interface Place {
  readonly offset: number;
  readonly bytes: number;
}

export interface Producer {
  /** `unknown`: nothing in the stream tells; `from` and `before` then hold if it was QEMU. */
  readonly kind: "godwit" | "qemu" | "unknown";
  /** Of a machine that Godwit saved, as its manifest says. */
  readonly name?: string;
  readonly version?: string;
  readonly plugins?: readonly { readonly name: string; readonly version: string }[];
  /** QEMU's releases that fit, upstream's numbers: this one or later, and before that one. */
  readonly from?: string;
  readonly before?: string;
  /** What in the stream says so. */
  readonly because: readonly string[];
}

export interface RamCensus {
  /** Of all blocks. */
  readonly bytes: number;
  /** Of a target page. */
  readonly pageBytes: number;
  /** In the order of START's list. */
  readonly blocks: readonly RamBlockCensus[];
  /** Records of all kinds, those that name no page too. */
  readonly records: RamRecordCounts;
}

export interface RamBlockCensus {
  readonly idstr: string;
  readonly bytes: number;
  readonly pages: number;
  /** Records, and pages in place of a mapped-ram file, by kind; the same page may come many times. */
  readonly records: Readonly<Record<PageKind, number>>;
  /** So many pages at least are in no record of this stream. */
  readonly pagesElsewhere: number;
  /** Of the block's own pages, where the list says it. Bytes. */
  readonly pageBytes?: number;
  /** With `x-ignore-shared`. */
  readonly address?: bigint;
  /** File offsets, with mapped-ram. */
  readonly mapped?: { readonly bitmapOffset: number; readonly pagesOffset: number };
}

export const pageKinds = ["zero", "page", "xbzrle", "compress", "mapped"] as const;
export type PageKind = (typeof pageKinds)[number];

export interface InspectedSection extends Place {
  readonly idstr: string;
  readonly instance: number;
  readonly version: number;
  readonly sectionId: number;
  readonly phase: Phase;
  /** Without header and footer. */
  readonly bodyBytes: number;
  readonly delimitedBy: DelimitedBy;
  readonly describedBy: DescribedBy | null;
  /** Why the description that is meant for it was not used. */
  readonly fault?: FaultReport;
  /** With `--section` or `--path`. */
  readonly fields?: readonly InspectedField[];
}

export type DescribedBy =
  | {
      readonly kind: "plugin";
      readonly plugin: string;
      /** Its name and version; null where it was not tried on the section's bytes, which takes `--all` or a selection. */
      readonly description: string | null;
      readonly version: number | null;
      /** Where its form depends on the release: one that was found to fit; others may fit as well. */
      readonly dialect: string | null;
    }
  | { readonly kind: "vmdesc" /** By `--vmdesc`, not by the stream's own. */; readonly given: boolean }
  /** Of core: it knows where the section ends, and not what it means. */
  | { readonly kind: "walker" };

export interface InspectedField {
  readonly path: string;
  /** As the vmdesc has it. */
  readonly type?: string;
  /** In the body, where it is known. Bytes. */
  readonly offset?: number;
  /** Absent where it is left out. */
  readonly value?: unknown;
  /** Of a buffer. */
  readonly bytes?: number;
  readonly redacted?: true;
  readonly names?: readonly InspectedNames[];
}

interface InspectedNames {
  /** A register inside the buffer; empty for the field itself. */
  readonly path: string;
  readonly value: number | bigint;
  readonly names: readonly string[];
}

export interface InspectedCommand {
  readonly offset: number;
  readonly command: number;
  readonly name: string;
  /** What it carries, in words. */
  readonly detail: string;
  readonly payloadBytes: number;
}

/** A recording of a checkpoint file, as its index tells. */
export interface Recording {
  /** Its number, from 1 on, with `--redact`. */
  readonly name: string;
  /** When it was begun, ISO 8601; null with `--redact`. */
  readonly created: string | null;
  readonly machineType: string;
  readonly streamBytes: number;
  readonly pages: number;
  /** Pages that the recordings before it did not have. */
  readonly newPages: number;
}
