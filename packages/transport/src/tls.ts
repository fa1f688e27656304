// tls:host:port on node:tls, which Node, Bun and Deno have: a server with a certificate, clients with one where the server
// wants it, or on Node a key that both have.
//
// A client is through with its handshake before the server has looked at its certificate: always in TLS 1.3, and in 1.2
// with servers that look at it themselves. So two peers of ours agree, in the handshake (ALPN), on one byte with which the
// server says that it accepts; connecting waits for it. Whoever does not offer or take that, QEMU for one, gets TLS and
// the stream and nothing else, and a client is told of a refusal when it next sends or reads.
import { createPrivateKey } from "node:crypto";
import net from "node:net";
import type { Duplex } from "node:stream";
import nodeTls from "node:tls";
import type { MigrationError } from "@godwit/core";
import { arrivalQueue } from "./arrivals.ts";
import type { Channel, Listener, Transport } from "./channel.ts";
import { transportError } from "./errors.ts";
import { gatedSocket } from "./gated-socket.ts";
import { channelOver, isUnknownHost, keepAliveMs, listening } from "./socket-channel.ts";
import { credentialsError, type Pem, requireKeysServed, type TlsOptions } from "./tls-credentials.ts";
import { addressOf, formatHostAndPort, type HostAndPort, parseHostAndPort } from "./uri.ts";

export type { Pem, PreSharedKey, TlsOptions } from "./tls-credentials.ts";

/** The protocol that peers of ours agree on, and the byte that stands in it before the channel's first. */
const acceptance = { protocol: "godwit-accepts/1", byte: 0x06 } as const;
/** How long a peer may take for its handshake. Milliseconds. */
const handshakeTimeoutMs = 30_000;

/** Deno encrypts all that it is given, and says that it is written: it is given this at a time. Bytes. */
const pieceBytes = 256 * 1024;

/**
 * The transport with these credentials. Connecting fails with `TRANSPORT_CREDENTIALS` when either side refuses the
 * other's, and `TRANSPORT_REFUSED`, `TRANSPORT_ADDRESS`; either side with `TRANSPORT_UNSUPPORTED` for a pre-shared key
 * outside Node.
 */
export function tls(options: TlsOptions = {}): Transport {
  return {
    scheme: "tls",
    connect: (uri) => connect(uri, options),
    listen: (uri) => listen(uri, options),
  };
}

async function connect(uri: string, options: TlsOptions): Promise<Channel> {
  const address = parseHostAndPort(addressOf(uri, "tls"));
  requireKeysServed(options, uri);
  const carrier = carrierOf(await connectedSocket(address, uri));
  let socket: nodeTls.TLSSocket;
  try {
    socket = nodeTls.connect({ ...clientOptions(options, address), socket: carrier.stream });
  } catch (cause) {
    carrier.raw.destroy();
    throw unusable(uri, cause);
  }
  await handshaken(socket, uri);
  const channel = channelOf(socket, carrier, uri);
  return socket.alpnProtocol === acceptance.protocol ? accepted(channel, uri) : channel;
}

async function listen(uri: string, options: TlsOptions): Promise<Listener> {
  const address = parseHostAndPort(addressOf(uri, "tls"));
  requireKeysServed(options, uri);
  requireIdentity(options, uri);
  const server = net.createServer({ allowHalfOpen: true, noDelay: true });
  try {
    await listening(server, address);
  } catch (cause) {
    throw transportError("TRANSPORT_ADDRESS", "this address cannot be listened on", { found: uri, cause });
  }
  const { port } = server.address() as net.AddressInfo;
  return listenerOf(server, `tls:${formatHostAndPort({ host: address.host, port })}`, options);
}

function listenerOf(server: net.Server, uri: string, options: TlsOptions): Listener {
  const arrivals = arrivalQueue(uri);
  const handshaking = new Set<net.Socket>();
  server.on("connection", (raw) => {
    handshaking.add(raw);
    served(raw, uri, options)
      .then((channel) => arrivals.offer(channel))
      .catch((error: MigrationError) => options.onRefused?.(error))
      .finally(() => handshaking.delete(raw));
  });
  server.on("error", () => arrivals.close());
  let open = true;
  return {
    uri,
    accept: () => arrivals.accept(),
    async close() {
      if (!open) return;
      open = false;
      arrivals.close();
      server.close();
      for (const raw of handshaking) raw.destroy();
    },
  };
}

