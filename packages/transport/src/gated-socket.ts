// A stream over a socket that lets nothing in while its gate is shut, and tells when more may go out: for TLS on Deno, whose
// TLS sockets, when they are paused, go on to read and to keep whatever a peer sends, and take whatever is written.
import type net from "node:net";
import { Duplex } from "node:stream";

export interface GatedSocket extends Duplex {
  gate(open: boolean): void;
  /** Resolves when no more waits to be sent than the stream's mark. */
  room(): Promise<void>;
}

export function gatedSocket(socket: net.Socket): GatedSocket {
  let open = true;
  const stream = new Duplex({
    allowHalfOpen: true,
    read() {
      if (open) socket.resume();
    },
    write(bytes: Uint8Array, _encoding, done) {
      socket.write(bytes, done);
    },
    final(done) {
      socket.end(() => done());
    },
    destroy(error, done) {
      socket.destroy();
      done(error);
    },
  });
  socket.on("data", (chunk: Uint8Array) => {
    if (!stream.push(chunk) || !open) socket.pause();
  });
  socket.on("end", () => stream.push(null));
  socket.on("error", (error) => stream.destroy(error));
  socket.on("close", () => stream.destroy());
  return Object.assign(stream, {
    room(): Promise<void> {
      if (!stream.writableNeedDrain) return Promise.resolve();
      return new Promise((resolve) => {
        stream.once("drain", resolve);
        stream.once("close", resolve);
      });
    },
    gate(wanted: boolean) {
      open = wanted;
      if (wanted) socket.resume();
      else socket.pause();
    },
  });
}
