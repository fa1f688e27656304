// A channel over a WebSocket, which has no back-pressure of its own that every implementation shows: a sender sends no
// more than the receiver has given it credit for.
//
// Binary messages are the channel's bytes. Text messages are about them:
//   "credit N"  N bytes more may be sent, 1 at least; the first one comes when the connection is open, and never may more
//               be sent than 1 MiB at a time: a peer that grants more wants our memory
//   "end"       no more binary messages come this way
// Each side closes the WebSocket when both ends have gone over; one that closes before is broken.
import type { Channel } from "./channel.ts";
import { ChunkQueue } from "./chunk-queue.ts";
import { transportError } from "./errors.ts";

/** What is used of a WebSocket: the browser's, Deno's, Bun's and that of the package ws have it. */
export interface WebSocketLike {
  binaryType: string;
  readonly readyState: number;
  send(data: string | Uint8Array): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: "open" | "message" | "close" | "error", listener: (event: WebSocketEventLike) => void): void;
  /** Where it is given, an abort ends the connection with it at once. */
  terminate?(): void;
}

export interface WebSocketEventLike {
  readonly data?: unknown;
  readonly message?: unknown;
  readonly error?: unknown;
  readonly code?: number;
}

/** What may be between sender and reader, in whichever buffers, each way. Bytes. */
const windowBytes = 1024 * 1024;
/** Bigger sends are cut: others' limits on a message are of megabytes. Bytes. */
const messageBytes = 64 * 1024;
/** How long a side that has closed waits for the other to go on, to say its end, or to go. Milliseconds. */
const lingerMs = 10_000;
/** Of the range that is left to applications. */
const abortedCode = 4000;

interface Sending {
  readonly bytes: Uint8Array;
  /** What it was when it was handed in: a buffer that somebody transfers meanwhile is of none. Bytes. */
  readonly length: number;
  at: number;
  resolve(): void;
  reject(error: unknown): void;
}

/** A channel over a WebSocket that is open. */
export function webSocketChannel(socket: WebSocketLike): Channel {
  return new WebSocketChannel(socket);
}

class WebSocketChannel implements Channel {
  readonly #socket: WebSocketLike;
  readonly #sends: Sending[] = [];
  readonly #arrived = new ChunkQueue();
  /** What may be sent, and what the peer may send still. Bytes. */
  #credit = 0;
  #granted = windowBytes;
  /** What was read since the last grant. Bytes. */
  #readBytes = 0;
  #failure: { readonly error: unknown } | undefined;
  #peerEnded = false;
  #endSent = false;
  #gone = false;
  #closing: Promise<void> | undefined;
  #wakeReader: (() => void) | undefined;
  #wakeCloser: (() => void) | undefined;
  #patience: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: WebSocketLike) {
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => this.#message(data));
    socket.addEventListener("error", ({ error, message }) =>
      this.#fail(broken("the connection broke", error ?? message)),
    );
    socket.addEventListener("close", ({ code }) => {
      this.#gone = true;
      clearTimeout(this.#patience);
      if (!this.#peerEnded || !this.#endSent) this.#fail(broken(`the connection is gone (code ${code})`));
      this.#wake();
    });
    this.#tell(`credit ${windowBytes}`);
  }

  send(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure.error);
      if (this.#closing !== undefined) return reject(broken("this side has closed the channel"));
      this.#sends.push({ bytes, length: bytes.length, at: 0, resolve, reject });
      this.#flush();
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
    this.#arrived.clear();
    this.#breakOff(error);
  }

  async #next(): Promise<IteratorResult<Uint8Array, undefined>> {
    for (;;) {
      if (this.#closing !== undefined) return { done: true, value: undefined };
      const chunk = this.#arrived.shift();
      if (chunk !== undefined) {
        this.#took(chunk.length);
        return { done: false, value: chunk };
      }
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#peerEnded) return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
    }
  }

  #message(data: unknown): void {
    if (this.#failure !== undefined) return;
    if (typeof data === "string") this.#told(data);
    else if (data instanceof ArrayBuffer) this.#bytes(new Uint8Array(data));
    else if (data instanceof Uint8Array)
      this.#bytes(new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength));
    else this.#refuse("a message is neither text nor binary");
  }

  #bytes(chunk: Uint8Array): void {
    this.#granted -= chunk.length;
    if (this.#peerEnded || this.#granted < 0) {
      this.#refuse("the peer sends more than it was given credit for");
    } else if (this.#closing !== undefined) {
      this.#took(chunk.length);
      this.#wait();
    } else if (chunk.length > 0) {
      this.#arrived.push(chunk);
      this.#wake();
    }
  }

