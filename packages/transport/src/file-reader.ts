// Reading a file as a channel: nothing is read before it is asked for, and nothing can be sent.

import type { Channel } from "./channel.ts";
import { transportError } from "./errors.ts";
import type { OpenFile } from "./file-handle.ts";

/** What is read at a time. Bytes. */
const chunkBytes = 1024 * 1024;

export class FileReader implements Channel {
  readonly #handle: OpenFile;
  #position: number | undefined;
  /** Reads go one after another, whoever asks. */
  #tail: Promise<unknown> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;
  #closing: Promise<void> | undefined;

  /** `offset` is where the first byte stands; without it wherever the descriptor does. Bytes. */
  constructor(handle: OpenFile, offset: number | undefined) {
    this.#handle = handle;
    this.#position = offset;
  }

  send(): Promise<void> {
    const error = this.#failure?.error ?? transportError("TRANSPORT_CLOSED", "nobody reads behind a file that is read");
    return Promise.reject(error);
  }

  receive(): AsyncIterable<Uint8Array> {
    const next = (): Promise<IteratorResult<Uint8Array, undefined>> => {
      const read = this.#tail.then(() => this.#next());
      this.#tail = read.catch(() => {});
      return read;
    };
    return { [Symbol.asyncIterator]: () => ({ next }) };
  }

  close(): Promise<void> {
    this.#closing ??= this.#release();
    return this.#closing;
  }

  abort(error: unknown): void {
    if (this.#failure !== undefined || this.#closing !== undefined) return;
    this.#failure = { error };
    this.close().catch(() => {});
  }

  async #release(): Promise<void> {
    await this.#tail;
    await this.#handle.close();
  }

  async #next(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#throwFailure();
    if (this.#closing !== undefined) return { done: true, value: undefined };
    const chunk = new Uint8Array(chunkBytes);
    const bytesRead = await this.#read(chunk);
    this.#throwFailure();
    if (bytesRead === 0 || this.#closing !== undefined) return { done: true, value: undefined };
    if (this.#position !== undefined) this.#position += bytesRead;
    return { done: false, value: chunk.subarray(0, bytesRead) };
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async #read(chunk: Uint8Array): Promise<number> {
    try {
      return (await this.#handle.read(chunk, 0, chunk.length, this.#position ?? null)).bytesRead;
    } catch (cause) {
      this.#failure ??= { error: transportError("TRANSPORT_CLOSED", "the file cannot be read", { cause }) };
      return 0;
    }
  }
}
