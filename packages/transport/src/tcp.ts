// tcp:host:port on node:net, which Node, Bun and Deno have.
import net from "node:net";
import type { Channel, Listener, Transport } from "./channel.ts";
import { transportError } from "./errors.ts";
import { connectError, connected, listenerOf, listening } from "./socket-channel.ts";
import { addressOf, formatHostAndPort, parseHostAndPort } from "./uri.ts";

/** Connects to `tcp:host:port`. `TRANSPORT_REFUSED`, `TRANSPORT_ADDRESS`, `TRANSPORT_UNSUPPORTED`. */
export async function connect(uri: string): Promise<Channel> {
  const address = parseHostAndPort(addressOf(uri, "tcp"));
  const socket = net.connect({ ...address, allowHalfOpen: true, noDelay: true });
  return connected(socket, (error) => connectError(error, uri));
}

/** Listens on `tcp:host:port`; port 0 takes a free one. `TRANSPORT_ADDRESS`, `TRANSPORT_UNSUPPORTED`. */
export async function listen(uri: string): Promise<Listener> {
  const address = parseHostAndPort(addressOf(uri, "tcp"));
  const server = net.createServer({ allowHalfOpen: true, noDelay: true });
  try {
    await listening(server, address);
  } catch (cause) {
    throw transportError("TRANSPORT_ADDRESS", "this address cannot be listened on", { found: uri, cause });
  }
  const { port } = server.address() as net.AddressInfo;
  return listenerOf(server, `tcp:${formatHostAndPort({ host: address.host, port })}`);
}

export const tcp: Transport = { scheme: "tcp", connect, listen };
