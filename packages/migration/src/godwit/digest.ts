// Digests: of each frame, before anything in it is believed; and of the stream, to be compared before ownership passes.
import xxhash from "xxhash-wasm";
import { XxHash64 } from "./xxhash64.ts";

/** Both sides must use the same one; the preamble compares its name. */
export const digestAlgorithm = "xxh64-frames";

/**
 * xxHash64: 64 bits against accidental corruption between the two engines, at several GB/s on one core. It does not
 * stand against a forger.
 */
export interface Digests {
  /** Of these bytes. */
  of(bytes: Uint8Array): bigint;
  stream(): StreamDigest;
}

/** Of a stream, made of its frames' digests: each byte is digested once, and a lost or exchanged frame shows. */
export interface StreamDigest {
  /** Bytes of the stream so far. */
  readonly bytes: number;
  add(frameBytes: number, frameDigest: bigint): void;
  /** Of everything so far: xxHash64 of the frames' digests, big-endian, as 16 hexadecimal digits. */
  value(): string;
}

interface Implementation {
  h64Raw(bytes: Uint8Array): bigint;
  create64(): { update(bytes: Uint8Array): unknown; digest(): bigint };
}

/** For pages whose policy lets no WebAssembly be compiled (it wants 'wasm-unsafe-eval'), and runtimes that have none. */
export const withoutWebAssembly: Implementation = {
  h64Raw: (bytes) => new XxHash64().update(bytes).digest(),
  create64: () => new XxHash64(),
};

/** Compiled once: its instances hold nothing between two calls. */
let loading: Promise<Implementation> | undefined;

/** Loads the implementation; digests are then made without waiting, as many as are needed. */
export async function loadDigests(): Promise<Digests> {
  loading ??= xxhash().catch(() => withoutWebAssembly);
  return digestsBy(await loading);
}

export function digestsBy(library: Implementation): Digests {
  return {
    of: (bytes) => library.h64Raw(bytes),
    stream() {
      const hash = library.create64();
      const eight = new Uint8Array(8);
      const view = new DataView(eight.buffer);
      let bytes = 0;
      return {
        get bytes() {
          return bytes;
        },
        add(frameBytes, frameDigest) {
          view.setBigUint64(0, frameDigest);
          hash.update(eight);
          bytes += frameBytes;
        },
        value: () => hash.digest().toString(16).padStart(16, "0"),
      };
    },
  };
}
