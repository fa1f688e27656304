// Connections of a migration, as QEMU makes and takes them over a Unix socket.
import { connect, createServer, type Socket } from "node:net";

/** Connects one after another, so that they are taken in this order, and sends each one its bytes. */
export async function sendTo(path: string, connections: readonly Uint8Array[]): Promise<void> {
  const sockets: Socket[] = [];
  for (const _ of connections) {
    const socket = connect(path);
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    // What a peer refuses is told by QMP.
    socket.on("error", () => {});
    sockets.push(socket);
  }
  for (const [index, bytes] of connections.entries()) sockets[index]?.end(bytes);
}

export interface Listening {
  /** The error that `connected` or its takers threw. */
  readonly failed: Promise<never>;
  close(): Promise<void>;
}

/** What takes the bytes of one connection. */
export interface Taker {
  push(bytes: Uint8Array): void;
  end(): void;
}

/** Takes connections; `open` is given the first bytes of each, four at least. */
export async function listenAt(path: string, open: (first: Uint8Array) => Taker): Promise<Listening> {
  let fail: (error: unknown) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  failed.catch(() => {});
  const sockets: Socket[] = [];
  const guarded = (act: () => void): void => {
    try {
      act();
    } catch (error) {
      fail(error);
    }
  };
  const server = createServer((socket) => {
    sockets.push(socket);
    let taker: Taker | undefined;
    let head = new Uint8Array(0);
    socket.on("data", (chunk: Uint8Array) =>
      guarded(() => {
        if (taker !== undefined) taker.push(chunk);
        else {
          head = Buffer.concat([head, chunk]);
          if (head.length < 4) return;
          taker = open(head);
          taker.push(head);
        }
      }),
    );
    socket.on("end", () => guarded(() => taker?.end()));
    socket.on("error", fail);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    failed,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}
