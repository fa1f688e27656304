// Channels inside one process, through a bounded buffer: for tests, simulators, and two machines in one program.

import { arrivalQueue } from "./arrivals.ts";
import type { Channel, Transport } from "./channel.ts";
import { transportError } from "./errors.ts";
import { addressOf } from "./uri.ts";

export interface MemoryOptions {
  /** What may lie between sender and receiver, each way. Bytes. Default 256 KiB. */
  readonly bufferBytes?: number;
}

/** A send that waits for room. */
interface Sending {
  readonly bytes: Uint8Array;
  /** What it was when it was handed in. Bytes. */
  readonly length: number;
  at: number;
  resolve(): void;
  reject(error: unknown): void;
}

/** One direction: senders wait in a queue until the buffer has room for the last byte of theirs. */
class Pipe {
  readonly #bufferBytes: number;
  readonly #buffered: Uint8Array[] = [];
  readonly #senders: Sending[] = [];
  #bufferedBytes = 0;
  #ended = false;
  /** Whoever reads for the receiver does not want the bytes any more. */
  #ignored = false;
  #failure: { readonly sender: unknown; readonly reader: unknown } | undefined;
  #wakeReader: (() => void) | undefined;
  #drained: (() => void) | undefined;

  constructor(bufferBytes: number) {
    this.#bufferBytes = bufferBytes;
  }

  send(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) reject(this.#failure.sender);
      else if (this.#ended) reject(transportError("TRANSPORT_CLOSED", "this side has closed the channel"));
      else {
        this.#senders.push({ bytes, length: bytes.length, at: 0, resolve, reject });
        this.#fill();
      }
    });
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    for (;;) {
      const chunk = this.#buffered.shift();
      if (chunk !== undefined) {
        this.#bufferedBytes -= chunk.length;
        this.#fill();
        return { done: false, value: chunk };
      }
      if (this.#failure !== undefined) throw this.#failure.reader;
      if (this.#ignored || (this.#ended && this.#senders.length === 0)) return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
    }
  }

  /** No more is sent. Resolves when all of it is in the buffer. */
  end(): Promise<void> {
    this.#ended = true;
    this.#wake();
    if (this.#senders.length === 0 || this.#failure !== undefined) return Promise.resolve();
    return new Promise((resolve) => {
      this.#drained = resolve;
    });
  }

  /** The receiver has closed: the sender must not wait for it. */
  ignore(): void {
    this.#ignored = true;
    this.drop();
    this.#fill();
  }

  /** What is in the buffer is not wanted any more. */
  drop(): void {
    this.#buffered.length = 0;
    this.#bufferedBytes = 0;
  }

  break(errors: { readonly sender: unknown; readonly reader: unknown }): void {
    if (this.#failure !== undefined) return;
    this.#failure = errors;
    for (const sending of this.#senders.splice(0)) sending.reject(errors.sender);
    this.#drained?.();
    this.#wake();
  }

  #fill(): void {
    for (let sender = this.#senders[0]; sender !== undefined; sender = this.#senders[0]) {
      // A buffer that somebody transfers meanwhile is of none: it would seem to be sent.
      if (sender.bytes.length !== sender.length) {
        const error = transportError("TRANSPORT_CLOSED", "a buffer changed while it was sent");
        this.break({ sender: error, reader: error });
        return;
      }
      const left = sender.length - sender.at;
      const taken = this.#ignored ? left : Math.min(left, this.#bufferBytes - this.#bufferedBytes);
      if (taken > 0 && !this.#ignored) {
        // A Buffer's slice is a view, where every other array's is a copy.
        this.#buffered.push(new Uint8Array(sender.bytes.subarray(sender.at, sender.at + taken)));
        this.#bufferedBytes += taken;
        this.#wake();
      }
      sender.at += taken;
      if (sender.at < sender.length) return;
      this.#senders.shift();
      sender.resolve();
    }
    this.#drained?.();
    this.#wake();
  }

  #wake(): void {
    const wake = this.#wakeReader;
    this.#wakeReader = undefined;
    wake?.();
  }
}

function channel(incoming: Pipe, outgoing: Pipe): Channel {
  let closing: Promise<void> | undefined;
  return {
    send: (bytes) => outgoing.send(bytes),
    receive: () => ({ [Symbol.asyncIterator]: () => ({ next: () => incoming.next() }) }),
    close() {
      if (closing === undefined) {
        incoming.ignore();
        closing = outgoing.end();
      }
      return closing;
    },
    abort(error) {
      const broken = transportError("TRANSPORT_CLOSED", "the peer has broken the channel");
      incoming.drop();
      incoming.break({ sender: broken, reader: error });
      outgoing.break({ sender: error, reader: broken });
    },
  };
}

/** Two channels joined to each other. */
export function memoryPair(options: MemoryOptions = {}): [Channel, Channel] {
  const bufferBytes = options.bufferBytes ?? 256 * 1024;
  const there = new Pipe(bufferBytes);
  const back = new Pipe(bufferBytes);
  return [channel(back, there), channel(there, back)];
}

interface OpenListener {
  offer(connection: Channel): void;
}

/** A transport of its own: `memory:NAME` reaches the listener of that name that this very transport gave. */
export function memoryTransport(options: MemoryOptions = {}): Transport {
  const listeners = new Map<string, OpenListener>();
  return {
    scheme: "memory",
    async connect(uri) {
      const listener = listeners.get(addressOf(uri, "memory"));
      if (listener === undefined) throw transportError("TRANSPORT_REFUSED", "nobody listens", { found: uri });
      const [here, there] = memoryPair(options);
      listener.offer(there);
      return here;
    },
    async listen(uri) {
      const name = addressOf(uri, "memory");
      if (listeners.has(name)) throw transportError("TRANSPORT_ADDRESS", "this name is taken", { found: uri });
      const arrivals = arrivalQueue(uri);
      listeners.set(name, arrivals);
      return {
        uri,
        accept: () => arrivals.accept(),
        async close() {
          if (listeners.get(name) === arrivals) listeners.delete(name);
          arrivals.close();
        },
      };
    },
  };
}
