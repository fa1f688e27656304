// Reads START's list of blocks, up to the last: names, lengths, and what the migration's capabilities add.
// Source: wire reference 5.2, 8.
import { type Cursor, isMigrationError, MigrationError } from "@godwit/core";
import { decodeIdstr } from "./idstr.ts";
import type { ListFormat } from "./list-format.ts";
import {
  type MappedHeader,
  mappedAlignmentBytes,
  mappedBitmapBytes,
  mappedHeaderBytes,
  mappedVersion,
  readMappedHeader,
} from "./mapped-header.ts";
import { MappedRegion } from "./mapped-region.ts";
import type { ListedBlock, RamSink } from "./ram-sink.ts";

type Step = "idstr" | "used_length" | "page_size" | "address" | "mapped" | "region" | "complete";

export class BlockListDecoder<B extends ListedBlock> {
  readonly #sink: RamSink<B>;
  readonly #pageBytes: number;
  readonly #format: ListFormat;
  readonly blocks: Map<string, B>;
  /** What is left of the total. Bytes. */
  #left: number;
  #step: Step = "idstr";
  #idstr = "";
  #block: B | undefined;
  #extra: { pageBytes?: number; address?: bigint; mapped?: MappedHeader } = {};
  #region: MappedRegion<B> | undefined;

  constructor(sink: RamSink<B>, pageBytes: number, format: ListFormat, total: number, blocks = new Map<string, B>()) {
    this.#sink = sink;
    this.#pageBytes = pageBytes;
    this.#format = format;
    this.#left = total;
    this.blocks = blocks;
  }

  /** `offset` is where the total stands, of which a list without blocks would be at fault. True: the list is whole. */
  begin(offset: number): boolean {
    return this.#next(offset);
  }

  /** Goes on as far as the bytes reach; true when the list is whole. */
  resume(cursor: Cursor): boolean {
    while (this.#step !== "complete") if (!this.#read(cursor)) return false;
    return true;
  }

  path(): string {
    const element = this.#region?.element() ?? (this.#step === "mapped" ? "mapped.version" : this.#step);
    return this.#pathOf(element);
  }

  takenBytes(): number {
    return this.#region?.takenBytes() ?? 0;
  }

  fork(sink: RamSink<B>): BlockListDecoder<B> {
    const copy = new BlockListDecoder(sink, this.#pageBytes, this.#format, this.#left, new Map(this.blocks));
    copy.#step = this.#step;
    copy.#idstr = this.#idstr;
    copy.#block = this.#block;
    copy.#extra = { ...this.#extra };
    copy.#region = this.#region?.fork(sink);
    return copy;
  }

  #read(cursor: Cursor): boolean {
    const { offset } = cursor;
    switch (this.#step) {
      case "idstr":
        return this.#readIdstr(cursor, offset);
      case "used_length":
        return cursor.available >= 8 && this.#readLength(cursor, offset);
      case "page_size":
        return cursor.available >= 8 && this.#readPageSize(cursor, offset);
      case "address":
        if (cursor.available < 8) return false;
        cursor.fields++;
        this.#extra.address = cursor.u64();
        return this.#stepOn(offset, "mapped");
      case "mapped":
        return cursor.available >= mappedHeaderBytes && this.#readMapped(cursor, offset);
      case "region":
        if (this.#region?.resume(cursor) === false) return false;
        this.#region = undefined;
        this.#sink.mappedComplete(this.#block as B);
        this.#next(cursor.offset);
        return true;
      case "complete":
        return true;
    }
  }

  #readIdstr(cursor: Cursor, offset: number): boolean {
    const { bytes, pos } = cursor;
    if (cursor.available < 1 || cursor.available < 1 + (bytes[pos] as number)) return false;
    const end = pos + 1 + (bytes[pos] as number);
    cursor.fields++;
    cursor.pos = end;
    const idstr = decodeIdstr(bytes, pos + 1, end);
    if (this.blocks.has(idstr)) {
      throw this.#mismatch(offset, "a RAM block is listed twice", "each block once", `"${idstr}"`);
    }
    this.#ask(offset, () => this.#sink.listing(idstr));
    this.#idstr = idstr;
    this.#step = "used_length";
    return true;
  }

  #readLength(cursor: Cursor, offset: number): boolean {
    const length = checkSize(cursor.u32() * 2 ** 32 + cursor.u32(), this.path(), offset);
    cursor.fields++;
    this.#block = this.#ask(offset, () => this.#sink.listed(this.#idstr, length));
    const found = `${length} bytes`;
    if (length === 0 || length % this.#pageBytes !== 0) {
      const expected = `a multiple of ${this.#pageBytes} bytes`;
      throw this.#mismatch(offset, "a RAM block is no whole number of pages", expected, found);
    }
    if (length > this.#left) {
      const expected = `at most ${this.#left} more bytes`;
      throw this.#mismatch(offset, "the listed blocks exceed the total", expected, found);
    }
    this.#left -= length;
    this.#extra = {};
    return this.#stepOn(offset, "page_size");
  }

