// Decides how a page goes out once deltas may be sent: as nothing, as a delta, or whole. Source: wire reference 6.
import { xbzrleEncode } from "./xbzrle.ts";
import { defaultXbzrleCacheBytes, type XbzrleCache, xbzrleCache } from "./xbzrle-cache.ts";

export interface XbzrleInit {
  /** xbzrle-cache-size, rounded down to a power of two. Bytes; the default is 64 MiB. Filled as pages come. */
  readonly cacheBytes?: number;
}

/** QEMU's names, as `query-migrate` has them under `xbzrle-cache`; of the whole attempt, where QEMU gives some by period. */
export interface XbzrleStatistics {
  readonly "cache-size": number;
  /** Of deltas, with their 3 bytes of encoding and length, and of the pages that overflowed. */
  readonly bytes: number;
  /** Pages that were found in the cache: sent as a delta, not sent for being equal, or too different. */
  readonly pages: number;
  readonly "cache-miss": number;
  /** Misses of all look-ups; 0 to 1. */
  readonly "cache-miss-rate": number;
  /** Bytes of the pages found in the cache to the bytes sent for them; 0 while none were. */
  readonly "encoding-rate": number;
  /** Pages whose delta would not fit in a page. */
  readonly overflow: number;
}

/** Encoding id and length in front of a delta. Bytes. */
const headBytes = 3;

/** A record tells the delta's length in 16 bits, of which a page of 64 KiB needs one more. Bytes. */
const longestDelta = 0xffff;

export class XbzrleSender {
  readonly #pageBytes: number;
  readonly #cache: XbzrleCache;
  readonly #delta: Uint8Array;
  /** The page as it goes out: the guest may go on writing. */
  readonly content: Uint8Array;
  #bytes = 0;
  #pages = 0;
  #misses = 0;
  #overflow = 0;

  constructor({ cacheBytes = defaultXbzrleCacheBytes }: XbzrleInit, pageBytes: number) {
    this.#pageBytes = pageBytes;
    this.#cache = xbzrleCache(cacheBytes, pageBytes);
    this.#delta = new Uint8Array(Math.min(pageBytes, longestDelta));
    this.content = new Uint8Array(pageBytes);
  }

  /**
   * `page` counts through all blocks; its content is taken from `at` of `memory`. "equal": the destination has it;
   * "whole": `content` is to be sent as it is; else the delta, which stands until the next call. In the last stage the
   * cache stays as it is.
   */
  encode(
    page: number,
    memory: Uint8Array,
    at: number,
    generation: number,
    lastStage: boolean,
  ): "equal" | "whole" | Uint8Array {
    const { content } = this;
    content.set(memory.subarray(at, at + this.#pageBytes));
    const cached = this.#cache.use(page, generation);
    if (cached === undefined) {
      this.#misses++;
      if (!lastStage) this.#cache.insert(page, content, generation);
      return "whole";
    }
    this.#pages++;
    const length = xbzrleEncode(cached, content, this.#delta);
    if (length === 0) return "equal";
    if (!lastStage) cached.set(content);
    if (length < 0) {
      this.#overflow++;
      this.#bytes += this.#pageBytes;
      return "whole";
    }
    this.#bytes += headBytes + length;
    return this.#delta.subarray(0, length);
  }

  /** The page goes out as zeros: a later delta is against those. */
  zero(page: number, generation: number): void {
    this.#cache.insert(page, this.content.fill(0), generation);
  }

  statistics(): XbzrleStatistics {
    const lookups = this.#pages + this.#misses;
    return {
      "cache-size": this.#cache.cacheBytes,
      bytes: this.#bytes,
      pages: this.#pages,
      "cache-miss": this.#misses,
      "cache-miss-rate": lookups === 0 ? 0 : this.#misses / lookups,
      "encoding-rate": this.#bytes === 0 ? 0 : (this.#pages * this.#pageBytes) / this.#bytes,
      overflow: this.#overflow,
    };
  }
}
