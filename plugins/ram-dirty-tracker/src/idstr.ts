// The name of a RAM block as it stands on the wire.

/**
 * The bytes from `from` to `to` as UTF-8. A name that is none reads as one character a byte, so that it can be shown
 * and never equals a local block's.
 */
export function decodeIdstr(bytes: Uint8Array, from: number, to: number): string {
  let percent = "";
  let plain = "";
  for (let i = from; i < to; i++) {
    const byte = bytes[i] as number;
    plain += String.fromCharCode(byte < 0x80 ? byte : 0xdc00 + byte);
    percent += `%${byte.toString(16).padStart(2, "0")}`;
  }
  try {
    return decodeURIComponent(percent);
  } catch {
    return plain;
  }
}
