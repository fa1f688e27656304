// The transport of an address, as QEMU writes it: each is imported when it is asked for.
import type { Transport } from "./channel.ts";
import { transportError } from "./errors.ts";
import type { TlsOptions } from "./tls-credentials.ts";
import type { WebSocketOptions } from "./ws.ts";

/** What an address does not say. */
export interface TransportOptions {
  /** For `tls:`. The default shows nothing, and trusts whom the runtime trusts. */
  readonly tls?: TlsOptions;
  /** For `ws:` and `wss:`. The default is the global WebSocket, where there is one. */
  readonly webSocket?: WebSocketOptions;
  /** For `memory:`, which reaches the listeners of this very transport. */
  readonly memory?: Transport;
}

/** The schemes, as they stand before the first colon of an address. */
export const schemes = ["tcp", "tls", "unix", "file", "exec", "fd", "ws", "wss", "memory"] as const;

/**
 * The transport that serves this address. It also knows QEMU's ways to leave out a host: `tcp:0:PORT` and `tcp::PORT` (and
 * `tls:`) listen on every address, and connect to this machine. `TRANSPORT_UNSUPPORTED` for a scheme that is unknown, or
 * that lacks its option.
 */
export async function transportFor(uri: string, options: TransportOptions = {}): Promise<Transport> {
  const scheme = schemes.find((known) => uri.startsWith(`${known}:`));
  switch (scheme) {
    case "tcp":
      return withoutHost((await import("./tcp.ts")).tcp);
    case "tls":
      return withoutHost((await import("./tls.ts")).tls(options.tls));
    case "unix":
      return (await import("./unix.ts")).unix;
    case "file":
      return (await import("./file.ts")).file;
    case "exec":
      return (await import("./exec.ts")).exec;
    case "fd":
      return (await import("./fd.ts")).fd;
    case "ws":
    case "wss":
      return (await import("./ws.ts")).webSocket(options.webSocket ?? globalWebSocket(uri));
    case "memory":
      if (options.memory !== undefined) return options.memory;
      throw unsupported(uri, "memory: needs the transport that listens in this process");
    default:
      throw unsupported(uri, "no transport serves this address");
  }
}

function withoutHost(transport: Transport): Transport {
  const { scheme } = transport;
  const named = (uri: string, host: string): string =>
    uri.replace(new RegExp(`^${scheme}:0?:(?=\\d+$)`), `${scheme}:${host}:`);
  return {
    scheme,
    connect: (uri) => transport.connect(named(uri, "127.0.0.1")),
    listen: (uri) => transport.listen(named(uri, "0.0.0.0")),
  };
}

function globalWebSocket(uri: string): WebSocketOptions {
  const { WebSocket } = globalThis as { readonly WebSocket?: WebSocketOptions["WebSocket"] };
  if (WebSocket !== undefined) return { WebSocket };
  throw unsupported(uri, "this runtime has no WebSocket: give one as `webSocket`");
}

function unsupported(found: string, detail: string): unknown {
  return transportError("TRANSPORT_UNSUPPORTED", detail, {
    expected: schemes.map((known) => `${known}:`).join(" "),
    found,
  });
}
