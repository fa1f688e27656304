// What a transport can fail with: MigrationErrors whose codes are listed here.
import { MigrationError, type MigrationErrorInit } from "@godwit/core";

/** Stable codes of transports, beside those of `@godwit/core`. */
export const transportErrorCodes = {
  TRANSPORT_ADDRESS: "the address is malformed, unknown, or not free to listen on",
  TRANSPORT_CLOSED: "the channel or listener is closed, by this side, by the peer or by the network",
  TRANSPORT_CREDENTIALS: "a side of a TLS connection does not show what the other wants, or has nothing to show",
  TRANSPORT_REFUSED: "nobody accepts connections at this address, or nobody answers",
  TRANSPORT_UNSUPPORTED: "this transport does not serve such an address",
} as const;

export type TransportErrorCode = keyof typeof transportErrorCodes;

export function transportError(code: TransportErrorCode, detail: string, init?: MigrationErrorInit): MigrationError {
  return new MigrationError(code, detail, init);
}
