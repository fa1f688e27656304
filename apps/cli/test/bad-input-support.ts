// A small stream of our own that has every kind of element, and files and pipes to try programs with.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeState, u32, vmstate, type Writer } from "@godwit/core";
import { StreamWriter } from "@godwit/core/stream";
import { writeListedBlock, writeRamRecord } from "@godwit/ram-dirty-tracker";
import { describe as describeSection } from "godwit/catalogue";

const pageBytes = 4096;
const block = { idstr: "pc.ram", length: 4 * pageBytes };

export interface SmallStream {
  readonly bytes: Uint8Array;
  /** Offsets by what stands there. */
  readonly at: Readonly<Record<string, number>>;
}

const unknownDevice = vmstate({ name: "gadget", version: 2, fields: { a: u32, b: u32 } });

/** A configuration, RAM, a command, a device that a plugin describes, one that only the vmdesc lists, and the vmdesc. */
export function smallStream(describe = true): SmallStream {
  const at: Record<string, number> = {};
  const out = new StreamWriter({ pageBytes, describe });
  const mark = (name: string): void => {
    at[name] = out.out.pos;
  };
  out.header();
  mark("configuration");
  out.configuration({ machineType: "pc-q35-7.2", pageBits: 0, capabilities: [], uuid: undefined });
  const head = { sectionId: 2, idstr: "ram", instance: 0, version: 4 };
  mark("start");
  out.start(head);
  ramStart(out.out);
  out.footer(2);
  mark("part");
  out.continue("part", 2);
  mark("records");
  writeRamRecord(out.out, { kind: "zero", block, offset: 0, continues: false, fill: 0, payloadBytes: 0 });
  mark("page");
  const page = new Uint8Array(pageBytes).fill(0x5a);
  writeRamRecord(
    out.out,
    { kind: "page", block, offset: pageBytes, continues: true, fill: 0, payloadBytes: pageBytes },
    page,
  );
  mark("eos");
  writeRamRecord(out.out, { kind: "eos", value: 0 });
  mark("partFooter");
  out.footer(2);
  mark("end");
  out.continue("end", 2);
  writeRamRecord(out.out, { kind: "eos", value: 0 });
  out.footer(2);
  mark("command");
  out.command(2, Uint8Array.of(0, 0, 0, 1));
  const body = new Uint8Array(602);
  const known = describeSection({ idstr: "iommu-intel", instance: 0, version: 1, sectionId: 3, bytes: body } as never);
  if (known === undefined) throw new Error("no plugin describes VT-d");
  const { description } = known;
  mark("described");
  out.full(
    { sectionId: 3, idstr: "iommu-intel", instance: 0, version: 1 },
    description,
    decodeState(description, body) as Record<string, unknown>,
  );
  mark("listed");
  out.full({ sectionId: 4, idstr: "gadget", instance: 7, version: 2 }, unknownDevice, { a: 1, b: 2 });
  mark("eof");
  out.finish();
  mark("whole");
  return { bytes: out.out.written().slice(), at };
}

function ramStart(out: Writer): void {
  writeRamRecord(out, { kind: "memsize", value: block.length });
  writeListedBlock(out, block);
  writeRamRecord(out, { kind: "eos", value: 0 });
}

/** A stream up to its first page record, and a PART whose pages are sent as often as one likes. */
export function endlessParts(
  kind: "zero" | "page",
  records: number,
): { readonly begin: Uint8Array; readonly part: Uint8Array } {
  const out = new StreamWriter({ pageBytes, roomBytes: records * (pageBytes + 32) });
  out.header();
  out.configuration({ machineType: "pc-q35-7.2", pageBits: 0, capabilities: [], uuid: undefined });
  out.start({ sectionId: 2, idstr: "ram", instance: 0, version: 4 });
  ramStart(out.out);
  out.footer(2);
  const begin = out.out.pos;
  out.continue("part", 2);
  const page = new Uint8Array(pageBytes).fill(0xa5);
  const payloadBytes = kind === "page" ? pageBytes : 0;
  for (let i = 0; i < records; i++) {
    const record = { kind, block, offset: (i % 4) * pageBytes, continues: i > 0, fill: 0, payloadBytes };
    writeRamRecord(out.out, record, kind === "page" ? page : undefined);
  }
  writeRamRecord(out.out, { kind: "eos", value: 0 });
  out.footer(2);
  const bytes = out.out.written();
  return { begin: bytes.slice(0, begin), part: bytes.slice(begin) };
}

/** Files of a folder that is removed again. */
export class Folder {
  readonly path = mkdtempSync(join(tmpdir(), "godwit-test-"));
  file(name: string, content: Uint8Array | string): string {
    const path = join(this.path, name);
    writeFileSync(path, content);
    return path;
  }
  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export const changed = (bytes: Uint8Array, at: number, value: number): Uint8Array => {
  const copy = bytes.slice();
  copy[at] = value;
  return copy;
};

export function joined(...parts: readonly (Uint8Array | string | readonly number[])[]): Uint8Array {
  const bytes = parts.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : Uint8Array.from(part)));
  return new Uint8Array(Buffer.concat(bytes));
}
