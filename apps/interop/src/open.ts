// A stream taken apart: its sections as bytes in their order, its RAM as memory.
import type { SectionSample } from "@godwit/core";
import {
  type Configuration,
  findVmdesc,
  type Phase,
  type SectionHead,
  StreamReader,
  type Vmdesc,
} from "@godwit/core/stream";
import { type RamPhase, type RamSection, ramWalker } from "@godwit/ram-dirty-tracker";

/** A section of a device, or a part of an iterable that is not RAM, as bytes. */
export interface RawSection {
  readonly phase: Phase;
  readonly head: SectionHead;
  readonly body: Uint8Array;
  /** Offset of the section's type byte in the stream. */
  readonly offset: number;
}

export interface RamImage {
  readonly head: SectionHead;
  readonly pageBytes: number;
  /** In the order of the wire's list. */
  readonly blocks: ReadonlyMap<string, Uint8Array>;
}

export interface OpenStream {
  readonly configuration: Configuration;
  readonly commands: readonly { readonly command: number; readonly payload: Uint8Array }[];
  readonly ram: RamImage;
  /** Everything but RAM, in its order. */
  readonly sections: readonly RawSection[];
  readonly vmdesc: Vmdesc | undefined;
}

/**
 * `STREAM_*` and `SECTION_*` errors where a stream is no stream, or a section cannot be delimited. `given`: the vmdesc of
 * the same machine's other stream, for one that has none.
 */
export function openStream(bytes: Uint8Array, given?: Vmdesc): OpenStream {
  const found = findVmdesc(bytes.subarray(-(1 << 21)))?.vmdesc;
  const pageBytes = (found ?? given)?.page_size ?? 4096;
  const blocks = new Map<string, Uint8Array>();
  const block = (idstr: string): Uint8Array => blocks.get(idstr) as Uint8Array;
  const walker = ramWalker({
    pageBytes,
    onBlock: ({ idstr, length }) => blocks.set(idstr, new Uint8Array(length)),
    page: ({ idstr }, offset, content) => block(idstr).set(content, offset),
    onRecord(record) {
      if (record.kind === "zero") block(record.block.idstr).fill(record.fill, record.offset, record.offset + pageBytes);
      if (record.kind === "xbzrle" || record.kind === "compress")
        throw new Error(`${record.kind} pages are not opened`);
    },
  });
  const reader = new StreamReader({
    vmdesc: found,
    givenVmdesc: given,
    // Pointer arrays that begin with a null element are listed by that element: only their footer tells where they end.
    footerScan: true,
    open: ({ idstr }, phase, previous) =>
      idstr === "ram" ? walker.decoder(phase as RamPhase, previous as RamSection | undefined) : undefined,
  });
  let configuration: Configuration | undefined;
  let ram: SectionHead | undefined;
  const commands: { command: number; payload: Uint8Array }[] = [];
  const sections: RawSection[] = [];
  for (const event of [...reader.push(bytes), ...reader.end()]) {
    if (event.type === "configuration") configuration = event.configuration;
    else if (event.type === "command") commands.push(event);
    else if (event.type === "section" && event.head.idstr === "ram") ram = event.head;
    else if (event.type === "section") {
      const { phase, head, offset } = event;
      sections.push({ phase, head, offset, body: event.value as Uint8Array });
    }
  }
  if (configuration === undefined || ram === undefined) throw new Error("a stream without configuration or RAM");
  return { configuration, commands, sections, vmdesc: found ?? given, ram: { head: ram, pageBytes, blocks } };
}

/** What a family infers its parameters from. */
export function sampleOf({ head, body }: RawSection, vmdesc: Vmdesc | undefined): SectionSample {
  const listed = vmdesc?.devices.find((one) => one.name === head.idstr && one.instance_id === head.instance);
  return { idstr: head.idstr, instance: head.instance, version: head.version, bytes: body, vmdesc: listed };
}