  #told(text: string): void {
    const credit = /^credit ([1-9]\d{0,9})$/.exec(text)?.[1];
    if (credit !== undefined) {
      this.#credit += Number(credit);
      if (this.#credit > windowBytes) this.#refuse("the peer grants more than a window");
      else this.#flush();
    } else if (text === "end") {
      this.#peerEnded = true;
      this.#wake();
    } else this.#refuse("the peer speaks another protocol");
  }

  /** The peer gets credit anew for each half window that was read: fewer messages, and it need not wait. */
  #took(length: number): void {
    this.#readBytes += length;
    if (this.#readBytes < windowBytes / 2 || this.#gone) return;
    this.#granted += this.#readBytes;
    this.#tell(`credit ${this.#readBytes}`);
    this.#readBytes = 0;
  }

  #flush(): void {
    for (let sending = this.#sends[0]; sending !== undefined; sending = this.#sends[0]) {
      while (sending.at < sending.length) {
        const length = Math.min(sending.length - sending.at, messageBytes, this.#credit);
        if (length === 0 || this.#failure !== undefined) return;
        // Without this it would seem to be sent.
        if (sending.bytes.length !== sending.length) {
          this.#breakOff(broken("a buffer changed while it was sent"));
          return;
        }
        this.#credit -= length;
        // Not every implementation has copied by the time that it returns. A Buffer's slice would be a view.
        this.#tell(new Uint8Array(sending.bytes.subarray(sending.at, sending.at + length)));
        sending.at += length;
        if (this.#closing !== undefined) this.#wait();
      }
      this.#sends.shift();
      sending.resolve();
    }
    this.#wakeCloser?.();
  }

  async #finish(): Promise<void> {
    this.#took(this.#arrived.clear());
    this.#wake();
    this.#wait();
    while (this.#sends.length > 0 && this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        this.#wakeCloser = resolve;
      });
    }
    if (this.#failure !== undefined) return;
    this.#tell("end");
    this.#endSent = true;
    void this.#linger();
  }

  /** The peer may have much to say still, which must not reset the connection under our last words. */
  async #linger(): Promise<void> {
    this.#wait();
    while (!this.#peerEnded && !this.#gone && this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
    }
    if (this.#failure === undefined && !this.#gone) this.#socket.close(1000);
  }

  /** A peer that does not go on, or does not answer the close, is not waited for any longer. */
  #wait(): void {
    clearTimeout(this.#patience);
    this.#patience = setTimeout(() => this.#breakOff(broken("the peer does not go on")), lingerMs);
    (this.#patience as { unref?(): void }).unref?.();
  }

  #breakOff(error: unknown): void {
    clearTimeout(this.#patience);
    this.#fail(error);
    if (this.#gone) return;
    if (this.#socket.terminate !== undefined) this.#socket.terminate();
    else this.#socket.close(abortedCode, "aborted");
  }

  #tell(message: string | Uint8Array): void {
    try {
      this.#socket.send(message);
    } catch (error) {
      this.#fail(broken("the connection broke", error));
    }
  }

  #refuse(detail: string): void {
    this.#fail(broken(detail));
    this.#socket.close(abortedCode, detail);
    this.#wait();
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { error };
    for (const sending of this.#sends.splice(0)) sending.reject(error);
    this.#wakeCloser?.();
    this.#wake();
  }

  #wake(): void {
    const wake = this.#wakeReader;
    this.#wakeReader = undefined;
    wake?.();
  }
}

function broken(detail: string, cause?: unknown): unknown {
  return transportError("TRANSPORT_CLOSED", detail, cause === undefined ? {} : { cause });
}
