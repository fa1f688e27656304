// A channel over a stream socket, and how one is made by connecting and by listening: what tcp and unix have in common.
import type net from "node:net";
import type { MigrationError } from "@godwit/core";
import { arrivalQueue } from "./arrivals.ts";
import type { Channel, Listener } from "./channel.ts";
import { transportError } from "./errors.ts";

/** How long a closed channel may go without a byte moving before the rest is given up. Milliseconds. */
const lingerMs = 10_000;
/** A machine that is gone says nothing, and neither does one that is only slow: after so long the network asks. Milliseconds. */
export const keepAliveMs = 60_000;

/** A channel over `socket` once that is connected; `errorOf` says what its error means. */
export function connected(socket: net.Socket, errorOf: (error: NodeJS.ErrnoException) => unknown): Promise<Channel> {
  return new Promise((resolve, reject) => {
    socket.once("error", (error) => reject(errorOf(error)));
    // In the event itself: an error that follows at once must find the channel listening.
    socket.once("connect", () => resolve(new SocketChannel(socket)));
  });
}

/** What is known of a socket beyond its being one. */
export interface SocketTraits {
  /** Knows some of its errors better. */
  readonly errorOf?: (error: unknown) => MigrationError | undefined;
  /** Breaks it so that the peer can tell it from an end. */
  readonly reset?: () => void;
  /** Lets bytes in from the network, or none, where pausing the socket is not enough. */
  readonly gate?: (open: boolean) => void;
  /** It takes whatever it is given: so it is given so much at a time, and no more before there is room. */
  readonly pieces?: { readonly bytes: number; readonly room: () => Promise<void> };
}

/** A channel over a socket that is connected. */
export function channelOver(socket: net.Socket, traits: SocketTraits = {}): Channel {
  return new SocketChannel(socket, traits);
}

/** What the network says of a host and port that were not reached. */
export function connectError(error: NodeJS.ErrnoException, uri: string): MigrationError {
  const code = unknownHost.has(error.code ?? "") ? "TRANSPORT_ADDRESS" : "TRANSPORT_REFUSED";
  return transportError(code, "no connection", { found: uri, cause: error });
}

const unknownHost: ReadonlySet<string> = new Set(["ENOTFOUND", "EAI_AGAIN", "EINVAL"]);

