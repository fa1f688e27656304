// The write barrier: whoever writes to the block says so, with one OR into a word.
import { bitmapWords, type DirtyBitmap } from "./bitmap.ts";
import { defaultPageBytes } from "./records.ts";
import { type DirtyTracker, pagesOf } from "./tracker.ts";

export interface BarrierTracker extends DirtyTracker {
  /**
   * One bit a page, always the same array: an interpreter may set bits itself, after its store, by
   * `words[page >>> 5] |= 1 << (page & 31)` with `page = offset >>> pageShift`.
   */
  readonly words: Uint32Array;
  /** Offset to page: the binary logarithm of `pageBytes`. */
  readonly pageShift: number;
}

/** A tracker of a block of `lengthBytes` whose every writer calls `mark`, or sets the bits. `DEFINITION_INVALID`. */
export function barrierTracker(lengthBytes: number, pageBytes: number = defaultPageBytes): BarrierTracker {
  const pages = pagesOf(lengthBytes, pageBytes);
  const pageShift = Math.log2(pageBytes);
  const words = new Uint32Array(bitmapWords(pages));
  const taken = new Uint32Array(words.length);
  return {
    pages,
    pageBytes,
    pageShift,
    words,
    mark(offset: number, length: number): void {
      if (length <= 0) return;
      const last = Math.floor((offset + length - 1) / pageBytes);
      for (let page = Math.floor(offset / pageBytes); page <= last; page++) {
        words[page >>> 5] = (words[page >>> 5] as number) | (1 << (page & 31));
      }
    },
    begin(): void {
      taken.fill(0);
    },
    sync(_bytes: Uint8Array, into: DirtyBitmap): void {
      into.take(words, taken);
    },
    sent(): void {},
    end(completed: boolean): void {
      if (!completed) for (const [index, word] of taken.entries()) words[index] = (words[index] as number) | word;
      taken.fill(0);
    },
  };
}
