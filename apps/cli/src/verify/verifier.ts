// Verifies a stream while it is read: every element is written again from what was read of it, and compared with the bytes
// that it was read from. Nothing is kept of RAM.
import { decodeRecord, encodeRecord, Writer } from "@godwit/core";
import {
  configuration as configurationDescription,
  configurationWireVersion,
  type Phase,
  type SectionHead,
  sectionBytes,
  sectionKey,
  sectionType,
  streamMagic,
  streamVersion,
  type Vmdesc,
  writeContinuation,
  writeFooter,
  writeHead,
} from "@godwit/core/stream";
import type { Command, Section, StreamVisitor } from "../model/read-stream.ts";
import { verifyDevice } from "./device.ts";
import { Findings, firstDifference, hexAt } from "./findings.ts";
import { Original } from "./original.ts";
import { RamVerifier } from "./ram.ts";
import { vmdescAgain } from "./vmdesc-text.ts";

/** All that the stream has of one `idstr/instance`. */
export interface SectionVerified {
  readonly section: string;
  readonly version: number;
  /** How many START, PART, END and FULL. */
  parts: number;
  /** With their headers and footers. */
  bytes: number;
  bodyBytes: number;
  /** What the bodies were written again by. `walker`: an iterable of QEMU's whose records are known by their framing alone. */
  by: "description" | "vmdesc" | "records" | "walker" | "nothing";
  plugin: string | undefined;
  /** Of the bodies: written again and the same. */
  comparedBytes: number;
  /** The whole state was encoded, too. */
  stateToo: boolean;
  /** RAM alone. */
  records: number;
}

const footerBytes = 5;
const headerBytes = 8;
const textDecoder = new TextDecoder();

export class Verifier implements StreamVisitor {
  readonly original = new Original();
  readonly findings = new Findings();
  readonly sections = new Map<string, SectionVerified>();
  readonly ram: RamVerifier;
  /** Headers, footers, configuration, commands, EOF and vmdesc. */
  framingBytes = 0;
  /** "same", "differs"; undefined without one. */
  vmdescText: "same" | "differs" | undefined;
  /** Up to here everything has been handed over. */
  #end = headerBytes;
  readonly #full: { readonly key: string; readonly bodyBytes: number }[] = [];

  /** `fileOffset`: where the stream begins in its file, which mapped-ram counts from. Bytes. */
  constructor(fileOffset: () => number = () => 0) {
    this.ram = new RamVerifier(this.original, this.findings, fileOffset);
  }

