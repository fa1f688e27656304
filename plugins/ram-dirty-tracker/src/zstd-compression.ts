// multifd-compression=zstd: one frame a channel, by a library's streams.
import { storedZstd } from "./stored-codecs.ts";
import type { PageCompression, StreamCodec, ZstdStreams } from "./stream-codec.ts";
import { codecError, guarded } from "./zlib-format.ts";

/** Without a compressor of its own, channels are written as a frame of raw and repeat blocks: right, and hardly smaller. */
export function zstdCompression({ compressor = storedZstd, decompressor }: ZstdStreams): PageCompression {
  return {
    method: "zstd",
    compressor,
    ...(decompressor && { decompressor: () => bounded(decompressor()) }),
  };
}

/** A library's stream whose faults are `PAGE_CODEC`. */
function bounded(stream: StreamCodec): StreamCodec {
  return {
    push(bytes, boundBytes) {
      const output = guarded(() => stream.push(bytes, boundBytes));
      if (output.length <= boundBytes) return output;
      throw codecError("the data gives more than its pages", `at most ${boundBytes} bytes`, `${output.length} bytes`);
    },
  };
}
