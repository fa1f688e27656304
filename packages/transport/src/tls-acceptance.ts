// How a client learns that its certificate is accepted, which TLS does not say: it is through with its handshake before the
// server has looked at it, always in TLS 1.3, and in 1.2 with servers that look at it themselves. So two peers of ours agree,
// in the handshake (ALPN), on one byte with which the server says that it accepts; connecting waits for it. Whoever does not
// offer or take that, QEMU for one, gets TLS and the stream and nothing else, and a client is told of a refusal when it next
// sends or reads.
import type { Channel } from "./channel.ts";
import { transportError } from "./errors.ts";
import { brokenOff } from "./tls-credentials.ts";

/** The protocol that peers of ours agree on, and the byte that stands in it before the channel's first. */
export const acceptance = { protocol: "godwit-accepts/1", byte: 0x06 } as const;

/** Waits for the server's byte; what comes behind it belongs to the channel. */
export async function accepted(channel: Channel, uri: string, timeoutMs: number): Promise<Channel> {
  const timer = setTimeout(() => channel.abort(brokenOff(uri, undefined, "the peer does not accept")), timeoutMs);
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
  let waiting: Uint8Array | undefined = new Uint8Array(first);
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
