// ws: and wss: with a WebSocket that is given: the browser's, or the one that Bun, Deno and Node 22 have as a global, or
// that of the package `ws`. Bun and Deno can listen; elsewhere a server accepts the WebSocket, and `accept` takes it.
import { arrivalQueue } from "./arrivals.ts";
import type { Channel, Listener, Transport } from "./channel.ts";
import { transportError } from "./errors.ts";
import { type WebSocketLike, webSocketChannel } from "./ws-channel.ts";
import { listenOnBun, listenOnDeno, type WebSocketServer } from "./ws-listen.ts";

export type { WebSocketEventLike, WebSocketLike } from "./ws-channel.ts";

/** How long a peer may take for its handshake. Milliseconds. */
const handshakeTimeoutMs = 30_000;

export interface WebSocketOptions {
  /** Makes connections: `globalThis.WebSocket`, or what has its shape. */
  readonly WebSocket: new (
    uri: string,
  ) => WebSocketLike;
  /** PEM, to listen on `wss:`. */
  readonly cert?: string;
  readonly key?: string;
}

/**
 * The transport of `ws://host:port/path` and `wss://...`. Connecting fails with `TRANSPORT_REFUSED`, `TRANSPORT_ADDRESS`;
 * listening with `TRANSPORT_UNSUPPORTED` where the runtime has no server of WebSockets, with `TRANSPORT_ADDRESS`, and for
 * `wss:` without a certificate with `TRANSPORT_CREDENTIALS`.
 */
export function webSocket(options: WebSocketOptions): Transport {
  return {
    scheme: "ws",
    connect: (uri) => connect(uri, options),
    listen: (uri) => listen(uri, options),
  };
}

/** The channel of a WebSocket that a server has accepted; it may be open already, or about to be. */
export async function acceptWebSocket(socket: WebSocketLike): Promise<Channel> {
  // What arrives before anybody listens is lost: so binary messages must not wait for this function's promise.
  if (socket.readyState === 1) return webSocketChannel(socket);
  await opened(socket, "an accepted WebSocket");
  return webSocketChannel(socket);
}

/** A listener for a server that accepts WebSockets itself, and hands each of them to `offer`. */
export interface WebSocketListener extends Listener {
  offer(socket: WebSocketLike): void;
}

export function webSocketListener(uri: string): WebSocketListener {
  const arrivals = arrivalQueue(uri);
  return {
    uri,
    accept: () => arrivals.accept(),
    close: async () => arrivals.close(),
    offer(socket) {
      const offered = (channel: Channel): void => arrivals.offer(channel);
      // Who goes away before the connection is open is nobody.
      if (socket.readyState === 1) offered(webSocketChannel(socket));
      else
        opened(socket, uri)
          .then(() => offered(webSocketChannel(socket)))
          .catch(() => {});
    },
  };
}

async function connect(uri: string, { WebSocket }: WebSocketOptions): Promise<Channel> {
  const { href } = webSocketAddress(uri);
  let socket: WebSocketLike;
  try {
    socket = new WebSocket(href);
  } catch (cause) {
    throw transportError("TRANSPORT_ADDRESS", "the address cannot be used", { found: uri, cause });
  }
  return await new Promise((resolve, reject) => {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      reject(transportError("TRANSPORT_REFUSED", "the peer does not answer the handshake", { found: uri }));
      if (socket.terminate !== undefined) socket.terminate();
      else socket.close();
    }, handshakeTimeoutMs);
    // In the event itself: the first message may come before any promise goes on.
    socket.addEventListener("open", () => {
      clearTimeout(timer);
      if (late) socket.close();
      else resolve(webSocketChannel(socket));
    });
    const refused = ({ error, message }: { readonly error?: unknown; readonly message?: unknown }): void => {
      clearTimeout(timer);
      reject(transportError("TRANSPORT_REFUSED", "no connection", { found: uri, cause: error ?? message }));
    };
    socket.addEventListener("error", refused);
    socket.addEventListener("close", refused);
  });
}

async function listen(uri: string, options: WebSocketOptions): Promise<Listener> {
  const url = webSocketAddress(uri);
  const secure = url.protocol === "wss:";
  if (secure && (options.cert === undefined || options.key === undefined)) {
    throw transportError("TRANSPORT_CREDENTIALS", "listening on wss: needs a certificate and its key", { found: uri });
  }
  const serve = listenOnBun ?? listenOnDeno;
  if (serve === undefined) {
    const detail = "this runtime has no server of WebSockets: take one such as the package ws, and webSocketListener";
    throw transportError("TRANSPORT_UNSUPPORTED", detail, { found: uri });
  }
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const port = url.port === "" ? (secure ? 443 : 80) : Number(url.port);
  let server: WebSocketServer;
  let listener: WebSocketListener | undefined;
  try {
    server = await serve({
      host,
      port,
      path: url.pathname,
      ...(secure && { cert: options.cert ?? "", key: options.key ?? "" }),
      accepted: (socket) => listener?.offer(socket),
    });
  } catch (cause) {
    throw transportError("TRANSPORT_ADDRESS", "this address cannot be listened on", { found: uri, cause });
  }
  url.port = String(server.port);
  const inner = webSocketListener(url.href);
  listener = inner;
  return {
    uri: inner.uri,
    accept: () => inner.accept(),
    async close() {
      await inner.close();
      server.close();
    },
  };
}

function webSocketAddress(uri: string): URL {
  if (!uri.startsWith("ws:") && !uri.startsWith("wss:")) {
    throw transportError("TRANSPORT_UNSUPPORTED", "this is the ws transport", { expected: "ws://...", found: uri });
  }
  try {
    return new URL(uri);
  } catch (cause) {
    throw transportError("TRANSPORT_ADDRESS", "the address cannot be read", {
      expected: "ws://host:port/path or wss://host:port/path",
      found: uri,
      cause,
    });
  }
}

function opened(socket: WebSocketLike, found: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const gone = (): void => reject(transportError("TRANSPORT_CLOSED", "the connection did not come about", { found }));
    socket.addEventListener("open", () => resolve());
    socket.addEventListener("close", gone);
    socket.addEventListener("error", gone);
  });
}
