// Reads what mapped-ram has behind a block's header: the bitmap, the gap up to the pages, and the pages in their places,
// where a hole is a page that is zero. All of it is passed in the stream's own order, so that a pipe will do.
import { allocate, type Cursor } from "@godwit/core";
import { type MappedHeader, mappedBitmapBytes } from "./mapped-header.ts";
import type { ListedBlock, RamSink } from "./ram-sink.ts";
import { type OpenPage, takePayload } from "./taken-page.ts";

export class MappedRegion<B extends ListedBlock> {
  readonly #sink: RamSink<B>;
  readonly #block: B;
  readonly #pageBytes: number;
  readonly #bitmapBytes: number;
  /** Grows with what arrives. */
  #bitmap: Uint8Array = new Uint8Array(0);
  #bitmapGot = 0;
  #gap: number;
  /** The place in the pages, and the page that is being read there. */
  #at = 0;
  #page: OpenPage<B> | undefined;
  #got = 0;
  /** The next page that is there, so that a hole which comes in many pieces is looked for once. */
  #next: number | undefined;
  /** Bytes of the bitmap that were looked at: the measure of its work. */
  bytesScanned = 0;

  /** `bitmapEnd` is the file offset where the bitmap ends. */
  constructor(sink: RamSink<B>, block: B, header: MappedHeader, bitmapEnd: number) {
    this.#sink = sink;
    this.#block = block;
    this.#pageBytes = header.pageBytes;
    this.#bitmapBytes = mappedBitmapBytes(block.length / header.pageBytes);
    this.#gap = header.pagesOffset - bitmapEnd;
  }

  /** True when the last page has been passed. */
  resume(cursor: Cursor): boolean {
    if (!this.#readBitmap(cursor)) return false;
    this.#gap -= skip(cursor, this.#gap);
    if (this.#gap > 0) return false;
    while (this.#at < this.#block.length) {
      if (this.#page === undefined && !this.#openNext(cursor)) return false;
      if (this.#page !== undefined && !this.#readPage(cursor, this.#page)) return false;
    }
    return true;
  }

  element(): string {
    if (this.#bitmapGot < this.#bitmapBytes) return "mapped.bitmap";
    return this.#gap > 0 ? "mapped.padding" : `mapped.pages[0x${this.#at.toString(16)}]`;
  }

  takenBytes(): number {
    return this.#bitmapGot < this.#bitmapBytes ? this.#bitmapGot : this.#got;
  }

  fork(sink: RamSink<B>): MappedRegion<B> {
    const copy = new MappedRegion(sink, this.#block, headerOf(this.#pageBytes, this.#gap), 0);
    copy.#bitmap = this.#bitmap.slice();
    copy.#bitmapGot = this.#bitmapGot;
    copy.#at = this.#at;
    copy.#page = this.#page && { ...this.#page };
    copy.#got = this.#got;
    copy.#next = this.#next;
    return copy;
  }

  #readBitmap(cursor: Cursor): boolean {
    const left = this.#bitmapBytes - this.#bitmapGot;
    if (left === 0) return true;
    const taken = Math.min(left, cursor.available);
    const end = this.#bitmapGot + taken;
    if (end > this.#bitmap.length) {
      const grown = allocate(cursor, Math.min(this.#bitmapBytes, 2 * end), end);
      grown.set(this.#bitmap.subarray(0, this.#bitmapGot));
      this.#bitmap = grown;
    }
    this.#bitmap.set(cursor.bytes.subarray(cursor.pos, cursor.pos + taken), this.#bitmapGot);
    cursor.pos += taken;
    this.#bitmapGot = end;
    if (taken < left) return false;
    cursor.fields++;
    return true;
  }

  /** Passes holes; a page that is there is open then. */
  #openNext(cursor: Cursor): boolean {
    this.#next ??= this.#nextPresent();
    const next = this.#next;
    this.#at += skip(cursor, next - this.#at);
    if (this.#at < next) return false;
    if (next === this.#block.length) return true;
    const payloadBytes = this.#pageBytes;
    this.#page = { kind: "mapped", block: this.#block, offset: next, continues: false, fill: 0, payloadBytes };
    return true;
  }

  #readPage(cursor: Cursor, page: OpenPage<B>): boolean {
    this.#got = takePayload(cursor, this.#sink, page, this.#got);
    if (this.#got < page.payloadBytes) return false;
    cursor.fields++;
    this.#sink.record(page);
    this.#at += page.payloadBytes;
    this.#page = undefined;
    this.#got = 0;
    this.#next = undefined;
    return true;
  }

  /** The offset of the first page at or behind the present place whose bit is set; bits are of little-endian longs. */
  #nextPresent(): number {
    let page = Math.ceil(this.#at / this.#pageBytes);
    const pages = this.#block.length / this.#pageBytes;
    while (page < pages) {
      this.bytesScanned++;
      const byte = this.#bitmap[page >>> 3] as number;
      if (byte >>> (page & 7) === 0) page = (page | 7) + 1;
      else if (byte & (1 << (page & 7))) return page * this.#pageBytes;
      else page++;
    }
    return this.#block.length;
  }
}

/** A header whose gap alone counts. */
function headerOf(pageBytes: number, gap: number): MappedHeader {
  return { version: 1, pageBytes, bitmapOffset: 0, pagesOffset: gap };
}

/** Passes up to `bytes` of what has arrived. */
function skip(cursor: Cursor, bytes: number): number {
  const skipped = Math.min(bytes, cursor.available);
  cursor.pos += skipped;
  return skipped;
}
