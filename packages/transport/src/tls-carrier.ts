// What TLS goes over: the socket, and where a runtime needs it a gate before that; and the channel over both.
import type net from "node:net";
import type { Duplex } from "node:stream";
import type nodeTls from "node:tls";
import type { Channel } from "./channel.ts";
import { gatedSocket } from "./gated-socket.ts";
import { channelOver, keepAliveMs } from "./socket-channel.ts";
import { credentialsError } from "./tls-credentials.ts";

/** Deno encrypts all that it is given, and says that it is written: it is given this at a time. Bytes. */
const pieceBytes = 256 * 1024;

export interface Carrier {
  readonly raw: net.Socket;
  readonly stream: Duplex;
  readonly gate?: (open: boolean) => void;
  readonly room: () => Promise<void>;
}

export function carrierOf(raw: net.Socket): Carrier {
  raw.setKeepAlive(true, keepAliveMs);
  const room = async (): Promise<void> => {};
  if (!("deno" in process.versions)) return { raw, stream: raw, room };
  const stream = gatedSocket(raw);
  return { raw, stream, gate: (open) => stream.gate(open), room: () => stream.room() };
}

/** The channel of a connection whose handshake is done. */
export function channelOf(socket: nodeTls.TLSSocket, { raw, gate, room }: Carrier, uri: string): Channel {
  socket.once("close", () => raw.destroy());
  return channelOver(socket, {
    errorOf: (error) => credentialsError(error, uri),
    reset: () => {
      raw.resetAndDestroy();
      socket.destroy();
    },
    ...(gate !== undefined && { gate, pieces: { bytes: pieceBytes, room } }),
  });
}
