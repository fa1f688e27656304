// The RAM that a stream brings, written to where each page has its place: an image a block, or one file for all. What is
// held in memory is two bits a page, and one buffer.
import { MigrationError } from "@godwit/core";
import {
  type DirtyBitmap,
  dirtyBitmap,
  type ListedBlock,
  type ListedExtra,
  type PageRecord,
  type PageTarget,
  type RamRecord,
  type RamWalkerInit,
  xbzrleDecode,
} from "@godwit/ram-dirty-tracker";
import { inflatedPage } from "./codecs.ts";
import { RunWriter } from "./run-writer.ts";

/** Where a block's first byte goes. What nobody has written there reads as zeros. */
export interface Place {
  readonly descriptor: number;
  /** Offset in the file. Bytes. */
  readonly at: number;
}

export interface RamPlacesInit {
  /** Bytes of a target page; asked when the list of blocks comes. */
  pageBytes(): number;
  /** Undefined: the block's pages are not wanted. */
  place(block: ListedBlock & ListedExtra): Place | undefined;
  /** How much memory a stream may list: each page costs two bits. Bytes; `LENGTH_BOUND` beyond. */
  readonly boundBytes?: number;
  /** EOS and MULTIFD_FLUSH of the main stream, MEM_SIZE's total. */
  onControl?(kind: "memsize" | "eos" | "mfflush", value: number): void;
}

/** A block of the list, and what has come of it. */
export interface RamBlockState extends ListedBlock, ListedExtra {
  /** Undefined: not wanted, and nothing of it is kept. */
  readonly place: Place | undefined;
  /** Pages that have come, one bit each. */
  readonly came: DirtyBitmap;
  /** Pages whose content was written; all others are zero, and never were, or are so again. */
  readonly written: DirtyBitmap;
}

export interface RamPlaces {
  /** For `ReadOptions.ram`. */
  readonly ram: Omit<RamWalkerInit, "pageBytes" | "list">;
  /** For pages that come by channels. */
  readonly target: PageTarget<ListedBlock>;
  /** In the order of the list. */
  readonly blocks: ReadonlyMap<string, RamBlockState>;
  /** Memory that is held for all of it. Bytes. */
  readonly heldBytes: number;
  /** Bytes of a target page. */
  readonly pageBytes: number;
  /** The pages from `offset` on, `length` bytes, are to come again: a post-copy source has said so. */
  discard(idstr: string, offset: number, length: number): void;
  /** Content of a block from `offset` on, as far as it has come. */
  read(block: RamBlockState, offset: number, into: Uint8Array): void;
  /** Pages of wanted blocks that have not come. */
  missingPages(): number;
  /** Everything is in the files; what was discarded and has not come again is zero. */
  finish(): void;
}

/** 1 TiB of listed memory: 64 MiB of bits. */
export const defaultRamBoundBytes = 2 ** 40;

export function ramPlaces(init: RamPlacesInit): RamPlaces {
  return new Places(init);
}

class Places implements RamPlaces {
  readonly #init: RamPlacesInit;
  readonly #writer = new RunWriter();
  readonly #blocks = new Map<string, RamBlockState>();
  #pageBytes = 0;
  #zeros = new Uint8Array(0);
  #page = new Uint8Array(0);
  #listedBytes = 0;
  /** The block of the record before: pages of one block come together. */
  #last: RamBlockState | undefined;

  readonly ram: RamPlaces["ram"];
  readonly target: PageTarget<ListedBlock>;

  constructor(init: RamPlacesInit) {
    this.#init = init;
    this.ram = {
      onBlock: (block) => this.#list(block),
      payload: (record, bytes) => this.#payload(record, bytes),
      onRecord: (record) => this.#record(record),
    };
    this.target = {
      find: (idstr) => this.#blocks.get(idstr),
      opening() {},
      store: ({ idstr }, at, bytes, from, to) => {
        const { place } = this.#block(idstr);
        if (place !== undefined) this.#writer.write(place.descriptor, place.at + at, bytes.subarray(from, to));
      },
      arrive: ({ idstr }, offset) => {
        const block = this.#block(idstr);
        const page = offset / this.#pageBytes;
        block.came.set(page);
        if (block.place !== undefined) block.written.set(page);
      },
      fill: ({ idstr }, offset, byte) => this.#fill(this.#block(idstr), offset, byte),
    };
  }

  get blocks(): ReadonlyMap<string, RamBlockState> {
    return this.#blocks;
  }

  get pageBytes(): number {
    return this.#pageBytes;
  }

