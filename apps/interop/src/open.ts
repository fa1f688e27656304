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
import { listFormat, type RamPhase, type RamSection, ramImage } from "@godwit/ram-dirty-tracker";
import { inflateRaw } from "./codecs.ts";

/** The longest description of the supplied streams has 60 kB. Bytes. */
const vmdescTailBytes = 1 << 21;

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
  /** Pages that the stream does not bring: they travel elsewhere, or are shared. */
  readonly missingPages: number;
}

export interface OpenStream {
  readonly configuration: Configuration;
  readonly commands: readonly { readonly command: number; readonly payload: Uint8Array }[];
  readonly ram: RamImage;
  /** Everything but RAM, in its order. */
  readonly sections: readonly RawSection[];
  readonly vmdesc: Vmdesc | undefined;
}

/** The configuration is the first thing in a stream, and short. Bytes. */
const configurationBytes = 1 << 16;

/** What the stream says before its first section. */
export function configurationOf(bytes: Uint8Array): Configuration {
  const reader = new StreamReader({ open: () => undefined });
  for (let at = 0; at < Math.min(bytes.length, configurationBytes); at++) {
    for (const event of reader.push(bytes.subarray(at, at + 1))) {
      if (event.type === "configuration") return event.configuration;
    }
  }
  throw new Error("a stream without a configuration");
}

/**
 * `STREAM_*` and `SECTION_*` errors where a stream is no stream, or a section cannot be delimited. `given`: the vmdesc of
 * the same machine's other stream, for one that has none. Pages that travel elsewhere (multifd) stay zero.
 */
export function openStream(bytes: Uint8Array, given?: Vmdesc): OpenStream {
  const found = findVmdesc(bytes.subarray(-vmdescTailBytes))?.vmdesc;
  const pageBytes = (found ?? given)?.page_size ?? 4096;
  const configuration = configurationOf(bytes);
  const image = ramImage({ pageBytes, list: listFormat(configuration.capabilities), inflateRaw });
  const reader = new StreamReader({
    vmdesc: found,
    givenVmdesc: given,
    // Pointer arrays that begin with a null element are listed by that element: only their footer tells where they end.
    footerScan: true,
    open: ({ idstr }, phase, previous) =>
      idstr === "ram" ? image.walker.decoder(phase as RamPhase, previous as RamSection | undefined) : undefined,
  });
  let ram: SectionHead | undefined;
  const commands: { command: number; payload: Uint8Array }[] = [];
  const sections: RawSection[] = [];
  for (const event of [...reader.push(bytes), ...reader.end()]) {
    if (event.type === "command") commands.push(event);
    else if (event.type === "section" && event.head.idstr === "ram") ram = event.head;
    else if (event.type === "section") {
      const { phase, head, offset } = event;
      sections.push({ phase, head, offset, body: event.value as Uint8Array });
    }
  }
  if (ram === undefined) throw new Error("a stream without RAM");
  const blocks = new Map([...image.blocks].map(([idstr, block]) => [idstr, block.bytes]));
  return {
    configuration,
    commands,
    sections,
    vmdesc: found ?? given,
    ram: { head: ram, pageBytes, blocks, missingPages: image.missingPages() },
  };
}

/** What a family infers its parameters from. */
export function sampleOf({ head, body }: RawSection, vmdesc: Vmdesc | undefined): SectionSample {
  const listed = vmdesc?.devices.find((one) => one.name === head.idstr && one.instance_id === head.instance);
  return { idstr: head.idstr, instance: head.instance, version: head.version, bytes: body, vmdesc: listed };
}
