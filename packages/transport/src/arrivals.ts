// The queue between connections that arrive and those who accept them, bounded like a socket's backlog.
import type { Channel } from "./channel.ts";
import { transportError } from "./errors.ts";

/**
 * Connections that may wait to be accepted; further ones are broken. QEMU opens up to 255 for multifd at once, and one for
 * urgent pages.
 */
const backlog = 256;

export interface ArrivalQueue<C extends Channel> {
  offer(connection: C): void;
  /** The only one that ever comes: whoever accepts behind it hears so at once, and does not wait for ever. */
  offerOnly(connection: C): void;
  accept(): Promise<C>;
  close(): void;
}

export function arrivalQueue<C extends Channel = Channel>(uri: string): ArrivalQueue<C> {
  const arrived: C[] = [];
  const waiting: { resolve(connection: C): void; reject(error: unknown): void }[] = [];
  let closed = false;
  let isOnly = false;
  const closedError = (): unknown => transportError("TRANSPORT_CLOSED", "the listener is closed", { found: uri });
  return {
    offer(connection) {
      const taker = waiting.shift();
      if (taker !== undefined) taker.resolve(connection);
      else if (closed || arrived.length >= backlog) connection.abort(closedError());
      else arrived.push(connection);
    },
    offerOnly(connection) {
      isOnly = true;
      this.offer(connection);
    },
    accept() {
      const connection = arrived.shift();
      if (connection !== undefined) return Promise.resolve(connection);
      if (isOnly && !closed) {
        return Promise.reject(transportError("TRANSPORT_CLOSED", "nobody else comes by this address", { found: uri }));
      }
      if (closed) return Promise.reject(closedError());
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
    },
    close() {
      closed = true;
      for (const connection of arrived.splice(0)) connection.abort(closedError());
      for (const taker of waiting.splice(0)) taker.reject(closedError());
    },
  };
}
