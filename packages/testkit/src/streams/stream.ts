// A stream as its parts, from which it is written anew whenever one of them changes.
import { listState, utf8Encode, type VmdescDialect, Writer } from "@godwit/core";
import {
  type Configuration,
  configuration,
  configurationState,
  sectionType,
  streamMagic,
  streamVersion,
  type VmdescMembers,
  vmdescText,
} from "@godwit/core/stream";
import { type SectionInit, type SectionPart, sectionPart, writeSection } from "./section.ts";

export interface StreamInit {
  /** Short for a configuration that names the machine type alone. Without both there is no configuration section. */
  readonly machineType?: string;
  readonly configuration?: Configuration;
  readonly sections: readonly SectionInit[];
  /** False: no description of the stream behind EOF. The default is true. */
  readonly vmdesc?: boolean;
  /** False: sections have no footers, as those of machines before QEMU 2.4. The default is true. */
  readonly footers?: boolean;
  /** Which QEMU's vmdesc; the default is 10.0. */
  readonly dialect?: VmdescDialect;
  /** The target's page size, as the vmdesc states it. Bytes; the default is 4096. */
  readonly pageBytes?: number;
}

/** What a stream is made of; plain data. */
export interface StreamParts {
  readonly configuration: { readonly body: Uint8Array; readonly members: VmdescMembers | undefined } | undefined;
  readonly body: readonly (SectionPart | { readonly type: "raw"; readonly bytes: Uint8Array })[];
  readonly vmdesc: { readonly pageBytes: number; readonly godwit: unknown } | undefined;
}

/** One element of a stream. Offsets and lengths in bytes. */
export interface StreamElement {
  readonly type: "header" | "configuration" | "section" | "raw" | "eof" | "vmdesc";
  readonly offset: number;
  readonly bytes: number;
  readonly section?: SectionPart;
  /** Of a section: where its body begins, and its length is `section.body.length`. */
  readonly bodyOffset?: number;
}

/** A stream, where everything in it lies, and its parts. */
export interface TestStream {
  readonly bytes: Uint8Array;
  /** In their order, without gaps: the first begins at 0, each ends where the next begins. */
  readonly elements: readonly StreamElement[];
  readonly parts: StreamParts;
}

/**
 * Builds a stream of these sections. States are encoded by core, so what core refuses to encode is refused here; raw bodies
 * may be anything. The vmdesc says what was written.
 */
export function buildStream(init: StreamInit): TestStream {
  const { machineType, sections, vmdesc = true, footers = true, dialect = "10.0", pageBytes = 4096 } = init;
  const named = machineType === undefined ? undefined : { machineType, pageBits: 0, capabilities: [], uuid: undefined };
  const of = init.configuration ?? named;
  const parts: SectionPart[] = [];
  for (const one of sections) parts.push(sectionPart(one, parts, footers, dialect));
  return writeStream({
    configuration: of && configurationPart(of, dialect),
    body: parts,
    vmdesc: vmdesc ? { pageBytes, godwit: undefined } : undefined,
  });
}

function configurationPart(of: Configuration, dialect: VmdescDialect): StreamParts["configuration"] {
  const out = new Writer();
  const members = listState(out, configuration, configurationState(of), dialect);
  // QEMU lists the configuration from 8.2 on.
  return { body: out.written().slice(), members: dialect === "7.2" ? undefined : members };
}

/** Writes the parts, and says where each lies. */
export function writeStream(parts: StreamParts): TestStream {
  const out = new Writer();
  const elements: StreamElement[] = [];
  const element = (type: StreamElement["type"], write: () => Partial<StreamElement>): void => {
    const offset = out.pos;
    const more = write();
    elements.push({ type, offset, bytes: out.pos - offset, ...more });
  };
  const plain = (type: StreamElement["type"], write: () => void): void => {
    element(type, () => {
      write();
      return {};
    });
  };
  plain("header", () => {
    out.u32(streamMagic);
    out.u32(streamVersion);
  });
  const { configuration: own, vmdesc } = parts;
  if (own !== undefined) {
    plain("configuration", () => {
      out.u8(sectionType.configuration);
      out.raw(own.body);
    });
  }
  for (const part of parts.body) {
    if (part.type === "raw") plain("raw", () => out.raw(part.bytes));
    else element("section", () => ({ section: part, ...writeSection(out, part) }));
  }
  plain("eof", () => out.u8(sectionType.eof));
  if (vmdesc !== undefined) plain("vmdesc", () => writeVmdesc(out, parts, vmdesc));
  return { bytes: out.written().slice(), elements, parts };
}

function writeVmdesc(
  out: Writer,
  { configuration: own, body }: StreamParts,
  { pageBytes, godwit }: NonNullable<StreamParts["vmdesc"]>,
): void {
  const devices = body.flatMap((part) => (part.type === "section" ? (part.device ?? []) : []));
  const text = utf8Encode(
    vmdescText({
      ...(own?.members !== undefined && { configuration: own.members }),
      page_size: pageBytes,
      devices,
      ...(godwit !== undefined && { godwit }),
    }),
  );
  out.u8(sectionType.vmdescription);
  out.u32(text.length);
  out.raw(text);
}
