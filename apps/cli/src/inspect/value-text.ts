// A value as text, short enough for a line.

/** Bytes of a buffer that are shown. */
const shownBytes = 20;

export function valueText(value: unknown): string {
  if (value === null) return "none";
  if (value instanceof Uint8Array) return bufferText(value);
  if (typeof value === "number" || typeof value === "bigint") return integerText(value);
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

function integerText(value: number | bigint): string {
  return value > -10 && value < 10 ? String(value) : `${value} ${hexText(value)}`;
}

export function hexText(value: number | bigint): string {
  return value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}

function bufferText(bytes: Uint8Array): string {
  const text = asciiText(bytes);
  if (text !== undefined) return `${JSON.stringify(text)} in ${bytesText(bytes.length)}`;
  if (bytes.length === 0) return "0 bytes";
  if (bytes.every((byte) => byte === 0)) return `${bytesText(bytes.length)}, all zero`;
  const more = bytes.length > shownBytes ? "..." : "";
  return `${bytesText(bytes.length)}: ${hexBytes(bytes.subarray(0, shownBytes))}${more}`;
}

export const bytesText = (bytes: number): string => (bytes === 1 ? "1 byte" : `${bytes} bytes`);

/** In groups of four bytes. */
function hexBytes(bytes: Uint8Array): string {
  return (
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
      .toString("hex")
      .match(/.{1,8}/g) ?? []
  ).join(" ");
}

/** Of a text of four characters or more, filled up with zeros. */
function asciiText(bytes: Uint8Array): string | undefined {
  const end = bytes.indexOf(0);
  const length = end < 0 ? bytes.length : end;
  if (length < 4 || bytes.subarray(length).some((byte) => byte !== 0)) return undefined;
  if (bytes.subarray(0, length).some((byte) => byte < 0x20 || byte > 0x7e)) return undefined;
  return Buffer.from(bytes.subarray(0, length)).toString("latin1");
}
