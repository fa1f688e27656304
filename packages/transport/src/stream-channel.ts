// A channel over a stream to read and one to write, of which either may be missing: commands and pipes.
import type { Readable, Writable } from "node:stream";
import type { Channel } from "./channel.ts";
import { transportError } from "./errors.ts";

export interface StreamEnd {
  /** It did not end well. */
  readonly failure?: unknown;
}

export interface StreamEnds {
  readonly input?: Readable | undefined;
  readonly output?: Writable | undefined;
  /** Resolves when what is behind the streams has ended: then a reader's end is an end. Never rejects. */
  readonly ended: Promise<StreamEnd>;
  /** Whether closing is done only when all has ended, and fails when it ended badly. */
  readonly waitForEnd: boolean;
  /** How long it may go on after a close that does not wait. Milliseconds. */
  readonly lingerMs: number;
  /** Ends what is behind the streams, at once. */
  break(): void;
}

export function streamChannel(ends: StreamEnds): Channel {
  return new StreamChannel(ends);
}

class StreamChannel implements Channel {
  readonly #ends: StreamEnds;
  readonly #arrived: Uint8Array[] = [];
  readonly #sends = new Set<(error: unknown) => void>();
  #failure: { readonly error: unknown } | undefined;
  #aborted = false;
  #inputEnded: boolean;
  #ended: StreamEnd | undefined;
  #closing: Promise<void> | undefined;
  #wakeReader: (() => void) | undefined;

  constructor(ends: StreamEnds) {
    this.#ends = ends;
    const { input, output } = ends;
    this.#inputEnded = input === undefined;
    const inputEnds = (): void => {
      this.#inputEnded = true;
      this.#wake();
    };
    // Listened to from the start: Bun throws away what a command that has ended wrote, where nobody listens.
    input?.pause();
    input?.on("data", (chunk: Uint8Array) => this.#takeIn(chunk));
    input?.once("end", inputEnds);
    input?.once("close", inputEnds);
    input?.on("error", (error) => this.#fail(brokenBy("the stream broke", error)));
    output?.on("error", (error) => this.#outputBroke(error));
    // A side that is reading waits for its last bytes; one that sends learns at once.
    void ends.ended.then((end) => {
      this.#ended = end;
      if (end.failure !== undefined) this.#failSends(end.failure);
      this.#wake();
    });
  }

  send(bytes: Uint8Array): Promise<void> {
    const { output } = this.#ends;
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure.error);
      if (this.#closing !== undefined) return reject(closed("this side has closed the channel"));
      if (output === undefined) return reject(closed("nothing can be sent this way"));
      if (this.#ended !== undefined) return reject(this.#ended.failure ?? closed("nobody reads any more"));
      if (bytes.length === 0) return resolve();
      this.#sends.add(reject);
      output.write(bytes, (error) => {
        if (error) this.#outputBroke(error);
        else if (this.#sends.delete(reject)) resolve();
      });
    });
  }

  receive(): AsyncIterable<Uint8Array> {
    return { [Symbol.asyncIterator]: () => ({ next: () => this.#next() }) };
  }

  close(): Promise<void> {
    this.#closing ??= this.#finish();
    return this.#closing;
  }

  abort(error: unknown): void {
    this.#aborted = true;
    this.#arrived.length = 0;
    this.#fail(error);
    this.#ends.break();
    this.#ends.input?.destroy();
    this.#ends.output?.destroy();
  }

  async #next(): Promise<IteratorResult<Uint8Array, undefined>> {
    for (;;) {
      if (this.#closing !== undefined) return { done: true, value: undefined };
      const chunk = this.#arrived.shift();
      if (chunk !== undefined) return { done: false, value: chunk };
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#inputEnded && this.#ended !== undefined) {
        if (this.#ended.failure !== undefined) throw this.#ended.failure;
        return { done: true, value: undefined };
      }
      if (!this.#inputEnded) this.#ends.input?.resume();
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
    }
  }

  #takeIn(chunk: Uint8Array): void {
    if (this.#closing !== undefined) return;
    this.#arrived.push(new Uint8Array(chunk.buffer as ArrayBuffer, chunk.byteOffset, chunk.byteLength));
    this.#ends.input?.pause();
    this.#wake();
  }

  async #finish(): Promise<void> {
    const { input, output, waitForEnd } = this.#ends;
    this.#arrived.length = 0;
    this.#wake();
    if (this.#failure !== undefined) return;
    // Bun's stream of a command that has ended is closed, and calls nobody back.
    if (output !== undefined && !output.destroyed) {
      await new Promise<void>((resolve) => {
        output.once("close", resolve);
        output.end(() => resolve());
      });
    }
    // What nobody wants is read all the same: whoever writes it must not be kept from ending.
    input?.resume();
    if (waitForEnd) {
      const { failure } = await this.#ends.ended;
      // Its children may write on for as long as they like, and would keep this process with them.
      input?.destroy();
      if (failure !== undefined && !this.#aborted) throw failure;
      return;
    }
    this.#linger();
  }

  /** What nobody wants may go on for so long: what is behind the streams, and whoever else has hold of them. */
  #linger(): void {
    const { input, ended, lingerMs } = this.#ends;
    const timer = setTimeout(() => {
      this.#ends.break();
      input?.destroy();
    }, lingerMs);
    timer.unref();
    const closed = new Promise<void>((resolve) => {
      if (input === undefined || this.#inputEnded) resolve();
      else input.once("close", resolve).once("end", resolve);
    });
    void Promise.all([ended, closed]).then(() => clearTimeout(timer));
  }

  /** Whoever stops reading has mostly ended, and how it ended says more. */
  #outputBroke(error: unknown): void {
    if (this.#failure !== undefined) return;
    const timer = setTimeout(() => this.#failSends(brokenBy("nobody reads any more", error)), 1000);
    void this.#ends.ended.then(({ failure }) => {
      clearTimeout(timer);
      this.#failSends(failure ?? brokenBy("nobody reads any more", error));
    });
  }

  #failSends(error: unknown): void {
    for (const reject of this.#sends) reject(error);
    this.#sends.clear();
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { error };
    this.#failSends(error);
    this.#wake();
  }

  #wake(): void {
    const wake = this.#wakeReader;
    this.#wakeReader = undefined;
    wake?.();
  }
}

const closed = (detail: string): unknown => transportError("TRANSPORT_CLOSED", detail);

function brokenBy(detail: string, cause: unknown): unknown {
  return transportError("TRANSPORT_CLOSED", detail, { cause });
}
