// Where a stream comes from: a file, standard input, a pipe; compressed or not. What comes out is the stream's own bytes.
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { resolve } from "node:path";
import { CliFault } from "../faults.ts";
import { type Compression, compressionOf, decompressed } from "./decompress.ts";
import type { Terminal } from "./terminal.ts";

export interface Input {
  /** As the user named it; `standard input` for "-". */
  readonly name: string;
  readonly compression: Compression;
  /** Of the stream itself, where it is known. Bytes. */
  readonly sizeBytes: number | undefined;
  /**
   * The stream's bytes, in order, once. A chunk may be written over when the next one is asked for: whoever keeps one
   * copies it.
   */
  chunks(): AsyncIterable<Uint8Array>;
  /** The stream's last bytes, at most so many; undefined where it cannot be sought. */
  tail(bytes: number): Uint8Array | undefined;
  /** `bytes` of the stream from `offset` on, where it can be sought. */
  readAt(offset: number, bytes: Uint8Array): number | undefined;
  close(): void;
}

const chunkBytes = 1 << 20;

/** `-` is standard input. Exit 2 for a file that cannot be opened. */
export async function openInput(path: string, terminal: Terminal): Promise<Input> {
  const raw = path === "-" ? standardInput(terminal) : file(path, terminal);
  const { head, rest } = await peek(raw.chunks());
  const compression = compressionOf(head);
  if (compression === "none") return { ...raw, chunks: () => rest };
  return {
    ...raw,
    compression,
    sizeBytes: undefined,
    chunks: () => decompressed(compression, rest),
    tail: () => undefined,
    readAt: () => undefined,
  };
}

function standardInput(terminal: Terminal): Input {
  if (terminal.stdinIsTerminal) {
    throw new CliFault("INPUT_TERMINAL", "standard input is a terminal, and no stream", {
      exit: 2,
      hint: "give a file, or pipe a stream in",
    });
  }
  return {
    name: "standard input",
    compression: "none",
    sizeBytes: undefined,
    chunks: () => terminal.stdin,
    tail: () => undefined,
    readAt: () => undefined,
    close() {},
  };
}

function file(path: string, terminal: Terminal): Input {
  const descriptor = openOrRefuse(path, resolve(terminal.folder, path));
  const stat = fstatSync(descriptor);
  const seekable = stat.isFile();
  return {
    name: path,
    compression: "none",
    sizeBytes: seekable ? stat.size : undefined,
    async *chunks() {
      const buffer = new Uint8Array(chunkBytes);
      for (;;) {
        const read = readSync(descriptor, buffer, 0, buffer.length, null);
        if (read === 0) return;
        yield buffer.subarray(0, read);
      }
    },
    tail(bytes) {
      if (!seekable) return undefined;
      const last = new Uint8Array(Math.min(bytes, stat.size));
      readSync(descriptor, last, 0, last.length, stat.size - last.length);
      return last;
    },
    readAt: (offset, bytes) => (seekable ? readSync(descriptor, bytes, 0, bytes.length, offset) : undefined),
    close: () => closeSync(descriptor),
  };
}

function openOrRefuse(path: string, absolute: string): number {
  try {
    const descriptor = openSync(absolute, "r");
    if (!fstatSync(descriptor).isDirectory()) return descriptor;
    closeSync(descriptor);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "there is no such file" : code === "EACCES" ? "it may not be read" : String(code);
    throw new CliFault("INPUT_UNREADABLE", `${path} cannot be opened: ${why}`, { exit: 2, cause });
  }
  throw new CliFault("INPUT_UNREADABLE", `${path} is a folder`, { exit: 2 });
}

/** The first chunk, for a look at what it is, and all chunks with it. */
async function peek(
  chunks: AsyncIterable<Uint8Array>,
): Promise<{ readonly head: Uint8Array; readonly rest: AsyncIterable<Uint8Array> }> {
  const iterator = chunks[Symbol.asyncIterator]();
  const first = await iterator.next();
  async function* rest(): AsyncGenerator<Uint8Array> {
    try {
      if (first.done === true) return;
      yield first.value;
      for (;;) {
        const next = await iterator.next();
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      await iterator.return?.();
    }
  }
  return { head: first.done === true ? new Uint8Array(0) : first.value, rest: rest() };
}