  get heldBytes(): number {
    let bits = 0;
    for (const { came, written } of this.#blocks.values()) bits += came.pages + written.pages;
    return this.#writer.heldBytes + this.#zeros.length + this.#page.length + Math.ceil(bits / 8);
  }

  read({ place, length }: RamBlockState, offset: number, into: Uint8Array): void {
    if (place === undefined) throw new Error("a block that was not wanted has no content");
    const inside = into.subarray(0, Math.max(0, length - offset));
    this.#writer.read(place.descriptor, place.at + offset, inside);
  }

  discard(idstr: string, offset: number, length: number): void {
    const block = this.#blocks.get(idstr);
    if (block === undefined) return;
    const end = Math.min(block.length, offset + length) / this.#pageBytes;
    for (let page = Math.floor(offset / this.#pageBytes); page < end; page++) block.came.clear(page);
  }

  missingPages(): number {
    let missing = 0;
    for (const { place, came } of this.#blocks.values()) if (place !== undefined) missing += came.pages - came.count;
    return missing;
  }

  finish(): void {
    for (const block of this.#blocks.values()) {
      const { written, came, place } = block;
      if (place === undefined || came.count === came.pages) continue;
      for (let page = written.nextSet(0); page >= 0; page = written.nextSet(page + 1)) {
        if (!came.test(page)) this.#zero(block, page);
      }
    }
    this.#writer.flush();
  }

  #block(idstr: string): RamBlockState {
    if (this.#last?.idstr !== idstr) this.#last = this.#blocks.get(idstr) as RamBlockState;
    return this.#last as RamBlockState;
  }

  #list(block: ListedBlock & ListedExtra): void {
    this.#takePageSize();
    this.#listedBytes += block.length;
    const { boundBytes = defaultRamBoundBytes } = this.#init;
    if (this.#listedBytes > boundBytes) {
      throw new MigrationError("LENGTH_BOUND", "the stream lists more memory than is taken", {
        expected: `at most ${boundBytes} bytes`,
        found: `${this.#listedBytes} bytes`,
      });
    }
    const place = this.#init.place(block);
    const pages = block.length / this.#pageBytes;
    const came = dirtyBitmap(pages);
    // A page that has no bit in a mapped-ram file is zero: it is there as well.
    if (block.mapped !== undefined && block.mapped.pagesOffset !== 0) came.setAll();
    this.#blocks.set(block.idstr, { ...block, place, came, written: dirtyBitmap(place === undefined ? 0 : pages) });
  }

  #takePageSize(): void {
    if (this.#pageBytes !== 0) return;
    this.#pageBytes = this.#init.pageBytes();
    this.#zeros = new Uint8Array(this.#pageBytes);
    this.#page = new Uint8Array(this.#pageBytes);
  }

  #payload({ kind, block: { idstr }, offset }: PageRecord, content: Uint8Array): void {
    const block = this.#block(idstr);
    if (block.place === undefined) return;
    if (kind === "xbzrle") this.#delta(block, offset, content);
    else if (kind === "compress") this.#store(block, offset, inflatedPage(content, this.#pageBytes));
    else this.#store(block, offset, content);
  }

  #record(record: RamRecord): void {
    if ("value" in record) {
      this.#init.onControl?.(record.kind, record.value);
      return;
    }
    const block = this.#block(record.block.idstr);
    if (record.kind === "zero") this.#fill(block, record.offset, record.fill);
    else block.came.set(record.offset / this.#pageBytes);
  }

  #delta(block: RamBlockState, offset: number, delta: Uint8Array): void {
    const page = this.#page;
    if (block.written.test(offset / this.#pageBytes)) this.read(block, offset, page);
    else page.fill(0);
    xbzrleDecode(delta, page);
    this.#store(block, offset, page);
  }

  #store(block: RamBlockState, offset: number, content: Uint8Array): void {
    const page = offset / this.#pageBytes;
    // A source without zero detection sends zeros as they are; they stay a hole all the same.
    if (Buffer.compare(content, this.#zeros) === 0) {
      this.#zero(block, page);
      return;
    }
    const { descriptor, at } = block.place as Place;
    this.#writer.write(descriptor, at + offset, content);
    block.written.set(page);
  }

  #fill(block: RamBlockState, offset: number, byte: number): void {
    const page = offset / this.#pageBytes;
    block.came.set(page);
    if (block.place === undefined) return;
    if (byte === 0) this.#zero(block, page);
    else this.#store(block, offset, this.#page.fill(byte));
  }

  #zero({ place, written }: RamBlockState, page: number): void {
    if (!written.clear(page)) return;
    const { descriptor, at } = place as Place;
    this.#writer.write(descriptor, at + page * this.#pageBytes, this.#zeros);
  }
}
