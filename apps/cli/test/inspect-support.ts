// Small streams that tests of inspect and diff make, and the paths of real ones.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeRecord, encodeRecord, isMigrationError, Writer } from "@godwit/core";
import { writeFooter, writeHead } from "@godwit/core/stream";
import { writeListedBlock, writeRamRecord } from "@godwit/ram-dirty-tracker";
import { type ManifestCase, type ManifestFile, manifest, streamFile } from "@godwit/test-support/streams";
import type { Input } from "../src/io/input.ts";
import { catalogueWith } from "../src/model/catalogue.ts";
import { type ReadOptions, readStream, type Section } from "../src/model/read-stream.ts";

const pageBytes = 4096;

export interface MadePage {
  readonly page: number;
  /** The page is full of it; 0 is a record of a zero page. */
  readonly fill: number;
}

interface MadeStream {
  readonly machineType?: string;
  readonly uuid?: Uint8Array;
  readonly blocks?: readonly {
    readonly idstr: string;
    readonly pages: number;
    readonly content: readonly MadePage[];
  }[];
  readonly sections?: readonly {
    readonly idstr: string;
    readonly instance?: number;
    readonly version: number;
    readonly body: Uint8Array;
  }[];
  readonly vmdesc?: object;
}

/** Header, configuration, RAM as START and END, FULL sections, end, and a vmdesc if one is given. */
export function madeStream({
  machineType = "made-1.0",
  uuid,
  blocks = [],
  sections = [],
  vmdesc,
}: MadeStream): Uint8Array {
  const out = new Writer();
  out.u32(0x5145564d);
  out.u32(3);
  out.u8(0x07);
  const name = new TextEncoder().encode(machineType);
  out.u32(name.length);
  out.raw(name);
  if (uuid !== undefined) {
    out.u8(0x05);
    out.str8("configuration/uuid");
    out.u32(1);
    out.raw(uuid);
  }
  if (blocks.length > 0) ram(out, blocks);
  for (const [i, { idstr, instance = 0, version, body }] of sections.entries()) {
    writeHead(out, "full", { sectionId: i + 10, idstr, instance, version });
    out.raw(body);
    writeFooter(out, i + 10);
  }
  out.u8(0);
  if (vmdesc !== undefined) {
    const text = new TextEncoder().encode(JSON.stringify(vmdesc));
    out.u8(0x06);
    out.u32(text.length);
    out.raw(text);
  }
  return out.written().slice();
}

function ram(out: Writer, blocks: NonNullable<MadeStream["blocks"]>): void {
  const head = { sectionId: 2, idstr: "ram", instance: 0, version: 4 };
  const control = (kind: "memsize" | "eos", value: number): void => writeRamRecord(out, { kind, value });
  writeHead(out, "start", head);
  control(
    "memsize",
    blocks.reduce((total, { pages }) => total + pages * pageBytes, 0),
  );
  for (const { idstr, pages } of blocks) writeListedBlock(out, { idstr, length: pages * pageBytes });
  control("eos", 0);
  writeFooter(out, head.sectionId);
  out.u8(0x03);
  out.u32(head.sectionId);
  for (const { idstr, pages, content } of blocks) {
    for (const { page, fill } of content) {
      const kind = fill === 0 ? ("zero" as const) : ("page" as const);
      const block = { idstr, length: pages * pageBytes };
      const payload = new Uint8Array(fill === 0 ? 0 : pageBytes).fill(fill);
      writeRamRecord(
        out,
        { kind, block, offset: page * pageBytes, continues: false, fill: 0, payloadBytes: payload.length },
        payload,
      );
    }
  }
  control("eos", 0);
  writeFooter(out, head.sectionId);
}

let folder: string | undefined;

/** Writes a file that is gone after the tests; its path. */
export function temporaryFile(name: string, bytes: Uint8Array): string {
  folder ??= mkdtempSync(join(tmpdir(), "godwit-test-"));
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

// Whichever file is the last to use it.
process.once("exit", () => {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

interface RealStream {
  readonly of: ManifestCase;
  readonly file: ManifestFile & { readonly stream: NonNullable<ManifestFile["stream"]> };
  readonly path: string;
  /** What must be given for a stream that has no vmdesc of its own. */
  readonly args: readonly string[];
}

const given: Readonly<Record<string, string>> = {
  "q35-bare-novmdesc-7.2.stream": "q35-bare-7.2.stream",
  "tiny-postcopy-7.2.stream": "tiny-precopy-7.2.stream",
};

/** Every stream that QEMU saved. */
export function realStreams(): RealStream[] {
  return manifest().flatMap((of) =>
    of.files.flatMap((file) => {
      const { stream, raw } = file;
      if (stream === undefined) return [];
      const vmdesc = given[raw];
      const args = vmdesc === undefined ? [] : ["--vmdesc", streamFile(vmdesc)];
      return [{ of, file: { ...file, stream }, path: streamFile(raw), args }];
    }),
  );
}

const reading: ReadOptions = { catalogue: catalogueWith(), holdBytes: 1 << 26 };

/** All sections of a stream that has a vmdesc, or needs none. */
export async function sectionsOf(bytes: Uint8Array): Promise<Section[]> {
  const sections: Section[] = [];
  const input: Input = {
    name: "bytes",
    compression: "none",
    sizeBytes: bytes.length,
    async *chunks() {
      yield bytes;
    },
    tail: (count) => bytes.subarray(Math.max(0, bytes.length - count)),
    readAt: () => undefined,
    close() {},
  };
  await readStream(input, reading, { section: (section) => void sections.push(section) });
  return sections;
}

export async function sectionOf(bytes: Uint8Array, key: string): Promise<Section> {
  const found = (await sectionsOf(bytes)).find((section) => section.key === key);
  if (found === undefined) throw new Error(`no section ${key}`);
  return found;
}

/** Another body for a section, of the same length; its record is changed by `change`. */
export async function withRecord(
  bytes: Uint8Array,
  key: string,
  // biome-ignore lint/suspicious/noExplicitAny: the records of any plugin
  change: (record: any) => void,
): Promise<Uint8Array> {
  const { described, body = new Uint8Array(0), head, bodyOffset } = await sectionOf(bytes, key);
  if (described === undefined || isMigrationError(described)) throw new Error(`${key} is not described`);
  const record = decodeRecord(described.description, body, { version: head.version, checks: false });
  change(record);
  const changed = encodeRecord(described.description, record, head.version);
  if (changed.length !== body.length) throw new Error(`${key}: the length changed`);
  return patched(bytes, bodyOffset, changed);
}

/** Other bytes at a place. */
export function patched(bytes: Uint8Array, at: number, by: Uint8Array | string): Uint8Array {
  const out = bytes.slice();
  out.set(typeof by === "string" ? new TextEncoder().encode(by) : by, at);
  return out;
}

/** The place of the only occurrence of `what` from `from` on; -1 if there is none. */
export function placeOf(bytes: Uint8Array, what: Uint8Array, from = 0): number {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(what, from);
}
