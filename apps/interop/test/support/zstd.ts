// zstd's decoder of a library: Node 20 has none of its own.
import type { StreamCodec } from "@godwit/ram-dirty-tracker";
import { Decompress } from "fzstd";

export function zstdDecompressor(): StreamCodec {
  let pieces: Uint8Array[] = [];
  const stream = new Decompress((piece) => pieces.push(piece.slice()));
  return {
    push(bytes) {
      pieces = [];
      stream.push(bytes);
      return new Uint8Array(Buffer.concat(pieces));
    },
  };
}