/** Begins to listen; the operating system's error where it does not. */
export function listening(server: net.Server, address: net.ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(address, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** The listener of a server that listens; `closed` is called when it no longer does. */
export function listenerOf(server: net.Server, uri: string, closed: () => void = () => {}): Listener {
  const arrivals = arrivalQueue(uri);
  server.on("connection", (socket) => arrivals.offer(new SocketChannel(socket)));
  server.on("error", () => arrivals.close());
  let open = true;
  return {
    uri,
    accept: () => arrivals.accept(),
    async close() {
      if (!open) return;
      open = false;
      arrivals.close();
      // Its callback waits for accepted connections, too, and they live on.
      server.close();
      closed();
    },
  };
}

/** ES2024's, where the runtime has it. */
interface Transferable {
  readonly byteLength: number;
  transfer?(newByteLength: number): unknown;
}

class SocketChannel implements Channel {
  readonly #socket: net.Socket;
  readonly #traits: SocketTraits;
  readonly #arrived: Uint8Array[] = [];
  readonly #sends = new Set<(error: unknown) => void>();
  #failure: { readonly error: unknown } | undefined;
  /** The sends that go in pieces, one after another; never rejects. */
  #tail: Promise<void> = Promise.resolve();
  #reading = false;
  #paused = true;
  #peerClosed = false;
  #closing: Promise<void> | undefined;
  #wakeReader: (() => void) | undefined;

  constructor(socket: net.Socket, traits: SocketTraits = {}) {
    this.#socket = socket;
    this.#traits = traits;
    traits.gate?.(false);
    if (isOfNetwork(socket)) socket.setKeepAlive(true, keepAliveMs);
    socket.on("error", (error) => this.#fail(this.#brokenBy(error)));
    socket.on("end", () => {
      this.#peerClosed = true;
      this.#wake();
    });
    socket.on("close", () => {
      if (!this.#peerClosed || this.#sends.size > 0) this.#fail(closedBy("the connection is gone"));
      this.#wake();
    });
  }

  send(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure.error);
      if (this.#closing !== undefined) return reject(closedBy("this side has closed the channel"));
      // Nothing is not written: as a record of TLS it would be an error on Deno.
      if (bytes.length === 0) return resolve();
      this.#sends.add(reject);
      const { pieces } = this.#traits;
      if (pieces === undefined) this.#write(bytes, resolve, reject);
      else {
        this.#tail = this.#tail.then(async () => {
          for (let at = 0; at < bytes.length && this.#failure === undefined; at += pieces.bytes) {
            const piece = bytes.subarray(at, at + pieces.bytes);
            await new Promise<void>((written) => this.#socket.write(piece, (error) => this.#written(error, written)));
            await pieces.room();
          }
          if (this.#sends.delete(reject)) resolve();
        });
      }
    });
  }

  receive(): AsyncIterable<Uint8Array> {
    return { [Symbol.asyncIterator]: () => ({ next: () => this.#next() }) };
  }

  recycle(chunk: Uint8Array): void {
    const buffer: Transferable = chunk.buffer;
    // A part of a buffer may have neighbours that are still read. Node 20 cannot do it.
    if (chunk.byteLength === buffer.byteLength) buffer.transfer?.(0);
  }

  close(): Promise<void> {
    this.#closing ??= this.#finish();
    return this.#closing;
  }

  abort(error: unknown): void {
    this.#arrived.length = 0;
    this.#fail(error);
    if (this.#traits.reset !== undefined) this.#traits.reset();
    else breakOff(this.#socket);
  }

  async #next(): Promise<IteratorResult<Uint8Array, undefined>> {
    for (;;) {
      if (this.#closing !== undefined) return { done: true, value: undefined };
      const chunk = this.#arrived.shift();
      if (chunk !== undefined) return { done: false, value: chunk };
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#peerClosed) return { done: true, value: undefined };
      this.#read();
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
    }
  }

  #read(): void {
    if (!this.#reading) {
      this.#reading = true;
      this.#socket.on("data", (chunk: Buffer) => {
        if (this.#closing !== undefined) return;
        // A plain array: a Buffer's slice is a view, where every other array's is a copy.
        this.#arrived.push(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength));
        // A reader that waits comes again before the next chunk does: to stop and start for each costs half the speed.
        if (this.#wakeReader === undefined) this.#pause();
        else this.#wake();
      });
    }
    if (!this.#paused) return;
    this.#paused = false;
    this.#traits.gate?.(true);
    this.#socket.resume();
  }

  #pause(): void {
    this.#paused = true;
    this.#traits.gate?.(false);
    this.#socket.pause();
  }

  /**
   * A socket that is destroyed with unread bytes resets the connection, and the reset overtakes what we sent last: the
   * peer would never read why we closed. So what still arrives is drained until the peer closes as well.
   */
  #finish(): Promise<void> {
    const socket = this.#socket;
    this.#arrived.length = 0;
    this.#wake();
    if (this.#failure !== undefined || socket.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      // Bun's own sockets, where they are behind a plain stream, have neither.
      socket.setTimeout?.(lingerMs, () => socket.destroy());
      socket.once("close", () => resolve());
      void this.#tail.then(() =>
        socket.end(() => {
          socket.unref?.();
          resolve();
        }),
      );
      this.#read();
    });
  }

  #write(bytes: Uint8Array, resolve: () => void, reject: (error: unknown) => void): void {
    // The callback comes when the operating system has the bytes: from then on the buffer is the caller's again.
    this.#socket.write(bytes, (error) => {
      this.#written(error, () => {
        if (this.#sends.delete(reject)) resolve();
      });
    });
  }

  #written(error: unknown, done: () => void): void {
    if (error) this.#fail(this.#brokenBy(error));
    done();
  }

  #brokenBy(error: unknown): unknown {
    return this.#traits.errorOf?.(error) ?? closedBy("the connection broke", error);
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { error };
    for (const reject of this.#sends) reject(error);
    this.#sends.clear();
    this.#wake();
  }

  #wake(): void {
    const wake = this.#wakeReader;
    this.#wakeReader = undefined;
    wake?.();
  }
}

function closedBy(detail: string, cause?: unknown): unknown {
  return transportError("TRANSPORT_CLOSED", detail, cause === undefined ? {} : { cause });
}

/** Of TCP's alone the peer is told that this was no end in good order: other sockets know no reset. */
function breakOff(socket: net.Socket): void {
  if (isOfNetwork(socket)) socket.resetAndDestroy();
  else socket.destroy();
}

const isOfNetwork = ({ remoteFamily }: net.Socket): boolean => remoteFamily !== undefined;
