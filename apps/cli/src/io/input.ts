// Where a stream comes from: a file, standard input, a pipe; compressed or not, in libvirt's wrapper or not. What comes out
// is the stream's own bytes, and offsets count from its first.
import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";
import { resolve } from "node:path";
import type { RecordingEntry } from "../checkpoint/index.ts";
import { CliFault } from "../faults.ts";
import { type Compression, compressionOf } from "./compression.ts";
import { descriptorChunks } from "./descriptor.ts";
import { type FileKind, kindBytes, kindOf, startsLikeStream } from "./kinds.ts";
import { type LibvirtWrapper, libvirtBytes, libvirtFixedBytes, libvirtWrapper, startsLikeLibvirt } from "./libvirt.ts";
import type { Terminal } from "./terminal.ts";

export interface Input {
  /** As the user named it; `standard input` for "-". */
  readonly name: string;
  readonly compression: Compression;
  /** Of the stream itself, where it is known. Bytes. */
  readonly sizeBytes: number | undefined;
  /** What it is, where it is recognised and is no stream: `refuseKind` tells it. */
  readonly kind?: FileKind | undefined;
  /** There is not one byte. */
  readonly isEmpty?: boolean;
  /** Where the stream comes out of a checkpoint file. */
  readonly checkpoint?: CheckpointPlace | undefined;
  /** What stands around the stream. */
  readonly wrapper?: LibvirtWrapper | undefined;
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

/** A compressed libvirt save in a compressed file is the deepest that makes sense. */
const deepest = 4;

/** The stream of one recording among those of a file. */
export interface CheckpointPlace {
  /** Its name. */
  readonly recording: string;
  /** All of the file, in the order in which they were recorded. */
  readonly recordings: readonly RecordingEntry[];
}

/**
 * `-` is standard input. Exit 2 for a file that cannot be opened. Of a checkpoint file its last recording, or the one that
 * `recording` or `FILE#NAME` names. `CHECKPOINT_*`.
 */
export async function openInput(path: string, terminal: Terminal, recording?: string): Promise<Input> {
  const named = recording === undefined ? recordingIn(path, terminal) : undefined;
  if (named !== undefined) return openInput(named.path, terminal, named.recording);
  const raw = path === "-" ? standardInput(terminal) : file(path, terminal);
  try {
    const input = await unwrapped(raw, terminal);
    const isFile = raw.sizeBytes !== undefined && input.compression === "none" && input.wrapper === undefined;
    if (isFile && input.kind?.kind === "checkpoint") {
      const { checkpointInput } = await import("./checkpoint-input.ts");
      return await checkpointInput(input, resolve(terminal.folder, path), recording);
    }
    if (recording === undefined) return input;
    throw new CliFault("INPUT_RECORDING", `${path} is no checkpoint file, and holds no recordings`, { exit: 2 });
  } catch (error) {
    raw.close();
    throw error;
  }
}

/** `FILE#NAME`, where there is no file that is called so. */
function recordingIn(path: string, { folder }: Terminal): { path: string; recording: string } | undefined {
  const at = path.lastIndexOf("#");
  if (at <= 0 || existsSync(resolve(folder, path))) return undefined;
  return { path: path.slice(0, at), recording: path.slice(at + 1) };
}

/** `INPUT_KIND`, `INPUT_EMPTY`: what the input is, when it is no stream. Exit 1. */
export function refuseKind({ name, kind, isEmpty = false, wrapper }: Input): void {
  const place = { section: "header", path: "magic", offset: 0 };
  const where = wrapper === undefined ? name : `${name}, behind its libvirt header,`;
  if (isEmpty) {
    throw new CliFault("INPUT_EMPTY", `${where} is empty`, {
      exit: 1,
      place,
      hint: "did the program fail that writes it, or was the save interrupted?",
    });
  }
  if (kind === undefined) return;
  throw new CliFault("INPUT_KIND", `${where} is ${kind.name}, and no migration stream`, {
    exit: 1,
    place,
    hint: kind.unpackBy === undefined ? kind.hint : `${kind.hint}: ${unpacking(kind.unpackBy, name, wrapper)}`,
  });
}

function unpacking(command: string, name: string, wrapper: LibvirtWrapper | undefined): string {
  const file = name === "standard input" ? "" : ` ${name}`;
  const from = wrapper === undefined ? `${command}${file}` : `tail -c +${wrapper.headerBytes + 1}${file} | ${command}`;
  return `${from} | godwit ... -`;
}

async function unwrapped(raw: Input, terminal: Terminal): Promise<Input> {
  let input = raw;
  for (let depth = 0; ; depth++) {
    const source = new Pieces(input.chunks());
    const head = await source.peek(kindBytes, startsLikeStream);
    const compression = depth < deepest ? compressionOf(head) : "none";
    if (compression !== "none") {
      const { name } = input;
      input = {
        ...input,
        compression,
        sizeBytes: undefined,
        chunks: () => unpacked(compression, source, name),
        tail: () => undefined,
        readAt: () => undefined,
      };
    } else if (input.wrapper === undefined && startsLikeLibvirt(head)) {
      input = await libvirt(input, source, terminal);
    } else {
      return { ...input, kind: kindOf(head), isEmpty: head.length === 0, chunks: () => source };
    }
  }
}

/** Decoders take their time to be loaded, which a plain file need not wait for. */
async function* unpacked(
  compression: "zstd" | "gzip",
  chunks: AsyncIterable<Uint8Array>,
  name: string,
): AsyncGenerator<Uint8Array> {
  const { decompressed } = await import("./decompress.ts");
  yield* decompressed(compression, chunks, name);
}

async function libvirt(input: Input, source: Pieces, terminal: Terminal): Promise<Input> {
  const fixed = await source.peek(libvirtFixedBytes);
  const bytes = fixed.length < libvirtFixedBytes ? libvirtFixedBytes : libvirtBytes(fixed, input.name);
  const header = await source.peek(bytes);
  if (header.length < bytes) {
    throw new CliFault("LIBVIRT_HEADER", `${input.name} ends within its libvirt header`, {
      exit: 1,
      hint: "the file is cut off: was the save or the copy interrupted?",
    });
  }
  const wrapper = libvirtWrapper(header, input.name);
  source.drop(bytes);
  if (wrapper.unfinished) terminal.note(`godwit: libvirt never finished this save (${input.name}): it may be cut off`);
  const { sizeBytes } = input;
  const ownBytes = sizeBytes === undefined ? undefined : sizeBytes - bytes;
  return {
    ...input,
    wrapper,
    sizeBytes: ownBytes,
    chunks: () => source,
    tail: (wanted) => (ownBytes === undefined ? undefined : input.tail(Math.min(wanted, ownBytes))),
    readAt: (offset, into) => input.readAt(offset + bytes, into),
  };
}

/** Standard inputs that have a reader. */
const taken = new WeakSet<object>();

function standardInput(terminal: Terminal): Input {
  if (terminal.stdinIsTerminal) {
    throw new CliFault("INPUT_TERMINAL", "standard input is a terminal, and no stream", {
      exit: 2,
      hint: "give a file, or pipe a stream in",
    });
  }
  if (taken.has(terminal.stdin)) {
    throw new CliFault("STDIN_TWICE", "standard input is asked for twice, and can be read once", {
      exit: 2,
      hint: "give a file for one of them",
    });
  }
  taken.add(terminal.stdin);
  return {
    name: "standard input",
    compression: "none",
    sizeBytes: undefined,
    chunks: () => readable(terminal.stdin, "standard input"),
    tail: () => undefined,
    readAt: () => undefined,
    close() {},
  };
}

async function* readable(chunks: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<Uint8Array> {
  try {
    yield* chunks;
  } catch (cause) {
    throw cause instanceof CliFault ? cause : unreadable(name, cause);
  }
}

function file(path: string, terminal: Terminal): Input {
  const descriptor = openOrRefuse(path, resolve(terminal.folder, path));
  const stat = fstatSync(descriptor);
  const seekable = stat.isFile();
  const read = (bytes: Uint8Array, from: number, length: number, at: number): number => {
    try {
      return readSync(descriptor, bytes, from, length, at);
    } catch (cause) {
      throw unreadable(path, cause);
    }
  };
  /** Less only where the file ends. */
  const readAll = (bytes: Uint8Array, at: number): number => {
    let got = 0;
    while (got < bytes.length) {
      const more = read(bytes, got, bytes.length - got, at + got);
      if (more === 0) break;
      got += more;
    }
    return got;
  };
  let open = true;
  return {
    name: path,
    compression: "none",
    sizeBytes: seekable ? stat.size : undefined,
    chunks: () => readable(descriptorChunks(descriptor), path),
    tail(bytes) {
      if (!seekable) return undefined;
      const last = new Uint8Array(Math.min(bytes, stat.size));
      return last.subarray(0, readAll(last, stat.size - last.length));
    },
    readAt: (offset, bytes) => (seekable ? readAll(bytes, offset) : undefined),
    close() {
      if (open) closeSync(descriptor);
      open = false;
    },
  };
}

function openOrRefuse(path: string, absolute: string): number {
  let descriptor: number;
  try {
    descriptor = openSync(absolute, "r");
    if (!fstatSync(descriptor).isDirectory()) return descriptor;
  } catch (cause) {
    throw unreadable(path, cause);
  }
  closeSync(descriptor);
  throw new CliFault("INPUT_UNREADABLE", `${path} is a folder`, { exit: 2, hint: "give the file in it" });
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "there is no such file",
  EACCES: "it may not be read",
  EPERM: "it may not be read",
  EISDIR: "it is a folder",
  EIO: "the device reports an error",
  ENXIO: "it is a socket",
};

function unreadable(name: string, cause: unknown): CliFault {
  const { code = String(cause) } = cause as NodeJS.ErrnoException;
  return new CliFault("INPUT_UNREADABLE", `${name} cannot be read: ${reasons[code] ?? code}`, { exit: 2, cause });
}

/** Chunks, of which the first can be looked at before they are taken; once. */
class Pieces implements AsyncIterable<Uint8Array> {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #held: Uint8Array = new Uint8Array(0);

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#iterator = chunks[Symbol.asyncIterator]();
  }

  /** At most `bytes`, less where the source ends or where four are `enough`. Not to be kept. */
  async peek(bytes: number, enough: (head: Uint8Array) => boolean = () => false): Promise<Uint8Array> {
    while (this.#held.length < bytes && !(this.#held.length >= 4 && enough(this.#held))) {
      const before = this.#held.length === 0 ? this.#held : this.#held.slice();
      const next = await this.#iterator.next();
      if (next.done === true) break;
      if (before.length === 0) this.#held = next.value;
      else {
        this.#held = new Uint8Array(before.length + next.value.length);
        this.#held.set(before);
        this.#held.set(next.value, before.length);
      }
    }
    return this.#held.subarray(0, bytes);
  }

  drop(bytes: number): void {
    this.#held = this.#held.subarray(bytes);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      if (this.#held.length > 0) yield this.#held;
      this.#held = new Uint8Array(0);
      for (;;) {
        const next = await this.#iterator.next();
        if (next.done === true) return;
        if (next.value.length > 0) yield next.value;
      }
    } finally {
      await this.#iterator.return?.();
    }
  }
}
