// Certificates for one run: an authority that nobody else knows, and one for each side, signed by it. node:crypto makes
// keys and signatures but no certificates, so their DER is written here (RFC 5280; keys on P-256, RFC 5480 and 5758).
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

/** What a side shows, and whom it trusts. PEM. */
export interface Credentials {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** Loopback only: the server's certificate is good for 127.0.0.1 and nothing else. */
const serverAddress = Uint8Array.of(127, 0, 0, 1);
/** From an hour ago, for clocks that are a little wrong, to a day from now. Milliseconds. */
const validMs = { before: 3_600_000, after: 86_400_000 } as const;

const tag = { boolean: 0x01, integer: 0x02, bits: 0x03, octets: 0x04, oid: 0x06, utf8: 0x0c, utc: 0x17 } as const;
const sequenceTag = 0x30;
const setTag = 0x31;

const oid = {
  ecdsaWithSha256: [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
  commonName: [0x55, 0x04, 0x03],
  keyUsage: [0x55, 0x1d, 0x0f],
  subjectAltName: [0x55, 0x1d, 0x11],
  basicConstraints: [0x55, 0x1d, 0x13],
  extendedKeyUsage: [0x55, 0x1d, 0x25],
  serverAuth: [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01],
  clientAuth: [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02],
} as const;

/** Made anew at each call. */
export function makeCredentials(): { readonly server: Credentials; readonly client: Credentials } {
  const authority = keyPair();
  const name = "godwit demonstration";
  const issued = (subject: string, publicKey: KeyObject, extensions: readonly Uint8Array[]): string =>
    pem("CERTIFICATE", certificate({ issuer: name, subject, publicKey, extensions }, authority.privateKey));
  // keyCertSign
  const ca = issued(name, authority.publicKey, [basicConstraints(true), keyUsage(0x04, 2)]);
  const side = (subject: string, more: readonly Uint8Array[]): Credentials => {
    const { publicKey, privateKey } = keyPair();
    // digitalSignature
    const cert = issued(subject, publicKey, [basicConstraints(false), keyUsage(0x80, 7), ...more]);
    return { ca, cert, key: privateKey.export({ type: "pkcs8", format: "pem" }).toString() };
  };
  // iPAddress is the eighth kind of name.
  const alternative = extension(oid.subjectAltName, false, sequence(der(0x87, serverAddress)));
  return {
    server: side("destination", [purpose(oid.serverAuth), alternative]),
    client: side("source", [purpose(oid.clientAuth)]),
  };
}

interface Content {
  readonly issuer: string;
  readonly subject: string;
  readonly publicKey: KeyObject;
  readonly extensions: readonly Uint8Array[];
}

function keyPair(): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } {
  return generateKeyPairSync("ec", { namedCurve: "prime256v1" });
}

function certificate({ issuer, subject, publicKey, extensions }: Content, signer: KeyObject): Uint8Array {
  const now = Date.now();
  const algorithm = sequence(der(tag.oid, Uint8Array.from(oid.ecdsaWithSha256)));
  const serial = randomBytes(16);
  // Positive, and of no byte too many.
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  const content = sequence(
    // Version 3 is written as 2.
    der(0xa0, der(tag.integer, Uint8Array.of(2))),
    der(tag.integer, serial),
    algorithm,
    distinguishedName(issuer),
    sequence(utcTime(now - validMs.before), utcTime(now + validMs.after)),
    distinguishedName(subject),
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(...extensions)),
  );
  return sequence(content, algorithm, bitString(sign("sha256", content, signer), 0));
}

function distinguishedName(commonName: string): Uint8Array {
  const value = der(tag.utf8, new TextEncoder().encode(commonName));
  return sequence(der(setTag, sequence(der(tag.oid, Uint8Array.from(oid.commonName)), value)));
}

/** YYMMDDHHMMSSZ. */
function utcTime(ms: number): Uint8Array {
  const digits = new Date(ms).toISOString().replace(/[-T:]/g, "").slice(2, 14);
  return der(tag.utc, new TextEncoder().encode(`${digits}Z`));
}

function extension(id: readonly number[], critical: boolean, value: Uint8Array): Uint8Array {
  const flag = critical ? [der(tag.boolean, Uint8Array.of(0xff))] : [];
  return sequence(der(tag.oid, Uint8Array.from(id)), ...flag, der(tag.octets, value));
}

function basicConstraints(isAuthority: boolean): Uint8Array {
  const flag = isAuthority ? [der(tag.boolean, Uint8Array.of(0xff))] : [];
  return extension(oid.basicConstraints, true, sequence(...flag));
}

/** `unused`: bits behind the last that is set. */
function keyUsage(bits: number, unused: number): Uint8Array {
  return extension(oid.keyUsage, true, bitString(Uint8Array.of(bits), unused));
}

function purpose(id: readonly number[]): Uint8Array {
  return extension(oid.extendedKeyUsage, false, sequence(der(tag.oid, Uint8Array.from(id))));
}

function bitString(bytes: Uint8Array, unused: number): Uint8Array {
  return der(tag.bits, joined([Uint8Array.of(unused), bytes]));
}

function sequence(...parts: readonly Uint8Array[]): Uint8Array {
  return der(sequenceTag, joined(parts));
}

/** Tag, length, value. */
function der(type: number, value: Uint8Array): Uint8Array {
  const { length } = value;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return joined([Uint8Array.of(type, ...size), value]);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function pem(label: string, bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}