/**
 * The handshake with one client. Node and Deno say of a wrong certificate that the socket hung up, so that the verdict is
 * asked for here: the runtime takes any, and who is not authorized never becomes a channel.
 */
function served(raw: net.Socket, uri: string, options: TlsOptions): Promise<Channel> {
  return new Promise((resolve, reject) => {
    const carrier = carrierOf(raw);
    const settings = serverOptions(options);
    // A server a connection: it tells its one socket's carrier from others'.
    const server = nodeTls.createServer({ allowHalfOpen: true, ...settings, rejectUnauthorized: false });
    const timer = setTimeout(() => raw.destroy(), handshakeTimeoutMs);
    const failed = (error: MigrationError): void => {
      clearTimeout(timer);
      reject(error);
    };
    raw.once("close", () => failed(brokenOff(uri)));
    server.on("tlsClientError", (error, socket) => {
      failed(credentialsError(error, uri) ?? brokenOff(uri, error));
      socket.destroy();
      raw.destroy();
    });
    server.on("secureConnection", (socket) => {
      clearTimeout(timer);
      if (settings.requestCert === true && !socket.authorized) {
        const found = `${uri}: ${socket.authorizationError ?? "no certificate"}`;
        failed(transportError("TRANSPORT_CREDENTIALS", "a client's certificate is not the right one", { found }));
        // Not at once: in TLS 1.2 the client waits for the handshake's last message.
        socket.on("error", () => {});
        socket.end(() => socket.destroy());
        return;
      }
      const channel = channelOf(socket, carrier, uri);
      if (socket.alpnProtocol === acceptance.protocol) socket.write(Uint8Array.of(acceptance.byte));
      resolve(channel);
    });
    server.emit("connection", carrier.stream);
  });
}

/** What a key that is none, or another certificate's, would otherwise say with the first client. */
function requireIdentity(options: TlsOptions, uri: string): void {
  if (options.psk === undefined && (options.cert === undefined || options.key === undefined)) {
    throw transportError("TRANSPORT_CREDENTIALS", "a listener needs a certificate and its key, or a pre-shared key", {
      found: uri,
    });
  }
  try {
    const { key, passphrase } = options;
    if (typeof key === "string") createPrivateKey({ key, ...(passphrase !== undefined && { passphrase }) });
    nodeTls.createSecureContext(sharedOptions(options));
  } catch (cause) {
    throw unusable(uri, cause);
  }
}

/** What TLS goes over: the socket, and where a runtime needs it a gate before that. */
interface Carrier {
  readonly raw: net.Socket;
  readonly stream: Duplex;
  readonly gate?: (open: boolean) => void;
  readonly room: () => Promise<void>;
}

function carrierOf(raw: net.Socket): Carrier {
  raw.setKeepAlive(true, keepAliveMs);
  const room = async (): Promise<void> => {};
  if (!("deno" in process.versions)) return { raw, stream: raw, room };
  const stream = gatedSocket(raw);
  return { raw, stream, gate: (open) => stream.gate(open), room: () => stream.room() };
}

function unusable(uri: string, cause: unknown): MigrationError {
  return transportError("TRANSPORT_CREDENTIALS", "the certificate, key or CA cannot be used", { found: uri, cause });
}

function connectedSocket(address: HostAndPort, uri: string): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ ...address, allowHalfOpen: true, noDelay: true });
    const failed = (cause: NodeJS.ErrnoException): void => {
      const code = isUnknownHost(cause) ? "TRANSPORT_ADDRESS" : "TRANSPORT_REFUSED";
      reject(transportError(code, "no connection", { found: uri, cause }));
    };
    socket.once("error", failed);
    socket.once("connect", () => {
      socket.off("error", failed);
      resolve(socket);
    });
  });
}

function handshaken(socket: nodeTls.TLSSocket, uri: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(brokenOff(uri, undefined, "the peer does not answer the handshake"));
      socket.destroy();
    }, handshakeTimeoutMs);
    const failed = (error: unknown): void => {
      clearTimeout(timer);
      reject(credentialsError(error, uri) ?? brokenOff(uri, error));
      socket.destroy();
    };
    socket.on("error", failed);
    socket.once("secureConnect", () => {
      clearTimeout(timer);
      socket.off("error", failed);
      resolve();
    });
  });
}

