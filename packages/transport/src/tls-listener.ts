// A listener of TLS: each connection's handshake by itself, and who is not authorized never becomes a channel.
import type net from "node:net";
import nodeTls from "node:tls";
import type { MigrationError } from "@godwit/core";
import { arrivalQueue } from "./arrivals.ts";
import type { Channel, Listener } from "./channel.ts";
import { transportError } from "./errors.ts";
import { acceptance } from "./tls-acceptance.ts";
import { carrierOf, channelOf } from "./tls-carrier.ts";
import { brokenOff, credentialsError, type TlsOptions } from "./tls-credentials.ts";
import { serverSettings } from "./tls-settings.ts";

/** How long a peer may take for its handshake. Milliseconds. */
export const handshakeTimeoutMs = 30_000;

export function tlsListener(server: net.Server, uri: string, options: TlsOptions): Listener {
  const arrivals = arrivalQueue(uri);
  const handshaking = new Set<net.Socket>();
  let open = true;
  server.on("connection", (raw) => {
    handshaking.add(raw);
    served(raw, uri, options)
      .then((channel) => arrivals.offer(channel))
      .catch((error: MigrationError) => {
        if (open) tellSafely(options.onRefused, error);
      })
      .finally(() => handshaking.delete(raw));
  });
  server.on("error", () => arrivals.close());
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

/** What `onRefused` throws reaches the program as an uncaught error, and not the listener's own steps. */
function tellSafely(onRefused: TlsOptions["onRefused"], refusal: MigrationError): void {
  try {
    onRefused?.(refusal);
  } catch (error) {
    setTimeout(() => {
      throw error;
    }, 0);
  }
}

/**
 * The handshake with one client. Node and Deno say of a wrong certificate that the socket hung up, so that the verdict is
 * asked for here: the runtime takes any, and who is not authorized never becomes a channel.
 */
function served(raw: net.Socket, uri: string, options: TlsOptions): Promise<Channel> {
  return new Promise((resolve, reject) => {
    const settings = serverSettings(options);
    // Until the handshake is done a client that ends its side has left: half an open connection is for channels.
    raw.allowHalfOpen = false;
    const carrier = carrierOf(raw);
    // A server a connection: it tells its one socket's carrier from others'.
    const server = nodeTls.createServer({ allowHalfOpen: true, ...settings, rejectUnauthorized: false });
    const timer = setTimeout(() => raw.destroy(), handshakeTimeoutMs);
    const failed = (error: MigrationError): void => {
      clearTimeout(timer);
      reject(error);
    };
    const left = (): void => void raw.destroy();
    raw.once("end", left);
    raw.once("close", () => failed(brokenOff(uri)));
    server.on("tlsClientError", (error, socket) => {
      failed(credentialsError(error, uri) ?? brokenOff(uri, error));
      socket.destroy();
      raw.destroy();
    });
    server.on("secureConnection", (socket) => {
      clearTimeout(timer);
      raw.off("end", left);
      raw.allowHalfOpen = true;
      socket.allowHalfOpen = true;
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
