// A stream that is read twice: to see what is to be edited, and to copy it. What cannot be sought is kept in a file on the way.
import { randomBytes } from "node:crypto";
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { CliFault } from "../faults.ts";
import { type Input, openInput } from "../io/input.ts";
import type { Terminal } from "../io/terminal.ts";

export interface Source {
  readonly name: string;
  /** For the first reading, to its end. */
  readonly first: Input;
  /** From the beginning, once the first reading is over. Can be sought; the caller closes it. */
  again(): Promise<Input>;
  /** Removes what was kept. */
  close(): void;
}

/**
 * `path`: a file, or "-". A pipe or compressed file is kept uncompressed, until `close`, beside `beside` (the output), or in
 * the system's folder for such files where that is standard output.
 */
export async function openSource(path: string, beside: string | undefined, terminal: Terminal): Promise<Source> {
  const first = await openInput(path, terminal);
  const { name } = first;
  // What there is to be said of the input was said when it was opened first.
  const quiet: Terminal = { ...terminal, note() {} };
  if (first.sizeBytes !== undefined) {
    return { name, first, again: () => openInput(path, quiet), close: () => first.close() };
  }
  const folder = beside === undefined ? tmpdir() : dirname(resolve(terminal.folder, beside));
  const kept = join(folder, `.godwit-${randomBytes(4).toString("hex")}.spool`);
  const remove = (): void => rmSync(kept, { force: true });
  process.once("exit", remove);
  return {
    name,
    first: { ...first, chunks: () => keeping(first, kept) },
    again: async () => ({ ...(await openInput(kept, quiet)), name }),
    close() {
      first.close();
      remove();
      process.off("exit", remove);
    },
  };
}

async function* keeping(input: Input, path: string): AsyncIterable<Uint8Array> {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, "wx");
    for await (const chunk of input.chunks()) {
      for (let at = 0; at < chunk.length; ) at += writeSync(descriptor, chunk, at, chunk.length - at);
      yield chunk;
    }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).syscall === undefined) throw cause;
    throw new CliFault("SPOOL_UNWRITABLE", `${input.name} cannot be kept in ${path}: ${(cause as Error).message}`, {
      exit: 2,
      hint: "a pipe or a compressed file needs room for the whole stream there until the edit is done",
      cause,
    });
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