  /** The stream's chunks, to be read from instead of the input's. */
  async *watch(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let first = true;
    for await (const chunk of this.original.watch(chunks)) {
      yield chunk;
      if (first && this.#end > headerBytes) {
        this.#same(headerAgain(), 0, "header", "magic");
        first = false;
      }
      // The header stays until it has been compared.
      if (!first) this.original.keepFrom(this.ram.neededFrom ?? this.#end);
    }
  }

  opening(head: SectionHead, phase: Phase, bodyOffset: number): void {
    const out = new Writer(64);
    if (phase === "start" || phase === "full") writeHead(out, phase, head);
    else writeContinuation(out, phase, head.sectionId);
    const again = out.written();
    const from = bodyOffset - again.length;
    this.#same(again, from, sectionKey(head), phase === "start" || phase === "full" ? "idstr" : "section_id");
    if (head.idstr === "ram" && phase !== "full") this.ram.opening(sectionKey(head), bodyOffset);
  }

  configuration(_: unknown, { offset, bytes }: { readonly offset: number; readonly bytes: number }): void {
    this.#begin(offset, "configuration");
    const body = this.original.at(offset + 1, bytes - 1).slice();
    this.findings.guard("configuration", offset, () => {
      const version = configurationWireVersion;
      const record = decodeRecord(configurationDescription, body, { version, offset: offset + 1 });
      const out = new Writer(bytes);
      out.u8(sectionType.configuration);
      out.raw(encodeRecord(configurationDescription, record, version));
      this.#same(out.written(), offset, "configuration", "name");
    });
    this.#end = offset + bytes;
  }

  section(section: Section): void {
    const { head, phase, key, offset, bytes, bodyOffset, bodyBytes } = section;
    this.#begin(offset, key);
    const row = this.#row(key, head.version);
    row.parts++;
    row.bytes += bytes;
    row.bodyBytes += bodyBytes;
    if (section.ram !== undefined) {
      const { records, comparedBytes } = this.ram.complete(bodyOffset + bodyBytes);
      row.by = "records";
      row.records += records;
      row.comparedBytes += comparedBytes;
    } else if (phase !== "full") row.by = "walker";
    else {
      this.#full.push({ key, bodyBytes });
      const { by, plugin, comparedBytes, stateToo } = verifyDevice(section, this.findings);
      row.by = by;
      row.plugin = plugin;
      row.comparedBytes += comparedBytes;
      row.stateToo = stateToo;
    }
    const out = new Writer(footerBytes);
    writeFooter(out, head.sectionId);
    this.#same(out.written(), bodyOffset + bodyBytes, key, "footer");
    this.#end = offset + bytes;
  }

  command({ command, payload, offset, name }: Command): void {
    this.#begin(offset, "command");
    const out = new Writer(payload.length + 5);
    out.u8(sectionType.command);
    out.u16(command);
    out.u16(payload.length);
    out.raw(payload);
    this.#same(out.written(), offset, "command", name);
    this.#end = offset + out.pos;
  }

  eof(offset: number): void {
    this.#begin(offset, "stream");
    this.#same(Uint8Array.of(sectionType.eof), offset, "stream", "type");
    this.#end = offset + 1;
  }

  vmdesc(vmdesc: Vmdesc, { offset, bytes }: { readonly offset: number; readonly bytes: number }): void {
    this.#begin(offset, "vmdesc");
    const text = textDecoder.decode(this.original.at(offset + 5, bytes - 5));
    const again = vmdescAgain(text);
    const out = new Writer(bytes + 64);
    out.u8(sectionType.vmdescription);
    const body = new TextEncoder().encode(again ?? "");
    out.u32(body.length);
    out.raw(body);
    this.vmdescText = this.#same(out.written(), offset, "vmdesc", "text") ? "same" : "differs";
    this.#end = offset + bytes;
    this.#compareListing(vmdesc, offset);
  }

  /** What the vmdesc lists are the FULL sections, in their order and of their length. */
  #compareListing({ devices }: Vmdesc, offset: number): void {
    const wrong = (path: string, expected: string, found: string): void =>
      this.findings.add({
        code: "VMDESC_SECTIONS",
        message: "the vmdesc lists other sections than the stream has",
        section: "vmdesc",
        path,
        offset,
        expected,
        found,
      });
    for (let i = 0; i < Math.max(devices.length, this.#full.length); i++) {
      const [device, full] = [devices[i], this.#full[i]];
      const listed = device && `${device.name}/${device.instance_id}`;
      if (listed !== full?.key) {
        wrong(`devices[${i}].name`, full?.key ?? "no more device", listed ?? "nothing");
        return;
      }
      const bytes = device && sectionBytes(device);
      if (bytes !== undefined && bytes !== full?.bodyBytes) {
        wrong(`devices[${i}].size`, `${full?.bodyBytes} bytes of ${full?.key}`, `${bytes} bytes`);
      }
    }
  }

  #row(section: string, version: number): SectionVerified {
    let row = this.sections.get(section);
    if (row === undefined) {
      row = {
        section,
        version,
        parts: 0,
        bytes: 0,
        bodyBytes: 0,
        by: "nothing",
        plugin: undefined,
        comparedBytes: 0,
        stateToo: false,
        records: 0,
      };
      this.sections.set(section, row);
    }
    return row;
  }

  /** Elements follow each other without a gap, or something was left out of the comparison. */
  #begin(offset: number, section: string): void {
    if (offset === this.#end) return;
    this.findings.add({
      code: "BYTES_DIFFER",
      message: "bytes stand between two elements",
      section,
      path: "type",
      offset: this.#end,
      expected: `an element at ${this.#end}`,
      found: `one at ${offset}`,
    });
  }

  #same(again: Uint8Array, offset: number, section: string, path: string): boolean {
    const found = this.original.at(offset, again.length);
    const differs = firstDifference(again, found);
    if (differs < 0) {
      this.framingBytes += again.length;
      return true;
    }
    this.findings.add({
      code: section === "vmdesc" ? "VMDESC_TEXT" : "BYTES_DIFFER",
      message: section === "vmdesc" ? "the vmdesc is not as QEMU prints it" : "written again it is another",
      section,
      path,
      offset: offset + differs,
      expected: hexAt(again, differs),
      found: hexAt(found, differs),
    });
    return false;
  }
}

function headerAgain(): Uint8Array {
  const out = new Writer(headerBytes);
  out.u32(streamMagic);
  out.u32(streamVersion);
  return out.written();
}
