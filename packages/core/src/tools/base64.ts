// Base64 (RFC 4648, section 4) without a runtime's own, which core cannot name.

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const stepBytes = 3 * 1024;

export function toBase64(bytes: Uint8Array): string {
  const parts: string[] = [];
  for (let from = 0; from < bytes.length; from += stepBytes) parts.push(some(bytes, from));
  return parts.join("");
}

function some(bytes: Uint8Array, from: number): string {
  const to = Math.min(from + stepBytes, bytes.length);
  let text = "";
  for (let i = from; i < to; i += 3) {
    const [a, b, c] = [bytes[i] as number, bytes[i + 1] ?? 0, bytes[i + 2] ?? 0];
    const word = (a << 16) | (b << 8) | c;
    const letter = (shift: number): string => alphabet.charAt((word >> shift) & 63);
    text += letter(18) + letter(12) + (i + 1 < to ? letter(6) : "=") + (i + 2 < to ? letter(0) : "=");
  }
  return text;
}

/** Undefined where the text is no base64, padding and unused bits included. */
export function fromBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined;
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  let word = 0;
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    const value = text[i] === "=" ? 0 : sixBits(text.charCodeAt(i));
    word = (word << 6) | value;
    if (i % 4 !== 3) continue;
    for (let shift = 16; shift >= 0 && at < bytes.length; shift -= 8) bytes[at++] = (word >> shift) & 255;
    word = 0;
  }
  // What the last letter says beyond the last byte must be nothing, or two texts would mean the same bytes.
  const unused = padding === 2 ? 15 : padding === 1 ? 3 : 0;
  return (sixBits(text.charCodeAt(text.length - padding - 1)) & unused) === 0 ? bytes : undefined;
}

function sixBits(code: number): number {
  if (code >= 97) return code - 71;
  if (code >= 65) return code - 65;
  if (code >= 48) return code + 4;
  return code === 43 ? 62 : 63;
}
