// What the image of a RAM block is called. The name comes from a stream, and a stream may be anybody's.
import { createHash } from "node:crypto";

/** What file systems take of a name, less room for what is put behind it. Characters. */
const longest = 200;
const kept = 150;

/**
 * `pc.ram` is `pc.ram.raw`, `/rom@etc/acpi/tables` is `%2From%40etc%2Facpi%2Ftables.raw`: letters, digits, `_`, `-` and
 * dots stand for themselves, but for a dot at the beginning; every other byte of the UTF-8 is `%` and two hexadecimal
 * digits. Of a name that would be longer than 200 characters the first 150 are kept, and `~` with 32 digits of its SHA-256
 * follows. Two blocks never have one name, and no name leaves the folder.
 */
export function imageName(idstr: string): string {
  const name = escaped(idstr);
  if (name.length <= longest) return `${name}.raw`;
  const digest = createHash("sha256").update(name).digest("hex").slice(0, 32);
  return `${name.slice(0, kept)}~${digest}.raw`;
}

function escaped(idstr: string): string {
  let name = "";
  for (const byte of bytesOf(idstr)) {
    const char = String.fromCharCode(byte);
    const plain = byte < 0x80 && (char === "." ? name !== "" : /[A-Za-z0-9_-]/.test(char));
    name += plain ? char : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return name;
}

/** As on the wire: a name that is no UTF-8 was read as one lone surrogate for each byte from 0x80 on. */
function bytesOf(idstr: string): Uint8Array {
  const bytes: number[] = [];
  const encoder = new TextEncoder();
  for (const char of idstr) {
    const code = char.codePointAt(0) as number;
    if (code >= 0xdc80 && code <= 0xdcff) bytes.push(code - 0xdc00);
    else bytes.push(...encoder.encode(char));
  }
  return Uint8Array.from(bytes);
}
