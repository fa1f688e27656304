// A file that is there whole or not at all: it is written beside its place under another name, and moved there at the end.
import { randomBytes } from "node:crypto";
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { resolve } from "node:path";
import { headerBytes, isCheckpoint } from "../checkpoint/format.ts";
import { CliFault } from "../faults.ts";

export interface OutputFile {
  /** Bytes so far. */
  readonly bytes: number;
  write(bytes: Uint8Array): void;
  /** All of it is written: from now on it stands at its place, instead of what stood there. */
  commit(): void;
  /** Leaves nothing. Does nothing after `commit`. */
  discard(): void;
}

/**
 * `path` as the user gave it, `folder` what it begins at. What stands there keeps its mode, and its place behind a symbolic
 * link. Exit 2 where nothing can be written there.
 */
export function createOutputFile(path: string, folder: string): OutputFile {
  const place = resolve(folder, path);
  const found = statSync(place, { throwIfNoEntry: false });
  if (found?.isDirectory()) throw new CliFault("OUTPUT_FOLDER", `${path} is a folder`, { exit: 2 });
  // A device or a pipe would be replaced by a file.
  if (found !== undefined && !found.isFile()) {
    throw new CliFault("OUTPUT_SPECIAL", `${path} is no regular file`, { exit: 2, hint: "write to - and redirect it" });
  }
  if (found !== undefined && isCheckpoint(firstBytes(place))) {
    throw new CliFault("OUTPUT_CHECKPOINT", `${path} is a checkpoint file, whose recordings would be lost`, {
      exit: 2,
      hint: "give another name, or remove it first",
    });
  }
  return found === undefined ? new Partial(path, place) : new Partial(path, realpathSync(place), found.mode & 0o777);
}

/** Enough of them to tell what it is; none where it may not be read. */
function firstBytes(path: string): Uint8Array {
  const bytes = new Uint8Array(headerBytes);
  try {
    const descriptor = openSync(path, "r");
    try {
      return bytes.subarray(0, readSync(descriptor, bytes));
    } finally {
      closeSync(descriptor);
    }
  } catch {
    return bytes;
  }
}

class Partial implements OutputFile {
  bytes = 0;
  readonly #named: string;
  readonly #place: string;
  readonly #partial: string;
  readonly #onExit = (): void => this.discard();
  #descriptor: number | undefined;
  #isOver = false;

  constructor(named: string, place: string, mode?: number) {
    this.#named = named;
    this.#place = place;
    this.#partial = `${place}.${randomBytes(4).toString("hex")}.partial`;
    const descriptor = this.#try(() => openSync(this.#partial, "wx", mode));
    this.#descriptor = descriptor;
    process.once("exit", this.#onExit);
    // Whatever the process's mask takes away.
    if (mode !== undefined) this.#try(() => fchmodSync(descriptor, mode));
  }

  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const descriptor = this.#descriptor as number;
      at += this.#try(() => writeSync(descriptor, bytes, at, bytes.length - at));
    }
    this.bytes += bytes.length;
  }

  commit(): void {
    const descriptor = this.#descriptor as number;
    this.#try(() => {
      fsyncSync(descriptor);
      this.#close();
      renameSync(this.#partial, this.#place);
    });
    this.#isOver = true;
    process.off("exit", this.#onExit);
  }

  discard(): void {
    process.off("exit", this.#onExit);
    if (this.#isOver) return;
    this.#isOver = true;
    this.#close();
    rmSync(this.#partial, { force: true });
  }

  #close(): void {
    const descriptor = this.#descriptor;
    this.#descriptor = undefined;
    if (descriptor !== undefined) closeSync(descriptor);
  }

  #try<T>(step: () => T): T {
    try {
      return step();
    } catch (cause) {
      throw unwritable(this.#named, cause as NodeJS.ErrnoException);
    }
  }
}

/** What the system says of writing to standard output. */
export const stdoutFault = (cause: NodeJS.ErrnoException): CliFault => unwritable("standard output", cause);

function unwritable(name: string, cause: NodeJS.ErrnoException): CliFault {
  const { code } = cause;
  const why = reasons[code ?? ""] ?? String(code ?? cause);
  return new CliFault("OUTPUT_UNWRITABLE", `${name} cannot be written: ${why}`, { exit: 2, cause });
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such folder",
  EACCES: "it may not be written",
  EROFS: "it may not be written",
  ENOSPC: "the disk is full",
  EPIPE: "whoever read it has gone",
};
