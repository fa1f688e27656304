// A save taken apart into its sections, and put together again with others: by its framing, of which nothing is guessed.
import { Writer } from "@godwit/core";
import { writeFooter, writeHead } from "@godwit/core/stream";
import type { Save } from "../clocks/differences.ts";
import type { SavedSection } from "../clocks/machine.ts";

export interface Section extends Pick<SavedSection, "idstr" | "instance" | "phase"> {
  /** As `idstr/instance`. */
  readonly key: string;
  readonly version: number;
  /** Behind the head, before the footer. */
  readonly body: Uint8Array;
  /** From the type byte to the end of the footer. */
  readonly bytes: Uint8Array;
  /** Of the body's first byte in the stream. */
  readonly bodyOffset: number;
}

export interface Parts {
  /** Header and configuration. */
  readonly preamble: Uint8Array;
  readonly sections: readonly Section[];
}

/** The footer: a byte and the section's id. */
const footerBytes = 5;

export function partsOf({ bytes, sections }: Save): Parts {
  const first = sections[0]?.offset ?? bytes.length;
  return { preamble: bytes.subarray(0, first), sections: sections.map((one) => sectionOf(bytes, one)) };
}

function sectionOf(stream: Uint8Array, { idstr, instance, phase, offset, bytes: length }: SavedSection): Section {
  const bytes = stream.subarray(offset, offset + length);
  const isNamed = phase === "full" || phase === "start";
  const headBytes = isNamed ? 1 + 4 + 1 + (bytes[5] as number) + 4 + 4 : 1 + 4;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    idstr,
    instance,
    phase,
    key: `${idstr}/${instance}`,
    version: isNamed ? view.getUint32(headBytes - 4) : 0,
    body: bytes.subarray(headBytes, length - footerBytes),
    bytes,
    bodyOffset: offset + headBytes,
  };
}

/** A stream of these sections, without a description of itself. */
export function streamOf({ preamble, sections }: Parts): Uint8Array {
  const out = new Writer(1024);
  out.raw(preamble);
  for (const { bytes } of sections) out.raw(bytes);
  out.u8(0);
  return out.written().slice();
}

/** A device's section. */
export interface Place {
  readonly idstr: string;
  readonly instance: number;
  readonly sectionId: number;
}

/** A whole section of a device. */
export function fullSection({ idstr, instance, sectionId }: Place, version: number, body: Uint8Array): Section {
  const out = new Writer(1024);
  writeHead(out, "full", { sectionId, idstr, instance, version });
  const bodyOffset = out.pos;
  out.raw(body);
  writeFooter(out, sectionId);
  return {
    idstr,
    instance,
    phase: "full",
    key: `${idstr}/${instance}`,
    version,
    body,
    bytes: out.written().slice(),
    bodyOffset,
  };
}

/** The same save with another section of that name, or with it besides. */
export function withSection({ preamble, sections }: Parts, section: Section): Parts {
  const at = sections.findIndex(({ key, phase }) => key === section.key && phase === "full");
  return { preamble, sections: at < 0 ? [...sections, section] : sections.with(at, section) };
}

/** The body of a device's section; undefined where it was not sent. */
export function bodyOf({ sections }: Parts, key: string): Uint8Array | undefined {
  return sections.find((one) => one.key === key && one.phase === "full")?.body;
}
