// Channels over a MessagePort that is handed in: between a page and its workers, between two tabs, between threads. The
// port of browsers, Deno and Bun and that of Node's threads have the same shape.
import { arrivalQueue } from "./arrivals.ts";
import type { Channel, Listener } from "./channel.ts";
import { type MessagePortLike, messageSocket } from "./message-port-socket.ts";
import { webSocketChannel } from "./ws-channel.ts";

export type { MessagePortLike } from "./message-port-socket.ts";

/**
 * The channel over this port, whose peer makes one over the port's other end; it takes the port over, starts it, and closes
 * it in the end. Bytes are copied once, and their buffers transferred. At most 1 MiB is under way each way: the receiver
 * says what it has read.
 *
 * `TRANSPORT_CLOSED` where the peer breaks the channel or speaks something else, and where it is gone and the port says so
 * by a `close` event: those of Node and Bun do. In Deno, and in Chromium (156), a peer whose page or worker has ended is one
 * that is silent, which only a time limit tells: `peerTimeoutMs` of `@godwit/migration` is one. So is, everywhere, a port
 * of which an end was closed before this: its event is over.
 */
export function messagePortChannel(port: MessagePortLike): Channel {
  const { socket, start } = messageSocket(port);
  const channel = webSocketChannel(socket);
  start();
  return channel;
}

/** A listener for ports that come by somebody else's messages, each of which is handed to `offer`. */
export interface MessagePortListener extends Listener {
  /** A port that nobody has accepted when the listener closes, or beyond 256 that wait, is broken. */
  offer(port: MessagePortLike): void;
}

/** There is no address to connect to: whoever connects makes a MessageChannel, and has one of its ports offered here. */
export function messagePortListener(): MessagePortListener {
  const uri = "message-port:";
  const arrivals = arrivalQueue(uri);
  return {
    uri,
    accept: () => arrivals.accept(),
    close: async () => arrivals.close(),
    offer: (port) => arrivals.offer(messagePortChannel(port)),
  };
}
