// MAC addresses: from text, and as what they address.
import { MigrationError } from "@godwit/core";
import { macBytes } from "./constants.ts";

/** `52:54:00:12:34:56` or six bytes, as six bytes. Anything else is `DEFINITION_INVALID`. */
export function macAddress(mac: string | Uint8Array): Uint8Array {
  if (typeof mac !== "string") {
    if (mac.length === macBytes) return mac.slice();
  } else if (/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(mac)) {
    return Uint8Array.from(mac.split(":"), (pair) => Number.parseInt(pair, 16));
  }
  throw new MigrationError("DEFINITION_INVALID", "this is no MAC address", {
    expected: "six bytes, or text such as 52:54:00:12:34:56",
    found: typeof mac === "string" ? mac : `${mac.length} bytes`,
  });
}

/** A group address: the lowest bit of the first byte. Broadcast is one, too. */
export function isMulticast(bytes: Uint8Array, at = 0): boolean {
  return ((bytes[at] as number) & 1) !== 0;
}

export function isBroadcast(bytes: Uint8Array, at = 0): boolean {
  for (let i = 0; i < macBytes; i++) if (bytes[at + i] !== 0xff) return false;
  return true;
}

export function sameMac(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number): boolean {
  for (let i = 0; i < macBytes; i++) if (a[aAt + i] !== b[bAt + i]) return false;
  return true;
}
