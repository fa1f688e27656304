// A keyed hash of a page, with a proven bound on collisions and 32-bit arithmetic alone: NH with 16-bit words, and four
// lanes over a shifted key. Source: Black, Halevi, Krawczyk, Krovetz, Rogaway, "UMAC: Fast and Secure Message
// Authentication" (1999), theorems on NH and its Toeplitz form.

/** Lanes of 32 bits; each brings 16 bits to the bound. */
export const hashLanes = 4;

/** A fresh key's hash. `random32` gives independent, uniform integers from 0 to 2**32 - 1. */
export interface PageHash {
  /** Hashes the `pageBytes` at `offset` (a multiple of 4) of `words` into the lanes at `at` of `out`. */
  hash(words: Uint32Array, offset: number, out: Uint32Array, at: number): void;
}

/**
 * Two pages that differ have the same four lanes with a probability of at most 2**-64, over the choice of the key and
 * whatever the pages are, as long as they were not chosen by someone who knows the key.
 */
export function pageHash(pageBytes: number, random32: () => number): PageHash {
  const wordCount = pageBytes >>> 2;
  // Lane j takes the key shifted by j words: two halves a word.
  const low = new Uint16Array(wordCount + hashLanes - 1);
  const high = new Uint16Array(wordCount + hashLanes - 1);
  for (let i = 0; i < low.length; i++) {
    const key = random32();
    low[i] = key & 0xffff;
    high[i] = key >>> 16;
  }
  return {
    hash(words, offset, out, at) {
      const first = offset >>> 2;
      let [a, b, c, d] = [0, 0, 0, 0];
      let [l0, l1, l2] = [low[0] as number, low[1] as number, low[2] as number];
      let [h0, h1, h2] = [high[0] as number, high[1] as number, high[2] as number];
      for (let i = 0; i < wordCount; i++) {
        const word = words[first + i] as number;
        const l = word & 0xffff;
        const h = word >>> 16;
        const l3 = low[i + 3] as number;
        const h3 = high[i + 3] as number;
        a = (a + Math.imul((l + l0) & 0xffff, (h + h0) & 0xffff)) | 0;
        b = (b + Math.imul((l + l1) & 0xffff, (h + h1) & 0xffff)) | 0;
        c = (c + Math.imul((l + l2) & 0xffff, (h + h2) & 0xffff)) | 0;
        d = (d + Math.imul((l + l3) & 0xffff, (h + h3) & 0xffff)) | 0;
        l0 = l1;
        l1 = l2;
        l2 = l3;
        h0 = h1;
        h1 = h2;
        h2 = h3;
      }
      out[at] = a;
      out[at + 1] = b;
      out[at + 2] = c;
      out[at + 3] = d;
    },
  };
}
