// unix:path on node:net, which Node, Bun and Deno have. Unlike TCP's, such a connection cannot be reset: a peer that
// aborts is seen by a reader as one that has closed, and what it sent must itself say whether it is whole.
import { lstatSync, unlinkSync } from "node:fs";
import net from "node:net";
import type { Channel, Listener, Transport } from "./channel.ts";
import { transportError } from "./errors.ts";
import { connected, listenerOf, listening } from "./socket-channel.ts";
import { addressOf } from "./uri.ts";

/** What Linux has for a socket's path, without the NUL behind it; a longer one would be cut. Bytes. */
const pathLimitBytes = 107;

/** Connects to `unix:path`. `TRANSPORT_REFUSED`, `TRANSPORT_ADDRESS`, `TRANSPORT_UNSUPPORTED`. */
export async function connect(uri: string): Promise<Channel> {
  const path = pathOf(uri);
  const socket = net.connect({ path, allowHalfOpen: true });
  return connected(socket, (cause: NodeJS.ErrnoException) => {
    const code = cause.code === "ENOTDIR" ? "TRANSPORT_ADDRESS" : "TRANSPORT_REFUSED";
    return transportError(code, "no connection", { found: uri, cause });
  });
}

/**
 * Listens on `unix:path`, and removes the socket when it is closed. One that a listener which is no more has left behind
 * is replaced; anything else that stands there is not. `TRANSPORT_ADDRESS`, `TRANSPORT_UNSUPPORTED`.
 */
export async function listen(uri: string): Promise<Listener> {
  const path = pathOf(uri);
  if (isSocket(path)) {
    if (await isServed(path)) throw refused(uri, "somebody listens there");
    unlinkSync(path);
  }
  const server = net.createServer({ allowHalfOpen: true });
  try {
    await listening(server, { path });
  } catch (cause) {
    throw refused(uri, "this address cannot be listened on", cause);
  }
  const { ino } = lstatSync(path);
  return listenerOf(server, uri, () => remove(path, ino));
}

export const unix: Transport = { scheme: "unix", connect, listen };

function pathOf(uri: string): string {
  const path = addressOf(uri, "unix");
  const bytes = new TextEncoder().encode(path).length;
  if (bytes > 0 && bytes <= pathLimitBytes && !path.includes("\0")) return path;
  throw transportError("TRANSPORT_ADDRESS", "the address cannot be read", {
    expected: `a path of 1 to ${pathLimitBytes} bytes`,
    found: `${path} (${bytes} bytes)`,
  });
}

function refused(uri: string, detail: string, cause?: unknown): unknown {
  return transportError("TRANSPORT_ADDRESS", detail, { found: uri, ...(cause !== undefined && { cause }) });
}

function isSocket(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSocket() ?? false;
}

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ path });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", ({ code }: NodeJS.ErrnoException) => resolve(code !== "ECONNREFUSED" && code !== "ENOENT"));
  });
}

/** Not every runtime does it by itself; and by now the path may be another listener's. */
function remove(path: string, ino: number): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.ino === ino) unlinkSync(path);
}
