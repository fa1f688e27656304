// Writing a file as a channel: one write after another, at places, and an end that brings all of it to the disk.

import type { Channel } from "./channel.ts";
import { transportError } from "./errors.ts";
import type { OpenFile } from "./file-handle.ts";

export interface FileWriterInit {
  readonly handle: OpenFile;
  /** Where the first byte goes; without it wherever the descriptor stands. Bytes. */
  readonly offset: number | undefined;
  /** All has been written, is on the disk, and the handle is closed. */
  complete(): Promise<void>;
  /** It will not be complete; the handle is closed. */
  discard(): Promise<void>;
}

export class FileWriter implements Channel {
  readonly #init: FileWriterInit;
  #position: number | undefined;
  /** The last work of the queue; never rejects. */
  #tail: Promise<void> = Promise.resolve();
  #queued = 0;
  #failure: { readonly error: unknown } | undefined;
  #aborted = false;
  #completed = false;
  #closing: Promise<void> | undefined;
  #discarding: Promise<void> | undefined;
  #stopReading: () => void = () => {};
  /** Nobody answers from a file: reading ends when writing does. */
  readonly #stopped = new Promise<void>((resolve) => {
    this.#stopReading = resolve;
  });

  constructor(init: FileWriterInit) {
    this.#init = init;
    this.#position = init.offset;
  }

  send(bytes: Uint8Array): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error);
    if (this.#closing !== undefined) return Promise.reject(closedError());
    return this.#enqueue(() => this.#write(bytes));
  }

  /** Calls `now` at once, or, while sends wait, behind them, with a copy. Where that throws, the channel fails. */
  write(bytes: Uint8Array, now: (bytes: Uint8Array) => void): void {
    if (this.#failure !== undefined) throw this.#failure.error;
    if (this.#closing !== undefined) throw closedError();
    if (this.#queued === 0) {
      try {
        now(bytes);
      } catch (cause) {
        // What lacks these bytes must not get the file's name, whether or not the caller minds.
        const error = unwritable(cause);
        this.#fail(error);
        throw error;
      }
      return;
    }
    const copy = new Uint8Array(bytes);
    // A failure is the channel's, and told by its next call.
    this.#enqueue(async () => now(copy)).catch(() => {});
  }

  receive(): AsyncIterable<Uint8Array> {
    const next = async (): Promise<IteratorResult<Uint8Array, undefined>> => {
      await this.#stopped;
      if (this.#failure !== undefined && this.#closing === undefined) throw this.#failure.error;
      return { done: true, value: undefined };
    };
    return { [Symbol.asyncIterator]: () => ({ next }) };
  }

  close(): Promise<void> {
    this.#closing ??= this.#finish();
    return this.#closing;
  }

  abort(error: unknown): void {
    if (this.#failure !== undefined || this.#completed) return;
    this.#aborted = true;
    this.#fail(error);
    this.#discard().catch(() => {});
  }

  async #finish(): Promise<void> {
    this.#stopReading();
    await this.#tail;
    if (this.#failure === undefined) {
      try {
        await this.#init.handle.sync().catch(unlessNoFile);
        // Until here an abort still counts: the file has not got its name.
        if (this.#failure === undefined) {
          await this.#init.handle.close();
          await this.#init.complete();
          this.#completed = true;
          return;
        }
      } catch (cause) {
        this.#fail(transportError("TRANSPORT_CLOSED", "the file cannot be completed", { cause }));
      }
    }
    await this.#discard();
    if (!this.#aborted) throw this.#failure?.error;
  }

  #discard(): Promise<void> {
    this.#discarding ??= (async () => {
      await this.#tail;
      // It may be closed already.
      await this.#init.handle.close().catch(() => {});
      await this.#init.discard();
    })();
    return this.#discarding;
  }

  async #enqueue(work: () => Promise<void>): Promise<void> {
    this.#queued++;
    const before = this.#tail;
    const done = (async () => {
      await before;
      if (this.#failure === undefined) {
        try {
          await work();
        } catch (cause) {
          this.#fail(unwritable(cause));
        }
      }
      this.#queued--;
    })();
    this.#tail = done;
    await done;
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length && this.#failure === undefined; ) {
      const at = this.#position === undefined ? null : this.#position + done;
      done += (await this.#init.handle.write(bytes, done, bytes.length - done, at)).bytesWritten;
    }
    if (this.#position !== undefined) this.#position += bytes.length;
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#stopReading();
  }
}

/** What is no file has nothing to bring to a disk. */
function unlessNoFile(error: NodeJS.ErrnoException): void {
  if (error.code !== "EINVAL" && error.code !== "ENOTSUP") throw error;
}

const unwritable = (cause: unknown): unknown =>
  transportError("TRANSPORT_CLOSED", "the file cannot be written", { cause });

const closedError = (): unknown => transportError("TRANSPORT_CLOSED", "this side has closed the channel");
