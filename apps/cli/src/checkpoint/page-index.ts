// Which page of the file has which content: what keeps a page from being stored twice. In memory, 22 to 27 bytes a page.
import { hashBytes } from "./format.ts";

const wordsPerHash = hashBytes / 4;
/** Hashes stand in blocks, so that room for more needs no copy. */
const blockPages = 1 << 16;
const pageCost = 27;

export class PageIndex {
  readonly #limitPages: number;
  readonly #blocks: Uint32Array[] = [];
  /** Page number + 1, or 0: open addressing, at most three quarters full. */
  #slots = new Uint32Array(1 << 10);
  #count = 0;

  /** Pages beyond what fits into `limitBytes` are not found again: memory has a bound, and the file grows instead. */
  constructor(limitBytes: number) {
    this.#limitPages = Math.floor(limitBytes / pageCost);
  }

  /** Pages that are found. */
  get pages(): number {
    return this.#count;
  }

  find(hash: Uint32Array): number | undefined {
    const found = this.#slots[this.#slotOf(hash)] as number;
    return found === 0 ? undefined : found - 1;
  }

  /** The next page of the file. A content that is there already keeps its first page's number. */
  add(hash: Uint32Array): void {
    if (this.#count >= this.#limitPages) return;
    if (4 * (this.#count + 1) > 3 * this.#slots.length) this.#grow();
    const page = this.#count++;
    if (page % blockPages === 0) this.#blocks.push(new Uint32Array(blockPages * wordsPerHash));
    this.#blocks[Math.floor(page / blockPages)]?.set(hash, (page % blockPages) * wordsPerHash);
    const slot = this.#slotOf(hash);
    if (this.#slots[slot] === 0) this.#slots[slot] = page + 1;
  }

  /** Where the hash stands, or would stand. A hash is as good as random, so that its first word tells where to look. */
  #slotOf(hash: Uint32Array): number {
    const mask = this.#slots.length - 1;
    let slot = (hash[0] as number) & mask;
    for (;;) {
      const entry = this.#slots[slot] as number;
      if (entry === 0 || this.#isAt(entry - 1, hash)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #isAt(page: number, hash: Uint32Array): boolean {
    const block = this.#blocks[Math.floor(page / blockPages)] as Uint32Array;
    const at = (page % blockPages) * wordsPerHash;
    for (let i = 0; i < wordsPerHash; i++) if (block[at + i] !== hash[i]) return false;
    return true;
  }

  #grow(): void {
    this.#slots = new Uint32Array(2 * this.#slots.length);
    for (let page = 0; page < this.#count; page++) {
      const at = (page % blockPages) * wordsPerHash;
      const block = this.#blocks[Math.floor(page / blockPages)] as Uint32Array;
      const slot = this.#slotOf(block.subarray(at, at + wordsPerHash));
      if (this.#slots[slot] === 0) this.#slots[slot] = page + 1;
    }
  }
}
