// A dirty bitmap: one bit a page, scanned a word of 32 pages at a time.

/** Set bits are dirty pages. `count` is kept, so that asking for it is free. */
export interface DirtyBitmap {
  /** Bits, one a page. */
  readonly pages: number;
  /** Set bits. */
  readonly count: number;
  /** Words that `nextSet` has looked at: the measure of its work. */
  readonly wordsScanned: number;
  test(page: number): boolean;
  /** True: the bit was clear. */
  set(page: number): boolean;
  /** True: the bit was set. */
  clear(page: number): boolean;
  setAll(): void;
  clearAll(): void;
  /** The first set bit at or after `from`, or -1. */
  nextSet(from: number): number;
  /** Adds the set bits of `words`, 32 pages a word, page 0 lowest. */
  merge(words: Uint32Array): void;
  /** Like `merge`, and clears them there; what was taken is added to `taken`, a word array of the same length. */
  take(words: Uint32Array, taken: Uint32Array): void;
}

export function bitmapWords(pages: number): number {
  return (pages + 31) >>> 5;
}

/** As it travels: whole 64-bit words, little-endian, so that page 0 is the lowest bit of the first byte. */
export function bitmapBytes(pages: number): number {
  return Math.ceil(pages / 64) * 8;
}

export function dirtyBitmap(pages: number): DirtyBitmap {
  return new WordBitmap(pages);
}

class WordBitmap implements DirtyBitmap {
  readonly pages: number;
  readonly #words: Uint32Array;
  /** The bits of the last word that are pages. */
  readonly #tailMask: number;
  #count = 0;
  #wordsScanned = 0;

  constructor(pages: number) {
    this.pages = pages;
    this.#words = new Uint32Array(bitmapWords(pages));
    this.#tailMask = (pages & 31) === 0 ? 0xffff_ffff : 2 ** (pages & 31) - 1;
  }

  get count(): number {
    return this.#count;
  }
  get wordsScanned(): number {
    return this.#wordsScanned;
  }

  test(page: number): boolean {
    return ((this.#words[page >>> 5] ?? 0) & (1 << (page & 31))) !== 0;
  }

  set(page: number): boolean {
    if (page >= this.pages || this.test(page)) return false;
    const word = page >>> 5;
    this.#words[word] = (this.#words[word] as number) | (1 << (page & 31));
    this.#count++;
    return true;
  }

  clear(page: number): boolean {
    if (!this.test(page)) return false;
    const word = page >>> 5;
    this.#words[word] = (this.#words[word] as number) & ~(1 << (page & 31));
    this.#count--;
    return true;
  }

  setAll(): void {
    this.#words.fill(0xffff_ffff);
    const last = this.#words.length - 1;
    if (last >= 0) this.#words[last] = this.#tailMask;
    this.#count = this.pages;
  }

  clearAll(): void {
    this.#words.fill(0);
    this.#count = 0;
  }

  nextSet(from: number): number {
    const words = this.#words;
    let index = from >>> 5;
    if (from >= this.pages) return -1;
    let word = (words[index] as number) & (-1 << (from & 31));
    let scanned = 1;
    while (word === 0 && ++index < words.length) {
      word = words[index] as number;
      scanned++;
    }
    this.#wordsScanned += scanned;
    // The lowest set bit alone has as many leading zeros as 31 less its place.
    return word === 0 ? -1 : index * 32 + 31 - Math.clz32(word & -word);
  }

  merge(words: Uint32Array): void {
    for (let index = 0; index < this.#words.length; index++) {
      const word = words[index] as number;
      if (word !== 0) this.#or(index, word);
    }
  }

  take(words: Uint32Array, taken: Uint32Array): void {
    for (let index = 0; index < this.#words.length; index++) {
      const word = words[index] as number;
      if (word === 0) continue;
      words[index] = 0;
      taken[index] = (taken[index] as number) | word;
      this.#or(index, word);
    }
  }

  #or(index: number, word: number): void {
    const mask = index === this.#words.length - 1 ? this.#tailMask : 0xffff_ffff;
    const had = this.#words[index] as number;
    const added = word & mask & ~had;
    this.#words[index] = had | added;
    this.#count += populationCount(added);
  }
}

function populationCount(word: number): number {
  let pairs = word - ((word >>> 1) & 0x5555_5555);
  pairs = (pairs & 0x3333_3333) + ((pairs >>> 2) & 0x3333_3333);
  return Math.imul((pairs + (pairs >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}
