// The first eight bytes of each direction: "GDWT" and the protocol's version. They tell Godwit from a plain QEMU stream.
import { migrationError } from "../codes.ts";

/** Bytes of the opening: four of magic, a big-endian version. */
const magicBytes = 8;
/** The version of everything in this package that goes over the wire. 0 is reserved as invalid. */
export const protocolVersion = 2;

const godwit = [0x47, 0x44, 0x57, 0x54] as const;
const qemu = [0x51, 0x45, 0x56, 0x4d] as const;

export function encodeMagic(): Uint8Array {
  const bytes = new Uint8Array(magicBytes);
  bytes.set(godwit);
  new DataView(bytes.buffer).setUint32(4, protocolVersion);
  return bytes;
}

/** Reads the opening from chunks of any size. */
export class MagicReader {
  readonly #bytes = new Uint8Array(magicBytes);
  #filled = 0;

  /**
   * What follows the opening in this chunk, or nothing while it is not complete. Refuses at the first byte that is
   * wrong, since somebody who speaks something else may wait for an answer: `PEER_KIND`, `PROTOCOL_VERSION`.
   */
  push(chunk: Uint8Array): Uint8Array | undefined {
    const taken = Math.min(chunk.length, magicBytes - this.#filled);
    this.#bytes.set(chunk.subarray(0, taken), this.#filled);
    this.#filled += taken;
    const magic = this.#bytes.subarray(0, Math.min(this.#filled, 4));
    if (!startsWith(magic, godwit)) throw wrongMagic(magic);
    if (this.#filled < magicBytes) return undefined;
    const version = new DataView(this.#bytes.buffer).getUint32(4);
    if (version !== protocolVersion) {
      throw migrationError("PROTOCOL_VERSION", "the peer speaks another version of Godwit's protocol", {
        offset: 4,
        expected: String(protocolVersion),
        found: String(version),
      });
    }
    return chunk.subarray(taken);
  }
}

function startsWith(bytes: Uint8Array, magic: readonly number[]): boolean {
  return bytes.every((byte, i) => byte === magic[i]);
}

function wrongMagic(bytes: Uint8Array) {
  const isQemu = startsWith(bytes, qemu);
  const detail = isQemu
    ? "the peer sends a plain QEMU stream; this end was told to expect Godwit's protocol (peer=qemu expects the other)"
    : "the peer does not speak Godwit's protocol (if it is QEMU, say peer=qemu)";
  return migrationError("PEER_KIND", detail, { offset: 0, expected: "GDWT", found: hex(bytes) });
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}
