// What the tests of RAM in files share: streams as files, the same RAM in memory, and the tiny guest's pages.
import { createHash } from "node:crypto";
import { closeSync, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inflateRawSync } from "node:zlib";
import { findVmdesc, StreamReader, type Vmdesc } from "@godwit/core/stream";
import {
  type ImageBlock,
  listFormat,
  type RamPhase,
  type RamSection,
  type RamWalker,
  ramImage,
} from "@godwit/ram-dirty-tracker";
import { silent, type Terminal } from "../src/io/terminal.ts";

/** A folder for one test file; `remove` when it is over. */
export function folderFor(name: string): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), `godwit-${name}-`));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export const quiet: Terminal = {
  out() {},
  note() {},
  json() {},
  async write() {},
  style: (_, text) => text,
  progress: () => silent,
  stdin: (async function* () {})(),
  stdinIsTerminal: true,
  stdoutIsTerminal: false,
  folder: process.cwd(),
  environment: {},
};

/** The stream's RAM in memory, by the plugin's own means. */
export function inMemory(stream: Uint8Array, given?: Vmdesc): ReadonlyMap<string, ImageBlock> {
  const vmdesc = findVmdesc(stream.subarray(-(1 << 21)))?.vmdesc;
  const pageBytes = (vmdesc ?? given)?.page_size ?? 4096;
  let walker: RamWalker | undefined;
  let capabilities: readonly string[] = [];
  const image = ramImage({
    pageBytes,
    list: new Proxy({}, { get: (_, key) => Reflect.get(listFormat(capabilities), key) }),
    inflateRaw: (data, dictionary, boundBytes) =>
      inflateRawSync(data, { ...(dictionary && { dictionary }), maxOutputLength: Math.max(1, boundBytes) }),
  });
  walker = image.walker;
  const reader = new StreamReader({
    vmdesc: vmdesc ?? "none",
    givenVmdesc: given,
    footerScan: true,
    open: ({ idstr }, phase, previous) =>
      idstr === "ram" ? walker?.decoder(phase as RamPhase, previous as RamSection | undefined) : undefined,
  });
  // The configuration is told when a piece is through, and RAM must not begin in the same one.
  const head = 256;
  for (let at = 0; at < head; at++) {
    for (const event of reader.push(stream.subarray(at, at + 1))) {
      if (event.type === "configuration") capabilities = event.configuration.capabilities;
    }
  }
  reader.push(stream.subarray(head));
  reader.end();
  return image.blocks;
}

/** Whether a file holds these bytes; read piece by piece. */
export function fileHolds(path: string, bytes: Uint8Array): boolean {
  const descriptor = openSync(path, "r");
  const piece = new Uint8Array(1 << 20);
  try {
    let at = 0;
    for (let read = 1; read > 0; at += read) {
      read = readSync(descriptor, piece, 0, piece.length, at);
      if (Buffer.compare(piece.subarray(0, read), bytes.subarray(at, at + read)) !== 0) return false;
    }
    return at === bytes.length;
  } finally {
    closeSync(descriptor);
  }
}

export const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

const tinyPages = { from: 0x20_0000, to: 0xa0_0000, bytes: 4096 } as const;

/** Of the tiny guest's memory: pages that do not hold their own address, and the passes that wrote the first and last. */
export function tinyPasses(ram: Uint8Array): { wrong: number; pages: number; first: number; last: number } {
  const view = new DataView(ram.buffer, ram.byteOffset, ram.byteLength);
  let [wrong, pages] = [0, 0];
  for (let at: number = tinyPages.from; at < tinyPages.to; at += tinyPages.bytes) {
    pages++;
    if (view.getUint32(at, true) !== at) wrong++;
  }
  const pass = (at: number): number => view.getUint32(at + 4, true);
  return { wrong, pages, first: pass(tinyPages.from), last: pass(tinyPages.to - tinyPages.bytes) };
}
