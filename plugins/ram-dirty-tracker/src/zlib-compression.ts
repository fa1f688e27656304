// multifd-compression=zlib: one deflate stream a channel, made of functions that know single pieces of data only. Each
// packet ends with a sync flush, thus at a block's end, so that all a piece needs of its past is the window.
import { storedDeflate } from "./stored-codecs.ts";
import type { DeflateRaw, InflateRaw, PageCompression, StreamCodec } from "./stream-codec.ts";
import { afterZlibHeader, completed, inflated, windowBytes, zlibHeader } from "./zlib-format.ts";

export interface ZlibFunctions {
  /** Without it, channels of zlib cannot be read. */
  readonly inflateRaw?: InflateRaw;
  /** Without it, channels are written as zlib data that is stored: right, and not smaller. */
  readonly deflateRaw?: DeflateRaw;
}

export function zlibCompression({ inflateRaw, deflateRaw = storedDeflate }: ZlibFunctions): PageCompression {
  return {
    method: "zlib",
    compressor: () => new Deflating(deflateRaw),
    ...(inflateRaw && { decompressor: () => new Inflating(inflateRaw) }),
  };
}

class Deflating implements StreamCodec {
  readonly #deflateRaw: DeflateRaw;
  readonly #window = new Window();
  #begun = false;

  constructor(deflateRaw: DeflateRaw) {
    this.#deflateRaw = deflateRaw;
  }

  push(bytes: Uint8Array): Uint8Array {
    const body = this.#deflateRaw(bytes, this.#window.content());
    this.#window.add(bytes);
    if (this.#begun) return body;
    this.#begun = true;
    const first = new Uint8Array(zlibHeader.length + body.length);
    first.set(zlibHeader);
    first.set(body, zlibHeader.length);
    return first;
  }
}

class Inflating implements StreamCodec {
  readonly #inflateRaw: InflateRaw;
  readonly #window = new Window();
  #begun = false;

  constructor(inflateRaw: InflateRaw) {
    this.#inflateRaw = inflateRaw;
  }

  push(bytes: Uint8Array, boundBytes: number): Uint8Array {
    const body = this.#begun ? bytes : afterZlibHeader(bytes);
    this.#begun = true;
    const output = inflated(completed(body), this.#window.content(), boundBytes, this.#inflateRaw);
    this.#window.add(output);
    return output;
  }
}

/** The last bytes of a stream. */
class Window {
  readonly #bytes = new Uint8Array(windowBytes);
  #length = 0;

  content(): Uint8Array | undefined {
    return this.#length === 0 ? undefined : this.#bytes.slice(windowBytes - this.#length);
  }

  add(output: Uint8Array): void {
    const added = output.subarray(Math.max(0, output.length - windowBytes));
    this.#bytes.copyWithin(0, added.length);
    this.#bytes.set(added, windowBytes - added.length);
    this.#length = Math.min(windowBytes, this.#length + added.length);
  }
}
