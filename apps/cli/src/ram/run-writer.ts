// Writes that follow on each other in a file, gathered into large ones: pages come one by one, and mostly in order.
import { readSync, writeSync } from "node:fs";
import { CliFault } from "../faults.ts";

/** Bytes that are gathered. */
const runBytes = 1 << 20;

export class RunWriter {
  readonly #run = new Uint8Array(runBytes);
  #descriptor = -1;
  #at = 0;
  #length = 0;

  /** Memory that is held. Bytes. */
  get heldBytes(): number {
    return this.#run.length;
  }

  /** Keeps no reference to `bytes`. */
  write(descriptor: number, at: number, bytes: Uint8Array): void {
    if (descriptor !== this.#descriptor || at !== this.#at + this.#length || this.#length + bytes.length > runBytes) {
      this.flush();
      this.#descriptor = descriptor;
      this.#at = at;
    }
    if (bytes.length > runBytes) {
      writeWhole(descriptor, at, bytes);
      this.#at = at + bytes.length;
      return;
    }
    this.#run.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** What stands in the file, what is gathered included; beyond its end, zeros. */
  read(descriptor: number, at: number, into: Uint8Array): void {
    if (descriptor === this.#descriptor && at < this.#at + this.#length && at + into.length > this.#at) this.flush();
    readOrZeros(descriptor, at, into);
  }

  flush(): void {
    if (this.#length > 0) writeWhole(this.#descriptor, this.#at, this.#run.subarray(0, this.#length));
    this.#at += this.#length;
    this.#length = 0;
  }
}

/** At a place of a file that may end before it. */
export function readOrZeros(descriptor: number, at: number, into: Uint8Array): void {
  let got = 0;
  while (got < into.length) {
    const read = readSync(descriptor, into, got, into.length - got, at + got);
    if (read === 0) break;
    got += read;
  }
  into.fill(0, got);
}

/** Exit 2 where the file system refuses. */
export function writeWhole(descriptor: number, at: number, bytes: Uint8Array): void {
  onFile(() => {
    for (let done = 0; done < bytes.length; ) {
      done += writeSync(descriptor, bytes, done, bytes.length - done, at + done);
    }
  });
}

/** What the file system refuses, in words; of `place`, as the user gave it, else of the path that it tells. */
export function onFile<T>(act: () => T, place?: string): T {
  try {
    return act();
  } catch (cause) {
    const { code = String(cause), path } = cause as NodeJS.ErrnoException;
    const why = reasons[code] ?? code;
    const what = place ?? path ?? "the output";
    throw new CliFault("OUTPUT_WRITE", `${what} cannot be written: ${why}`, { exit: 2, cause });
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full",
  EDQUOT: "the quota is used up",
  EFBIG: "the file system does not take a file of that length",
  EACCES: "it is not allowed",
  EROFS: "the file system is read-only",
  ENOTDIR: "its path goes through a file",
  EEXIST: "there is such a file already",
  ENOENT: "there is no such folder",
};
