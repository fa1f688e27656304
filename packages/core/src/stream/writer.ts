// Writes a stream's framing around what handlers and descriptions write. Order is the caller's business.

import type { Manifest } from "../contract.ts";
import { utf8Encode } from "../utf8.ts";
import { listState, writeState } from "../vmstate/codec.ts";
import { bodyOf } from "../vmstate/compile.ts";
import type { VmdescDialect } from "../vmstate/nodes/node.ts";
import type { AnyRecord, Description } from "../vmstate/types.ts";
import { Writer } from "../writer.ts";
import { type Configuration, configuration, configurationState, configurationWireVersion } from "./configuration.ts";
import {
  type SectionHead,
  sectionType,
  streamMagic,
  streamVersion,
  writeContinuation,
  writeFooter,
  writeHead,
} from "./sections.ts";
import { vmdescText } from "./vmdesc.ts";
import { boundVmdesc } from "./vmdesc-record.ts";
import type { Vmdesc, VmdescDevice, VmdescMembers } from "./vmdesc-types.ts";

export interface StreamWriterOptions {
  readonly dialect?: VmdescDialect;
  /** The target's page size, as the vmdesc states it. Bytes. */
  readonly pageBytes?: number;
  /** False: no vmdesc is written behind EOF, nor put together. */
  readonly describe?: boolean;
  /** What the vmdesc carries behind the key `godwit`, asked for at the end. QEMU passes over it. */
  readonly manifest?: () => Manifest;
  /** Written in place as far as it reaches. */
  readonly into?: Uint8Array | undefined;
  /** Room to begin with, without `into`. Bytes; the default is 64 KiB. */
  readonly roomBytes?: number;
}

class FramingWriter {
  readonly out: Writer;
  readonly #dialect: VmdescDialect;
  readonly #pageBytes: number;
  readonly #describe: boolean;
  readonly #manifest: (() => Manifest) | undefined;
  readonly #devices: VmdescDevice[] = [];
  #configuration: VmdescMembers | undefined;

  constructor(options: StreamWriterOptions = {}) {
    this.#dialect = options.dialect ?? "10.0";
    this.#pageBytes = options.pageBytes ?? 4096;
    this.#describe = options.describe ?? true;
    this.#manifest = options.manifest;
    this.out = new Writer(options.into ?? options.roomBytes ?? 64 * 1024);
  }

  header(): void {
    this.out.u32(streamMagic);
    this.out.u32(streamVersion);
  }

  configuration(of: Configuration): void {
    this.out.u8(sectionType.configuration);
    const listing = { out: this.out, mode: { state: true, checks: true }, dialect: this.#dialect };
    const members = bodyOf(configuration).list(listing, configurationState(of), undefined, configurationWireVersion);
    // QEMU lists the configuration from 8.2 on, under its description's own version.
    if (this.#dialect !== "7.2") this.#configuration = { ...members, version: configuration.version };
  }

  /** A whole section of a described device. */
  full(head: SectionHead, description: Description, state: AnyRecord): void {
    writeHead(this.out, "full", head);
    if (this.#describe) {
      const members = listState(this.out, description, state, this.#dialect);
      this.#devices.push({ name: head.idstr, instance_id: head.instance, ...members });
    } else writeState(this.out, description, state);
    writeFooter(this.out, head.sectionId);
  }

  start(head: SectionHead): void {
    writeHead(this.out, "start", head);
  }
  continue(phase: "part" | "end", sectionId: number): void {
    writeContinuation(this.out, phase, sectionId);
  }
  footer(sectionId: number): void {
    writeFooter(this.out, sectionId);
  }

  command(command: number, payload: Uint8Array): void {
    this.out.u8(sectionType.command);
    this.out.u16(command);
    this.out.u16(payload.length);
    this.out.raw(payload);
  }

  /** EOF, and behind it the description of what was written, but for post-copy's streams. `LENGTH_BOUND` where nobody would read that. */
  finish(describe: boolean = this.#describe): void {
    if (!describe) {
      this.out.u8(sectionType.eof);
      return;
    }
    const vmdesc: Vmdesc = {
      ...(this.#configuration === undefined ? {} : { configuration: this.#configuration }),
      page_size: this.#pageBytes,
      devices: this.#devices,
      ...(this.#manifest === undefined ? {} : { godwit: this.#manifest() }),
    };
    const text = utf8Encode(vmdescText(vmdesc));
    boundVmdesc(text.length, { section: "vmdesc" });
    this.out.u8(sectionType.eof);
    this.out.u8(sectionType.vmdescription);
    this.out.u32(text.length);
    this.out.raw(text);
  }
}

/** Without the class's private members: a writer of another copy of core is one as well. */
export type StreamWriter = Pick<FramingWriter, keyof FramingWriter>;
export const StreamWriter: new (options?: StreamWriterOptions) => StreamWriter = FramingWriter;
