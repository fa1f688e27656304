// Checkpoint files in folders of their own, and streams that come in pieces.
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { StreamReader } from "@godwit/core/stream";
import { listFormat, type RamPhase, type RamSection, ramWalker } from "@godwit/ram-dirty-tracker";
import { replayChunks } from "../src/checkpoint/index.ts";
import { pageHash } from "../src/checkpoint/page-hash.ts";

export interface Folder {
  readonly path: string;
  of(name: string): string;
  names(): string[];
  remove(): void;
}

export function makeFolder(): Folder {
  const path = mkdtempSync(join(tmpdir(), "godwit-checkpoint-"));
  return {
    path,
    of: (name) => join(path, name),
    names: () => readdirSync(path).sort(),
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}

/** The bytes in pieces of these lengths, over and over; each piece is written over once the next is asked for. */
export async function* cut(bytes: Uint8Array, lengths: readonly number[] = [100_000]): AsyncGenerator<Uint8Array> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = lengths[i % lengths.length] as number;
    const piece = bytes.slice(at, at + length);
    at += length;
    yield piece;
    piece.fill(0xa5);
  }
}

export async function whole(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return new Uint8Array(Buffer.concat(all));
}

export const replayedBytes = (store: string, name?: string): Promise<Uint8Array> => whole(replayChunks(store, name));

export const isSame = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** The pages of a stream, found by another way than the recorder's: how many, and how many contents. */
export function pagesOf(
  stream: Uint8Array,
  capabilities: readonly string[] = [],
): { pages: number; contents: Set<string> } {
  let pages = 0;
  const contents = new Set<string>();
  const walker = ramWalker({
    list: listFormat(capabilities),
    page(_block, _offset, bytes) {
      pages++;
      contents.add(Buffer.from(pageHash(bytes)).toString("hex"));
    },
  });
  const reader = new StreamReader({
    vmdesc: "none",
    footerScan: true,
    open: ({ idstr }, phase, previous) =>
      idstr === "ram" ? walker.decoder(phase as RamPhase, previous as RamSection | undefined) : undefined,
  });
  reader.push(stream);
  reader.end();
  return { pages, contents };
}

/** The code of the error that a promise is rejected with; the whole error where it has none, "none" where it is not. */
export async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
    return "none";
  } catch (error) {
    return (error as { code?: unknown }).code ?? error;
  }
}

/** Where a small stream's END of RAM ends, which has no pages: type, section, the record EOS, footer. */
export function ramEnd(stream: Uint8Array): number {
  const end = Uint8Array.of(3, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0x10, 0x7e, 0, 0, 0, 2);
  const at = Buffer.from(stream.buffer, stream.byteOffset, stream.length).indexOf(end);
  if (at < 0) throw new Error("no such END of RAM");
  return at + end.length;
}
