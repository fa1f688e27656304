// What a side of a TLS connection shows and whom it trusts, and what the runtime's errors say about it.
import type { MigrationError } from "@godwit/core";
import { transportError } from "./errors.ts";

/** A certificate or key as PEM, or several. */
export type Pem = string | Uint8Array | readonly (string | Uint8Array)[];

/** A key that both sides have instead of certificates. */
export interface PreSharedKey {
  /** The client shows it; the server has but this one (QEMU's is `qemu`). */
  readonly identity: string;
  /** 16 to 64 bytes that nobody else knows. */
  readonly key: Uint8Array;
}

export interface TlsOptions {
  /** Who signs the peer's certificate. A client's default is the runtime's own list; a server's is nobody. */
  readonly ca?: Pem;
  /** What this side shows: needed to listen, and to connect where the server asks for it. */
  readonly cert?: Pem;
  readonly key?: Pem;
  readonly passphrase?: string;
  /** Whether a listener demands a certificate of each client, signed by `ca`, which it then needs. The default is whether `ca` is given. */
  readonly verifyPeer?: boolean;
  /** The name that the server's certificate must carry, where it is not the address's host (QEMU's `tls-hostname`). */
  readonly hostname?: string;
  /** Instead of certificates, which are then neither shown nor trusted. Node only: elsewhere `TRANSPORT_UNSUPPORTED`, before anything is connected. */
  readonly psk?: PreSharedKey;
  /** The oldest and the newest version that is spoken. The defaults are the runtime's. */
  readonly minVersion?: "TLSv1.2" | "TLSv1.3";
  readonly maxVersion?: "TLSv1.2" | "TLSv1.3";
  /** A listener tells whom it turned away, and why: they are never accepted. What this throws is the program's uncaught error. */
  readonly onRefused?: (error: MigrationError) => void;
}

/** A key shorter than this is guessed, and one that is longer is no key of this kind. Bytes. */
const pskBytes = { min: 16, max: 64 } as const;

/** Bun and Deno have the option, too, and pay no attention to it: there the connection would be made without the key. */
export function requireKeysServed({ psk }: TlsOptions, uri: string): void {
  if (psk === undefined) return;
  if (!isNode()) {
    throw transportError("TRANSPORT_UNSUPPORTED", "this runtime has no pre-shared keys: take certificates, or Node", {
      found: uri,
    });
  }
  if (psk.key.length >= pskBytes.min && psk.key.length <= pskBytes.max) return;
  throw transportError("TRANSPORT_CREDENTIALS", "the pre-shared key is too short or too long", {
    expected: `${pskBytes.min} to ${pskBytes.max} bytes`,
    found: `${psk.key.length} bytes`,
  });
}

function isNode(): boolean {
  return !("bun" in process.versions) && !("deno" in process.versions);
}

/** The error of a handshake that did not come to its end; undefined where it is not about credentials. */
export function credentialsError(error: unknown, uri: string): MigrationError | undefined {
  const { code = "", message = "" } = error as { readonly code?: string; readonly message?: string };
  if (!isAboutCredentials(code) && !isAboutCredentials(alertCode(message))) return undefined;
  const peers = code.includes("ALERT") || message.includes("fatal alert");
  const detail = peers ? "the peer refuses our credentials" : "the peer's credentials are not the right ones";
  return transportError("TRANSPORT_CREDENTIALS", detail, { found: `${uri}: ${code || message}`, cause: error });
}

export function unusable(uri: string, cause: unknown): MigrationError {
  return transportError("TRANSPORT_CREDENTIALS", "the certificate, key or CA cannot be used", { found: uri, cause });
}

export function brokenOff(
  uri: string,
  cause?: unknown,
  detail = "the handshake did not come to its end",
): MigrationError {
  return transportError("TRANSPORT_CLOSED", detail, { found: uri, ...(cause !== undefined && { cause }) });
}

/** The runtimes have one vocabulary: OpenSSL's reasons, and the verdicts on a certificate. */
function isAboutCredentials(code: string): boolean {
  return verdicts.has(code) || reasons.test(code);
}

/** rustls names the alert in its message alone. */
function alertCode(message: string): string {
  const name = /fatal alert: (\w+)/.exec(message)?.[1] ?? "";
  return name.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}

const reasons =
  /CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED|DECRYPT_ERROR|DECRYPTION_FAILED|BAD_RECORD_MAC|UNKNOWN_PSK|PSK_IDENTITY|BINDER|HANDSHAKE_FAILURE|NO_SHARED_CIPHER|INSUFFICIENT_SECURITY|ILLEGAL_PARAMETER|ALTNAME/;

const verdicts: ReadonlySet<string> = new Set([
  "CERT_CHAIN_TOO_LONG",
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "CERT_REJECTED",
  "CERT_REVOKED",
  "CERT_SIGNATURE_FAILURE",
  "CERT_UNTRUSTED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "HOSTNAME_MISMATCH",
  "INVALID_CA",
  "INVALID_PURPOSE",
  "PATH_LENGTH_EXCEEDED",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_CRL",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);