/** Waits for the server's byte; what comes behind it belongs to the channel. */
async function accepted(channel: Channel, uri: string): Promise<Channel> {
  const timer = setTimeout(
    () => channel.abort(brokenOff(uri, undefined, "the peer does not accept")),
    handshakeTimeoutMs,
  );
  const reader = channel.receive()[Symbol.asyncIterator]();
  try {
    const { value } = await reader.next();
    if (value?.[0] === acceptance.byte) return value.length === 1 ? channel : prefixed(value.subarray(1), channel);
    channel.abort(brokenOff(uri));
    const detail = "the peer closed where it should have accepted our credentials";
    throw transportError("TRANSPORT_CREDENTIALS", detail, { found: uri });
  } catch (cause) {
    if ((cause as { code?: unknown }).code === "TRANSPORT_CREDENTIALS") throw cause;
    const detail = "the peer broke off where it should have accepted our credentials";
    throw transportError("TRANSPORT_CREDENTIALS", detail, { found: uri, cause });
  } finally {
    clearTimeout(timer);
  }
}

/** The channel, with bytes that have been read from it already. */
function prefixed(first: Uint8Array, channel: Channel): Channel {
  const inner = channel.receive()[Symbol.asyncIterator]();
  let waiting: Uint8Array | undefined = first.slice();
  const next = (): Promise<IteratorResult<Uint8Array>> => {
    if (waiting === undefined) return inner.next();
    const value = waiting;
    waiting = undefined;
    return Promise.resolve({ done: false, value });
  };
  return {
    send: (bytes) => channel.send(bytes),
    receive: () => ({ [Symbol.asyncIterator]: () => ({ next }) }),
    close() {
      waiting = undefined;
      return channel.close();
    },
    abort(error) {
      waiting = undefined;
      channel.abort(error);
    },
  };
}

function channelOf(socket: nodeTls.TLSSocket, { raw, gate, room }: Carrier, uri: string): Channel {
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

function brokenOff(uri: string, cause?: unknown, detail = "the handshake did not come to its end"): MigrationError {
  return transportError("TRANSPORT_CLOSED", detail, { found: uri, ...(cause !== undefined && { cause }) });
}

function clientOptions(options: TlsOptions, { host }: HostAndPort): nodeTls.ConnectionOptions {
  const { hostname = host, psk } = options;
  const named = net.isIP(hostname) === 0 ? { servername: hostname } : {};
  return {
    ...sharedOptions(options),
    ...named,
    host: hostname,
    checkServerIdentity: psk === undefined ? (_, cert) => nodeTls.checkServerIdentity(hostname, cert) : () => undefined,
    ...(psk !== undefined && {
      ciphers: pskCiphers,
      pskCallback: () => ({ identity: psk.identity, psk: psk.key }),
    }),
  };
}

function serverOptions(options: TlsOptions): nodeTls.TlsOptions {
  const { ca, verifyPeer = ca !== undefined, psk } = options;
  const byCertificate = psk === undefined && verifyPeer;
  return {
    ...sharedOptions(options),
    requestCert: byCertificate,
    ...(psk !== undefined && {
      ciphers: pskCiphers,
      pskCallback: (_: unknown, identity: string) => (identity === psk.identity ? psk.key : null),
    }),
  };
}

/** Certificates are no way in where a key was asked for. */
const pskCiphers =
  "ECDHE-PSK-CHACHA20-POLY1305:ECDHE-PSK-AES256-CBC-SHA384:DHE-PSK-AES256-GCM-SHA384:PSK-AES256-GCM-SHA384:TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256";

function sharedOptions(options: TlsOptions): nodeTls.CommonConnectionOptions & nodeTls.SecureContextOptions {
  const { ca, cert, key, passphrase, minVersion, maxVersion } = options;
  return {
    ALPNProtocols: [acceptance.protocol],
    ...(ca !== undefined && { ca: pem(ca) }),
    ...(cert !== undefined && { cert: pem(cert) }),
    ...(key !== undefined && { key: pem(key) }),
    ...(passphrase !== undefined && { passphrase }),
    ...(minVersion !== undefined && { minVersion }),
    ...(maxVersion !== undefined && { maxVersion }),
  };
}

function pem(given: Pem): string | string[] {
  const text = (part: string | Uint8Array): string =>
    typeof part === "string" ? part : new TextDecoder().decode(part);
  return typeof given === "string" || given instanceof Uint8Array ? text(given) : given.map(text);
}
