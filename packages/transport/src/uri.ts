// Addresses as QEMU writes them: scheme, colon, and what the scheme understands.
import { transportError } from "./errors.ts";

export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

/** What follows `scheme:`. `TRANSPORT_UNSUPPORTED` where the address is another transport's. */
export function addressOf(uri: string, scheme: string): string {
  const prefix = `${scheme}:`;
  if (uri.startsWith(prefix)) return uri.slice(prefix.length);
  throw transportError("TRANSPORT_UNSUPPORTED", `this is the ${scheme} transport`, {
    expected: `${prefix}...`,
    found: uri,
  });
}

/** Reads `host:port` and `[v6::address]:port`. `TRANSPORT_ADDRESS` where it is neither. */
export function parseHostAndPort(address: string): HostAndPort {
  const match = /^(?:\[([^[\]\s\0]+)\]|([^[\]:/\s\0]+)):(\d{1,5})$/.exec(address);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || !(port <= 65535)) {
    throw transportError("TRANSPORT_ADDRESS", "the address cannot be read", {
      expected: "host:port, with an IPv6 address in brackets",
      found: address,
    });
  }
  return { host, port };
}

export function formatHostAndPort({ host, port }: HostAndPort): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
