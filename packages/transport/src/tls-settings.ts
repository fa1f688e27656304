// What a side of a TLS connection tells the runtime, and what is looked at before: a key or certificate that is none.
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import net from "node:net";
import nodeTls from "node:tls";
import { transportError } from "./errors.ts";
import { acceptance } from "./tls-acceptance.ts";
import { type Pem, requireKeysServed, type TlsOptions, unusable } from "./tls-credentials.ts";
import type { HostAndPort } from "./uri.ts";

export function clientSettings(options: TlsOptions, { host }: HostAndPort): nodeTls.ConnectionOptions {
  const { hostname = host, psk } = options;
  const named = net.isIP(hostname) === 0 ? { servername: hostname } : {};
  if (psk !== undefined) {
    return {
      ...versions(options),
      ...named,
      host: hostname,
      ciphers: pskCiphers,
      pskCallback: () => ({ identity: psk.identity, psk: psk.key }),
      // TLS 1.3 goes on with a certificate where the server does not know the key: no authority is trusted then, nor any name.
      ca: [],
      checkServerIdentity: (_, { raw }) =>
        raw === undefined ? undefined : Object.assign(new Error("a certificate, no key"), { code: "PSK_IDENTITY" }),
    };
  }
  return {
    ...versions(options),
    ...certificates(options),
    ...named,
    host: hostname,
    checkServerIdentity: (_, cert) => nodeTls.checkServerIdentity(hostname, cert),
  };
}

export function serverSettings(options: TlsOptions): nodeTls.TlsOptions {
  const { ca, verifyPeer = ca !== undefined, psk } = options;
  if (psk === undefined) return { ...versions(options), ...certificates(options), requestCert: verifyPeer };
  return {
    // And no certificate: with one, TLS 1.3 would let in whoever has no key at all.
    ...versions(options),
    requestCert: false,
    ciphers: pskCiphers,
    pskCallback: (_: unknown, identity: string) => (identity === psk.identity ? psk.key : null),
  };
}

/**
 * Deno connects with a key that is none, as if there were no certificate; and what every runtime says of wrong ones with the
 * first connection is said here before any. `TRANSPORT_CREDENTIALS`, `TRANSPORT_UNSUPPORTED`.
 */
export function requireUsable(options: TlsOptions, uri: string): void {
  requireKeysServed(options, uri);
  if (options.psk !== undefined) return;
  const { ca, cert, key, passphrase } = options;
  if ((cert === undefined) !== (key === undefined)) {
    throw transportError("TRANSPORT_CREDENTIALS", "a certificate needs its key, and a key its certificate", {
      found: uri,
    });
  }
  try {
    for (const authority of parts(ca)) new X509Certificate(authority);
    const leaves = parts(cert).map((part) => new X509Certificate(part));
    const keys = parts(key).map((part) =>
      createPrivateKey({ key: part, ...(passphrase !== undefined && { passphrase }) }),
    );
    const fits = (leaf: KeyObject): boolean => leaves.some((certificate) => certificate.checkPrivateKey(leaf));
    if (!keys.every(fits)) throw new Error("the key is another certificate's");
    nodeTls.createSecureContext({ ...versions(options), ...certificates(options) });
  } catch (cause) {
    throw unusable(uri, cause);
  }
}

/** `TRANSPORT_CREDENTIALS` where a listener has nothing to show, or nobody to verify its clients by. */
export function requireIdentity({ psk, ca, cert, verifyPeer }: TlsOptions, uri: string): void {
  if (psk !== undefined) return;
  if (cert === undefined) {
    throw transportError("TRANSPORT_CREDENTIALS", "a listener needs a certificate and its key, or a pre-shared key", {
      found: uri,
    });
  }
  // The runtime's own list would do for it: anybody whom any public authority has signed.
  if (verifyPeer === true && ca === undefined) {
    throw transportError("TRANSPORT_CREDENTIALS", "a listener that verifies its clients needs to know who signs them", {
      expected: "ca",
      found: uri,
    });
  }
}

/** Those of TLS 1.2 are of keys alone; those of 1.3 do not say. */
const pskCiphers =
  "ECDHE-PSK-CHACHA20-POLY1305:ECDHE-PSK-AES256-CBC-SHA384:DHE-PSK-AES256-GCM-SHA384:PSK-AES256-GCM-SHA384:TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256";

function versions({ minVersion, maxVersion }: TlsOptions): Pick<nodeTls.TlsOptions, "minVersion" | "maxVersion"> & {
  readonly ALPNProtocols: string[];
} {
  return {
    ALPNProtocols: [acceptance.protocol],
    ...(minVersion !== undefined && { minVersion }),
    ...(maxVersion !== undefined && { maxVersion }),
  };
}

function certificates({ ca, cert, key, passphrase }: TlsOptions): nodeTls.SecureContextOptions {
  return {
    ...(ca !== undefined && { ca: parts(ca) }),
    ...(cert !== undefined && { cert: parts(cert) }),
    ...(key !== undefined && { key: parts(key) }),
    ...(passphrase !== undefined && { passphrase }),
  };
}

function parts(given: Pem | undefined): string[] {
  if (given === undefined) return [];
  const text = (part: string | Uint8Array): string =>
    typeof part === "string" ? part : new TextDecoder().decode(part);
  return typeof given === "string" || given instanceof Uint8Array ? [text(given)] : given.map(text);
}
