// One section of a test's stream: its head, its bytes, and what a vmdesc says of them.
import { type AnyRecord, type Description, listState, type VmdescDialect, Writer } from "@godwit/core";
import { type Phase, type VmdescDevice, writeContinuation, writeFooter, writeHead } from "@godwit/core/stream";

interface SectionInitHead {
  readonly idstr: string;
  /** The default is 0. */
  readonly instance?: number;
  /** The default is the description's, or 1. */
  readonly version?: number;
  /** The default is the section's place, from 0; a PART or END has that of the START before it. */
  readonly sectionId?: number;
  /** The default is `full`. */
  readonly phase?: Phase;
  /** False: this one has no footer. */
  readonly footer?: boolean;
}

/** A section with a state, encoded by its description, or with a body of raw bytes. */
export type SectionInit = SectionInitHead &
  (
    | { readonly description: Description; readonly state: AnyRecord }
    | {
        readonly body: Uint8Array;
        /** What the vmdesc says of it; without it the vmdesc has its whole size, as QEMU of handlers without a description. */
        readonly device?: VmdescDevice | undefined;
      }
  );

/** A section as it is written. */
export interface SectionPart {
  readonly type: "section";
  readonly idstr: string;
  readonly instance: number;
  readonly version: number;
  readonly sectionId: number;
  readonly phase: Phase;
  readonly body: Uint8Array;
  readonly footer: boolean;
  /** Only of a FULL section: of an iterable's the vmdesc says nothing. */
  readonly device: VmdescDevice | undefined;
}

/** `before` are the sections that stand before it; `footers` is the default. */
export function sectionPart(
  init: SectionInit,
  before: readonly SectionPart[],
  footers: boolean,
  dialect: VmdescDialect,
): SectionPart {
  const { idstr, instance = 0, phase = "full", footer = footers } = init;
  const described = "description" in init;
  const version = init.version ?? (described ? init.description.version : 1);
  const head = { type: "section", idstr, instance, version, phase, footer } as const;
  const sectionId = init.sectionId ?? idOf(head, before);
  if (!described) return { ...head, sectionId, body: init.body.slice(), device: deviceOf(init, head) };
  const out = new Writer();
  const members = listState(out, init.description, init.state, dialect);
  const device = phase === "full" ? { name: idstr, instance_id: instance, ...members } : undefined;
  return { ...head, sectionId, body: out.written().slice(), device };
}

type Named = Pick<SectionPart, "idstr" | "instance" | "phase">;

function deviceOf(
  { body, device }: { readonly body: Uint8Array; readonly device?: VmdescDevice | undefined },
  { idstr, instance, phase }: Named,
): VmdescDevice | undefined {
  if (phase !== "full") return undefined;
  return device ?? { name: idstr, instance_id: instance, size: body.length };
}

/** A later part goes by the id of its START; everything else has a number of its own. */
function idOf({ idstr, instance, phase }: Named, before: readonly SectionPart[]): number {
  const begun = before.findLast((one) => one.idstr === idstr && one.instance === instance && one.phase === "start");
  if ((phase === "part" || phase === "end") && begun !== undefined) return begun.sectionId;
  return before.reduce((next, { sectionId }) => Math.max(next, sectionId + 1), 0);
}

/** Where it lies, from the offset on that `out` has. */
export function writeSection(out: Writer, part: SectionPart): { readonly bodyOffset: number } {
  if (part.phase === "full" || part.phase === "start") writeHead(out, part.phase, part);
  else writeContinuation(out, part.phase, part.sectionId);
  const bodyOffset = out.pos;
  out.raw(part.body);
  if (part.footer) writeFooter(out, part.sectionId);
  return { bodyOffset };
}
