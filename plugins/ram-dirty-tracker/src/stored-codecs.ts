// Compressed streams without compression: the formats' own blocks for data as it is, and zstd's for one repeated byte.
// What a peer that asks for zlib or zstd takes, where no compressor is at hand. Source: RFC 1951 3.2.4, RFC 8878 3.1.1.
import { Writer } from "@godwit/core";
import type { DeflateRaw, StreamCodec } from "./stream-codec.ts";
import { syncFlush } from "./zlib-format.ts";

/** Stored blocks, and a sync flush. */
export const storedDeflate: DeflateRaw = (data) => {
  const longest = 0xffff;
  const out = new Writer(data.length + 5 * Math.ceil(data.length / longest) + syncFlush.length);
  for (let at = 0; at < data.length; at += longest) {
    const part = data.subarray(at, at + longest);
    out.u8(0);
    littleEndian(out, part.length, 2);
    littleEndian(out, part.length ^ 0xffff, 2);
    out.raw(part);
  }
  out.raw(Uint8Array.from(syncFlush));
  return out.flush();
};

/** The largest block, and the window that the frame asks for. Bytes. */
const zstdBlockBytes = 128 * 1024;

const blockType = { raw: 0, repeat: 1 } as const;

/** One zstd frame without an end, of raw blocks, and of repeat blocks where all bytes are the same. */
export function storedZstd(): StreamCodec {
  let begun = false;
  return {
    push(data) {
      const out = new Writer(data.length + 64);
      // Magic number; no content size, no checksum, no dictionary; window 2**(10 + 7).
      if (!begun) out.raw(Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x00, 7 << 3));
      begun = true;
      for (let at = 0; at < data.length; at += zstdBlockBytes) writeBlock(out, data.subarray(at, at + zstdBlockBytes));
      return out.flush();
    },
  };
}

function writeBlock(out: Writer, data: Uint8Array): void {
  const [first = 0] = data;
  const repeats = data.every((byte) => byte === first);
  littleEndian(out, (data.length << 3) | ((repeats ? blockType.repeat : blockType.raw) << 1), 3);
  if (repeats) out.u8(first);
  else out.raw(data);
}

function littleEndian(out: Writer, value: number, bytes: number): void {
  for (let i = 0; i < bytes; i++) out.u8((value >>> (8 * i)) & 0xff);
}