  #readPageSize(cursor: Cursor, offset: number): boolean {
    const pageBytes = Number(cursor.u64());
    cursor.fields++;
    const expected = this.#format.pageSizes?.get(this.#idstr) as number;
    if (pageBytes !== expected) {
      const detail = "a RAM block has pages of another size";
      throw this.#mismatch(offset, detail, `${expected} bytes`, `${pageBytes} bytes`);
    }
    this.#extra.pageBytes = pageBytes;
    return this.#stepOn(offset, "address");
  }

  #readMapped(cursor: Cursor, offset: number): boolean {
    const header = readMappedHeader(cursor);
    const position = (this.#format.fileOffset ?? 0) + cursor.offset;
    const bitmapEnd = position + mappedBitmapBytes((this.#block as B).length / this.#pageBytes);
    const check = (element: string, at: number, good: boolean, expected: string, found: number): void => {
      if (good) return;
      throw new MigrationError("MAPPED_RAM", "the header does not fit the file", {
        path: this.#pathOf(`mapped.${element}`),
        offset: offset + at,
        expected,
        found: String(found),
      });
    };
    const { version, pageBytes, bitmapOffset, pagesOffset } = header;
    check("version", 0, version === mappedVersion, String(mappedVersion), version);
    check("page_size", 4, pageBytes === this.#pageBytes, String(this.#pageBytes), pageBytes);
    this.#extra.mapped = header;
    if (this.#format.ignoreShared && bitmapOffset === 0 && pagesOffset === 0) return this.#stepOn(offset, "complete");
    check("bitmap_offset", 12, bitmapOffset === position, String(position), bitmapOffset);
    check("pages_offset", 20, pagesOffset % mappedAlignmentBytes === 0, "a multiple of 1 MiB", pagesOffset);
    check("pages_offset", 20, pagesOffset >= bitmapEnd, `at least ${bitmapEnd}`, pagesOffset);
    const block = this.#block as B;
    this.#ask(offset, () => this.#sink.entry(block, this.#extra));
    this.blocks.set(this.#idstr, block);
    this.#region = new MappedRegion(this.#sink, block, header, bitmapEnd);
    this.#step = "region";
    return true;
  }

  /** From `step` on, the first that this list has. */
  #stepOn(offset: number, step: "page_size" | "address" | "mapped" | "complete"): boolean {
    const { pageSizes, ignoreShared, mappedRam } = this.#format;
    if (step === "page_size" && pageSizes?.has(this.#idstr)) this.#step = "page_size";
    else if ((step === "page_size" || step === "address") && ignoreShared) this.#step = "address";
    else if (step !== "complete" && mappedRam) this.#step = "mapped";
    else {
      const block = this.#block as B;
      this.#ask(offset, () => this.#sink.entry(block, this.#extra));
      this.blocks.set(this.#idstr, block);
      this.#next(offset);
    }
    return true;
  }

  /** The next entry, or the list's end. */
  #next(offset: number): boolean {
    this.#step = this.#left > 0 ? "idstr" : "complete";
    if (this.#left > 0) return false;
    this.#ask(offset, () => this.#sink.listComplete(this.blocks), "blocks");
    return true;
  }

  #pathOf(element: string): string {
    // The entry's own number, whether it is in the map already or not.
    const index = this.blocks.size - (this.#step === "region" ? 1 : 0);
    return `blocks[${index}].${element}`;
  }

  #mismatch(offset: number, detail: string, expected: string, found: string): MigrationError {
    return new MigrationError("RAM_BLOCK_MISMATCH", detail, { path: this.path(), offset, expected, found });
  }

  /** Asks the sink; its refusal is about the element being read. */
  #ask<T>(offset: number, question: () => T, path = this.path()): T {
    try {
      return question();
    } catch (error) {
      throw isMigrationError(error) ? error.at({ path, offset }) : error;
    }
  }
}

/** `LENGTH_BOUND` beyond what a number holds exactly. */
export function checkSize(bytes: number, path: string | undefined, offset: number): number {
  if (bytes <= Number.MAX_SAFE_INTEGER) return bytes;
  throw new MigrationError("LENGTH_BOUND", "more memory than there can be", {
    path,
    offset,
    expected: `at most ${Number.MAX_SAFE_INTEGER} bytes`,
    found: `${bytes} bytes`,
  });
}
