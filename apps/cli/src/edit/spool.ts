// What came by a pipe, in a file that has no name: a guest's memory is in it, and whatever ends us must not leave it behind.
import { randomBytes } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { CliFault } from "../faults.ts";
import type { Input } from "../io/input.ts";

const chunkBytes = 1 << 20;

export class Spool {
  readonly #name: string;
  readonly #path: string;
  #descriptor: number | undefined;

  /** `name`: of what is kept, as the user knows it. */
  constructor(name: string, folder: string) {
    this.#name = name;
    this.#path = join(folder, `.godwit-${randomBytes(4).toString("hex")}.spool`);
  }

  /** Passes the chunks on, and keeps them. `SPOOL_UNWRITABLE`: exit 2. */
  async *keeping(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    const descriptor = this.#try(() => openSync(this.#path, "wx+", 0o600));
    this.#descriptor = descriptor;
    this.#removeName();
    for await (const chunk of chunks) {
      this.#try(() => {
        for (let at = 0; at < chunk.length; ) at += writeSync(descriptor, chunk, at, chunk.length - at);
      });
      yield chunk;
    }
  }

  /** All that was kept; any number of times, until `close`. */
  input(): Input {
    const descriptor = this.#descriptor as number;
    const sizeBytes = fstatSync(descriptor).size;
    const readAt = (offset: number, bytes: Uint8Array): number => {
      let got = 0;
      while (got < bytes.length) {
        const more = readSync(descriptor, bytes, got, bytes.length - got, offset + got);
        if (more === 0) break;
        got += more;
      }
      return got;
    };
    return {
      name: this.#name,
      compression: "none",
      sizeBytes,
      readAt,
      async *chunks() {
        const buffer = new Uint8Array(chunkBytes);
        for (let offset = 0; offset < sizeBytes; offset += chunkBytes) yield buffer.subarray(0, readAt(offset, buffer));
      },
      tail(bytes) {
        const last = new Uint8Array(Math.min(bytes, sizeBytes));
        return last.subarray(0, readAt(sizeBytes - last.length, last));
      },
      close() {},
    };
  }

  close(): void {
    if (this.#descriptor === undefined) return;
    closeSync(this.#descriptor);
    this.#descriptor = undefined;
    rmSync(this.#path, { force: true });
  }

  /** Where the system does not let go of the name of an open file, `close` removes it. */
  #removeName(): void {
    try {
      rmSync(this.#path);
    } catch {
      // Windows.
    }
  }

  #try<T>(step: () => T): T {
    try {
      return step();
    } catch (cause) {
      const { message } = cause as Error;
      throw new CliFault("SPOOL_UNWRITABLE", `${this.#name} cannot be kept in ${this.#path}: ${message}`, {
        exit: 2,
        hint: "a pipe or a compressed file needs room for the whole stream there until the edit is done",
        cause,
      });
    }
  }
}
