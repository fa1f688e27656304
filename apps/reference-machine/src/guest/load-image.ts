/** The guest's built image as bytes. */
import { guestImageLines } from "./image.ts";

/** Lines of hexadecimal 32-bit words, as the build writes them, to little-endian bytes. */
export function decodeImage(lines: readonly string[]): Uint8Array {
  const words = lines.flatMap((line) => line.split(" "));
  const bytes = new Uint8Array(4 * words.length);
  const view = new DataView(bytes.buffer);
  words.forEach((word, index) => {
    view.setUint32(4 * index, Number.parseInt(word, 16), true);
  });
  return bytes;
}

/** Goes to the start of RAM. */
export function guestImage(): Uint8Array {
  return decodeImage(guestImageLines);
}
