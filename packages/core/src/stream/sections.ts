// The framing of QEMU's stream, version 3: section types, headers, footers, commands. Source: wire reference 1 and 9.1.
import type { Cursor } from "../cursor.ts";
import { utf8Decode } from "../utf8.ts";
import type { Writer } from "../writer.ts";

/** "QEVM". */
export const streamMagic = 0x5145564d;
export const streamVersion = 3;

/** The first byte of each section. */
export const sectionType = {
  eof: 0x00,
  start: 0x01,
  part: 0x02,
  end: 0x03,
  full: 0x04,
  vmdescription: 0x06,
  configuration: 0x07,
  command: 0x08,
  footer: 0x7e,
} as const;

export type Phase = "start" | "part" | "end" | "full";

/** What a START or FULL says of its section; PART and END refer to it by id. */
export interface SectionHead {
  /** The source's registration counter. A destination has its own numbers and must not compare them. */
  readonly sectionId: number;
  readonly idstr: string;
  readonly instance: number;
  readonly version: number;
}

/** `idstr/instance`, as errors and reports name a section. */
export function sectionKey(head: { readonly idstr: string; readonly instance: number }): string {
  return `${head.idstr}/${head.instance}`;
}

/** An element that has not arrived whole: its path, and the offset of its first byte. */
export interface Missing {
  readonly path: string;
  readonly offset: number;
}

/** The head of a START or FULL section, behind its type byte; or the element that is missing, nothing consumed. */
export function readHead(cursor: Cursor): SectionHead | Missing {
  const { bytes, view, pos, end, offset } = cursor;
  if (end - pos < 4) return { path: "section_id", offset };
  if (end - pos < 5) return { path: "idstr", offset: offset + 4 };
  const length = bytes[pos + 4] as number;
  const after = pos + 5 + length;
  if (end < after) return { path: "idstr", offset: offset + 4 };
  if (end < after + 4) return { path: "instance_id", offset: offset + 5 + length };
  if (end < after + 8) return { path: "version_id", offset: offset + 9 + length };
  cursor.pos = after + 8;
  return {
    sectionId: view.getUint32(pos),
    idstr: utf8Decode(bytes, pos + 5, after),
    instance: view.getUint32(after),
    version: view.getUint32(after + 4),
  };
}

export function writeHead(out: Writer, phase: "start" | "full", head: SectionHead): void {
  out.u8(sectionType[phase]);
  out.u32(head.sectionId);
  out.str8(head.idstr);
  out.u32(head.instance);
  out.u32(head.version);
}

export function writeContinuation(out: Writer, phase: "part" | "end", sectionId: number): void {
  out.u8(sectionType[phase]);
  out.u32(sectionId);
}

export function writeFooter(out: Writer, sectionId: number): void {
  out.u8(sectionType.footer);
  out.u32(sectionId);
}

/** The commands, by number; -1 is a variable length. Bytes. */
export const commands: Readonly<Record<number, { readonly name: string; readonly length: number }>> = {
  1: { name: "OPEN_RETURN_PATH", length: 0 },
  2: { name: "PING", length: 4 },
  3: { name: "POSTCOPY_ADVISE", length: -1 },
  4: { name: "POSTCOPY_LISTEN", length: 0 },
  5: { name: "POSTCOPY_RUN", length: 0 },
  6: { name: "POSTCOPY_RAM_DISCARD", length: -1 },
  7: { name: "PACKAGED", length: 4 },
  8: { name: "ENABLE_COLO", length: 0 },
  9: { name: "POSTCOPY_RESUME", length: 0 },
  10: { name: "RECV_BITMAP", length: -1 },
  11: { name: "SWITCHOVER_START", length: 0 },
};
