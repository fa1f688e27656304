// Reads what follows a page record's word and name: fill byte, head of a delta, length of zlib data, content.
// Source: wire reference 5.3.
import { type Cursor, MigrationError } from "@godwit/core";
import type { ListedBlock, RamSink } from "./ram-sink.ts";
import { compressedBound, pageName, xbzrleEncoding } from "./records.ts";
import { type OpenPage, takePayload } from "./taken-page.ts";

/** The element to be read next. */
type Step = "fill" | "encoding" | "length" | "data";

export class PageDecoder<B extends ListedBlock> {
  readonly #sink: RamSink<B>;
  readonly #pageBytes: number;
  #step: Step = "fill";
  /** The page being read, or read last: one object for all pages of the section. */
  #page: OpenPage<B> | undefined;
  /** How much of the payload has come, and where it began. */
  #got = 0;
  #dataOffset = 0;

  constructor(sink: RamSink<B>, pageBytes: number) {
    this.#sink = sink;
    this.#pageBytes = pageBytes;
  }

  /** A record's page; `wordOffset` is where the record began. `RAM_OFFSET`. */
  open(
    kind: "zero" | "page" | "xbzrle" | "compress",
    block: B,
    offset: number,
    continues: boolean,
    wordOffset: number,
  ): void {
    const page = this.#page;
    if (page === undefined) this.#page = { kind, block, offset, continues, fill: 0, payloadBytes: 0 };
    else {
      page.kind = kind;
      page.block = block;
      page.offset = offset;
      page.continues = continues;
      page.fill = 0;
      page.payloadBytes = 0;
    }
    if (offset + this.#pageBytes > block.length) {
      throw new MigrationError("RAM_OFFSET", "a page lies outside its RAM block", {
        path: this.pathOf("offset"),
        offset: wordOffset,
        expected: `at most 0x${(block.length - this.#pageBytes).toString(16)}`,
        found: `0x${offset.toString(16)}`,
      });
    }
    this.#got = 0;
    if (kind === "page") {
      this.page.payloadBytes = this.#pageBytes;
      this.#step = "data";
    } else this.#step = kind === "zero" ? "fill" : kind === "xbzrle" ? "encoding" : "length";
  }

  get page(): OpenPage<B> {
    return this.#page as OpenPage<B>;
  }

  /** Where the payload's first byte stands in the stream. */
  get dataOffset(): number {
    return this.#dataOffset;
  }

  path(): string {
    return this.pathOf(this.#step);
  }

  pathOf(element: string): string {
    const { block, offset } = this.page;
    return `pages[${pageName(block.idstr, offset)}].${element}`;
  }

  /** Pages are taken as they come: a page that is cut is told by its first byte all the same. */
  takenBytes(): number {
    return this.#step === "data" ? this.#got : 0;
  }

  /** Goes on as far as the bytes reach; true when the page's record is complete. */
  resume(cursor: Cursor): boolean {
    switch (this.#step) {
      case "fill":
        if (cursor.available < 1) return false;
        cursor.fields++;
        // QEMU 7.2 fills the page with the byte, newer ones refuse all but 0: what an old source meant is done.
        this.page.fill = cursor.u8();
        return true;
      case "encoding":
        return cursor.available >= 3 && this.#readXbzrleHead(cursor);
      case "length":
        return cursor.available >= 4 && this.#readCompressLength(cursor);
      case "data":
        return this.#readData(cursor);
    }
  }

  fork(sink: RamSink<B>): PageDecoder<B> {
    const copy = new PageDecoder(sink, this.#pageBytes);
    copy.#step = this.#step;
    copy.#page = this.#page && { ...this.#page };
    copy.#got = this.#got;
    copy.#dataOffset = this.#dataOffset;
    return copy;
  }

  #readXbzrleHead(cursor: Cursor): boolean {
    const { offset } = cursor;
    const encoding = cursor.u8();
    const length = cursor.u16();
    cursor.fields += 2;
    if (encoding !== xbzrleEncoding) {
      throw new MigrationError("RAM_ENCODING", "a page delta is of an unknown encoding", {
        path: this.pathOf("encoding"),
        offset,
        expected: String(xbzrleEncoding),
        found: String(encoding),
      });
    }
    return this.#openData(cursor, length, this.#pageBytes, offset + 1);
  }

  #readCompressLength(cursor: Cursor): boolean {
    const { offset } = cursor;
    const length = cursor.u32();
    cursor.fields++;
    return this.#openData(cursor, length, compressedBound(this.#pageBytes), offset);
  }

  #openData(cursor: Cursor, length: number, bound: number, offset: number): boolean {
    if (length > bound) {
      throw new MigrationError("LENGTH_BOUND", "an encoded page is longer than can be", {
        path: this.pathOf("length"),
        offset,
        expected: `at most ${bound} bytes`,
        found: `${length} bytes`,
      });
    }
    this.page.payloadBytes = length;
    this.#step = "data";
    return this.#readData(cursor);
  }

  #readData(cursor: Cursor): boolean {
    const page = this.page;
    if (this.#got === 0) this.#dataOffset = cursor.offset;
    this.#got = takePayload(cursor, this.#sink, page, this.#got);
    if (this.#got < page.payloadBytes) return false;
    cursor.fields++;
    return true;
  }
}
