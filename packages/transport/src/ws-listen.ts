// The servers of WebSockets that Bun and Deno have, as one: each connection at the path becomes a WebSocket of the
// standard's shape. The runtimes are known by what is used of them.
import type { WebSocketEventLike, WebSocketLike } from "./ws-channel.ts";

export interface WebSocketServing {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly cert?: string;
  readonly key?: string;
  /** Called while the connection opens, before any of its messages. */
  accepted(socket: WebSocketLike): void;
}

export interface WebSocketServer {
  readonly port: number;
  /** Accepts no more; connections live on. */
  close(): void;
}

type Serve = (serving: WebSocketServing) => Promise<WebSocketServer>;

interface BunSocket {
  data: BunConnection;
  readonly readyState: number;
  send(data: string | Uint8Array): number;
  close(code?: number, reason?: string): void;
  terminate(): void;
}

interface BunServer {
  readonly port: number;
  upgrade(request: Request, init: { readonly data: BunConnection }): boolean;
  stop(closeActive?: boolean): Promise<void>;
}

interface Runtimes {
  readonly Bun?: {
    serve(init: {
      readonly hostname: string;
      readonly port: number;
      readonly tls?: { readonly cert: string; readonly key: string };
      fetch(request: Request, server: BunServer): Response | undefined;
      readonly websocket: {
        readonly maxPayloadLength: number;
        readonly perMessageDeflate: false;
        open(socket: BunSocket): void;
        message(socket: BunSocket, data: string | Uint8Array): void;
        close(socket: BunSocket, code: number): void;
      };
    }): BunServer;
  };
  readonly Deno?: {
    serve(
      init: {
        readonly hostname: string;
        readonly port: number;
        readonly cert?: string;
        readonly key?: string;
        onListen(): void;
      },
      handler: (request: Request) => Response,
    ): { readonly addr: { readonly port: number }; shutdown(): Promise<void>; unref(): void };
    upgradeWebSocket(request: Request): { readonly socket: WebSocketLike; readonly response: Response };
  };
}

const { Bun: bun, Deno: deno } = globalThis as Runtimes;

/** A peer that sends bigger messages is not ours. Bytes. */
const messageLimitBytes = 1024 * 1024;

/** Bun tells a server, not a socket, what happens: here it goes to the socket's listeners. */
class BunConnection implements WebSocketLike {
  binaryType = "arraybuffer";
  readonly #listeners = new Map<string, ((event: WebSocketEventLike) => void)[]>();
  #socket: BunSocket | undefined;

  get readyState(): number {
    return this.#socket?.readyState ?? 0;
  }

  opened(socket: BunSocket): void {
    this.#socket = socket;
  }

  happened(type: string, event: WebSocketEventLike): void {
    for (const listener of this.#listeners.get(type) ?? []) listener(event);
  }

  send(data: string | Uint8Array): void {
    // 0 is dropped; below, it waits to be sent.
    if (this.#socket?.send(data) === 0 && data.length > 0) throw new Error("the WebSocket does not take the message");
  }

  close(code?: number, reason?: string): void {
    this.#socket?.close(code, reason);
  }

  terminate(): void {
    this.#socket?.terminate();
  }

  addEventListener(type: string, listener: (event: WebSocketEventLike) => void): void {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
  }
}

const refused = (status: number): Response => new Response(null, { status });

function atPath(request: Request, path: string): boolean {
  return new URL(request.url).pathname === path;
}

export const listenOnBun: Serve | undefined =
  bun &&
  (async ({ host, port, path, cert, key, accepted }) => {
    const server = bun.serve({
      hostname: host,
      port,
      ...(cert !== undefined && key !== undefined && { tls: { cert, key } }),
      fetch(request, server) {
        if (!atPath(request, path)) return refused(404);
        return server.upgrade(request, { data: new BunConnection() }) ? undefined : refused(426);
      },
      websocket: {
        maxPayloadLength: messageLimitBytes,
        perMessageDeflate: false,
        open(socket) {
          socket.data.opened(socket);
          accepted(socket.data);
        },
        message(socket, data) {
          // Bun's buffer is used again.
          socket.data.happened("message", { data: typeof data === "string" ? data : data.slice() });
        },
        close: (socket, code) => socket.data.happened("close", { code }),
      },
    });
    return { port: server.port, close: () => void server.stop(false) };
  });

/** Stopping Deno's server ends its WebSockets, too: it goes on, and refuses, until the last of them has ended. */
export const listenOnDeno: Serve | undefined =
  deno &&
  (async ({ host, port, path, cert, key, accepted }) => {
    let open = true;
    let connections = 0;
    const server = deno.serve(
      { hostname: host, port, ...(cert !== undefined && key !== undefined && { cert, key }), onListen() {} },
      (request) => {
        if (!open) return refused(503);
        if (!atPath(request, path)) return refused(404);
        if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") return refused(426);
        const { socket, response } = deno.upgradeWebSocket(request);
        connections++;
        socket.addEventListener("open", () => accepted(socket));
        socket.addEventListener("close", () => {
          connections--;
          stopIfIdle();
        });
        return response;
      },
    );
    const stopIfIdle = (): void => {
      if (!open && connections === 0) void server.shutdown();
    };
    return {
      port: server.addr.port,
      close() {
        open = false;
        server.unref();
        stopIfIdle();
      },
    };
  });
