// Inherited sockets and pipes on Bun, whose node:net takes none: streams over Bun's own.
import { closeSync } from "node:fs";
import { Duplex, Readable } from "node:stream";

/** What is used of a socket of Bun's. */
interface NativeSocket {
  write(bytes: Uint8Array): number;
  end(): void;
  shutdown(): void;
  terminate(): void;
  pause(): void;
  resume(): void;
}

interface Bun {
  connect(init: {
    readonly fd: number;
    readonly allowHalfOpen: boolean;
    readonly socket: {
      readonly binaryType: "uint8array";
      open(socket: NativeSocket): void;
      data(socket: NativeSocket, bytes: Uint8Array): void;
      drain(socket: NativeSocket): void;
      end(socket: NativeSocket): void;
      close(socket: NativeSocket): void;
      error(socket: NativeSocket, error: Error): void;
    };
  }): Promise<NativeSocket>;
  file(fd: number): { stream(): ReadableStream<Uint8Array> };
}

export const bun = (globalThis as { readonly Bun?: Bun }).Bun;

/** A pipe to read. Bun's stream leaves the descriptor open, and so does a wait for bytes that is given up. */
export function bunPipe({ file }: Bun, fd: number): Readable {
  const reader = file(fd).stream().getReader();
  return new Readable({
    read() {
      reader.read().then(
        ({ done, value }) => this.push(done ? null : value),
        (error: Error) => this.destroy(error),
      );
    },
    destroy(error, done) {
      reader
        .cancel()
        .catch(() => {})
        .finally(() => {
          closeSync(fd);
          done(error);
        });
    },
  });
}

export async function bunSocket({ connect }: Bun, fd: number): Promise<Duplex> {
  let native: NativeSocket | undefined;
  let waiting: { rest: Uint8Array; done(error?: Error | null): void } | undefined;
  const stream = new Duplex({
    allowHalfOpen: true,
    read: () => native?.resume(),
    write(bytes: Uint8Array, _encoding, done) {
      waiting = { rest: bytes, done };
      flush();
    },
    final(done) {
      native?.shutdown();
      done();
    },
    destroy(error, done) {
      native?.terminate();
      done(error);
    },
  });
  const flush = (): void => {
    if (waiting === undefined || native === undefined) return;
    const { rest, done } = waiting;
    const taken = native.write(rest);
    if (taken < 0) {
      waiting = undefined;
      done(new Error("the socket is closed"));
    } else if (taken < rest.length) {
      waiting.rest = rest.subarray(taken);
    } else {
      waiting = undefined;
      done();
    }
  };
  await connect({
    fd,
    allowHalfOpen: true,
    socket: {
      binaryType: "uint8array",
      open(socket) {
        // Here, and not from the promise: bytes may come before that goes on.
        native = socket;
      },
      data(socket, bytes) {
        // Bun's buffer is used again.
        if (!stream.push(bytes.slice())) socket.pause();
      },
      drain: () => flush(),
      end: () => void stream.push(null),
      close: () => void stream.destroy(),
      error: (_, error) => void stream.destroy(error),
    },
  });
  return stream;
}
