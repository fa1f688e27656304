// tls:host:port on node:tls, which Node, Bun and Deno have: a server with a certificate, clients with one where the server
// wants it, or on Node a key that both have.
import net from "node:net";
import nodeTls from "node:tls";
import type { Channel, Listener, Transport } from "./channel.ts";
import { transportError } from "./errors.ts";
import { connectError, listening } from "./socket-channel.ts";
import { acceptance, accepted } from "./tls-acceptance.ts";
import { type Carrier, carrierOf, channelOf } from "./tls-carrier.ts";
import { brokenOff, credentialsError, type TlsOptions, unusable } from "./tls-credentials.ts";
import { handshakeTimeoutMs, tlsListener } from "./tls-listener.ts";
import { clientSettings, requireIdentity, requireUsable } from "./tls-settings.ts";
import { addressOf, formatHostAndPort, type HostAndPort, parseHostAndPort } from "./uri.ts";

export type { Pem, PreSharedKey, TlsOptions } from "./tls-credentials.ts";

/**
 * The transport with these credentials. Connecting fails with `TRANSPORT_CREDENTIALS` when either side refuses the
 * other's, or what is given cannot be used, and with `TRANSPORT_REFUSED`, `TRANSPORT_ADDRESS`, `TRANSPORT_CLOSED` (the
 * handshake broke off, or took longer than 30 s); either side with `TRANSPORT_UNSUPPORTED` for a pre-shared key outside
 * Node.
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
  requireUsable(options, uri);
  const { channel, protocol } = await new Promise<Secured>((resolve, reject) => {
    const raw = net.connect({ ...address, allowHalfOpen: true, noDelay: true });
    const refused = (error: Error): void => reject(connectError(error, uri));
    raw.once("error", refused);
    // Each step in the event itself: an error that follows at once must find its listener.
    raw.once("connect", () => {
      raw.off("error", refused);
      secured(raw, address, uri, options).then(resolve, reject);
    });
  });
  return protocol === acceptance.protocol ? accepted(channel, uri, handshakeTimeoutMs) : channel;
}

async function listen(uri: string, options: TlsOptions): Promise<Listener> {
  const address = parseHostAndPort(addressOf(uri, "tls"));
  requireUsable(options, uri);
  requireIdentity(options, uri);
  const server = net.createServer({ allowHalfOpen: true, noDelay: true });
  try {
    await listening(server, address);
  } catch (cause) {
    throw transportError("TRANSPORT_ADDRESS", "this address cannot be listened on", { found: uri, cause });
  }
  const { port } = server.address() as net.AddressInfo;
  return tlsListener(server, `tls:${formatHostAndPort({ host: address.host, port })}`, options);
}

/** A connection whose handshake is done. */
interface Secured {
  readonly channel: Channel;
  /** What ALPN has agreed on. */
  readonly protocol: string | false | null;
}

function secured(raw: net.Socket, address: HostAndPort, uri: string, options: TlsOptions): Promise<Secured> {
  return new Promise((resolve, reject) => {
    const carrier: Carrier = carrierOf(raw);
    let socket: nodeTls.TLSSocket;
    try {
      socket = nodeTls.connect({ ...clientSettings(options, address), socket: carrier.stream });
    } catch (cause) {
      raw.destroy();
      reject(unusable(uri, cause));
      return;
    }
    let done = false;
    const failed = (error: unknown): void => {
      if (done) return;
      done = true;
      clearTimeout(timer);
      reject(error);
      socket.destroy();
      raw.destroy();
    };
    const timer = setTimeout(() => {
      failed(brokenOff(uri, undefined, "the peer does not answer the handshake"));
    }, handshakeTimeoutMs);
    const broken = (error: Error): void => failed(credentialsError(error, uri) ?? brokenOff(uri, error));
    raw.on("error", broken);
    socket.on("error", broken);
    socket.once("close", () => failed(brokenOff(uri)));
    socket.once("secureConnect", () => {
      if (done) return;
      done = true;
      clearTimeout(timer);
      resolve({ channel: channelOf(socket, carrier, uri), protocol: socket.alpnProtocol });
    });
  });
}
