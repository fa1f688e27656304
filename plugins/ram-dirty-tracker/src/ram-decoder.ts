// The receiving side of the ram section's framing, a few bytes or all at a time. What becomes of blocks and pages is a
// sink's business, so that a load and a tool read with the same code. Source: wire reference 5.1 to 5.3.
import { type BodyDecoder, type Cursor, isMigrationError, MigrationError } from "@godwit/core";
import { decodeIdstr } from "./idstr.ts";
import type { ControlRecord, ListedBlock, PageRecord, RamPhase, RamRecord, RamSection, RamSink } from "./ram-sink.ts";
import {
  compressedBound,
  describeFlags,
  kindOfFlag,
  namesPage,
  pageName,
  type RamRecordKind,
  recordFlag,
  xbzrleEncoding,
} from "./records.ts";

/** Decodes one section's data. `previous` is what the stream's section of this handler before gave; none for START. */
export function ramDecoder<B extends ListedBlock>(
  sink: RamSink<B>,
  phase: RamPhase,
  pageBytes: number,
  previous?: RamSection<B>,
): BodyDecoder<RamSection<B>> {
  if (phase !== "start" && previous === undefined) {
    throw new MigrationError("RAM_ORDER", "RAM came before its block list", {
      path: "records[0].flags",
      expected: "a START section",
    });
  }
  return new RamDecoder(sink, phase, pageBytes, previous?.blocks ?? new Map(), previous?.named);
}

/** The element to be read next. */
type Step =
  | "word"
  | "listIdstr"
  | "listLength"
  | "idstr"
  | "fill"
  | "xbzrleHead"
  | "compressLength"
  | "payload"
  | "done";

/** The names of the steps' elements in a page's path. */
const pageElement: Readonly<Partial<Record<Step, string>>> = {
  fill: "fill",
  xbzrleHead: "encoding",
  compressLength: "length",
  payload: "data",
};

interface OpenPage<B extends ListedBlock> extends PageRecord<B> {
  kind: PageRecord["kind"];
  block: B;
  offset: number;
  fill: number;
  payloadBytes: number;
}

class RamDecoder<B extends ListedBlock> implements BodyDecoder<RamSection<B>> {
  readonly #sink: RamSink<B>;
  readonly #phase: RamPhase;
  readonly #pageBytes: number;
  #blocks: ReadonlyMap<string, B>;
  #named: B | undefined;
  #step: Step = "word";
  #counts: Partial<Record<RamRecordKind, number>> = {};
  /** Records that are complete. */
  #index = 0;
  /** In START's list: the blocks so far, what is left of the total, the name that waits for its length. */
  #listed: Map<string, B> | undefined;
  #listBytes = 0;
  #listIdstr = "";
  /** The record's word, while its block is still unknown. */
  #kind: PageRecord["kind"] = "page";
  #offset = 0;
  #wordOffset = 0;
  /** The page being read, and how much of its payload has come. One object for all pages of the section. */
  #page: OpenPage<B> | undefined;
  #got = 0;

  constructor(
    sink: RamSink<B>,
    phase: RamPhase,
    pageBytes: number,
    blocks: ReadonlyMap<string, B>,
    named: B | undefined,
  ) {
    this.#sink = sink;
    this.#phase = phase;
    this.#pageBytes = pageBytes;
    this.#blocks = blocks;
    this.#named = named;
  }

  resume(cursor: Cursor): boolean {
    while (this.#step !== "done") if (!this.#read(cursor)) return false;
    return true;
  }

  value(): RamSection<B> {
    return { records: this.#counts, blocks: this.#blocks, named: this.#named };
  }

  path(): string | undefined {
    switch (this.#step) {
      case "done":
        return undefined;
      case "word":
        return this.#phase === "start" && this.#index === 0 ? "total" : `records[${this.#index}].flags`;
      case "listIdstr":
        return `blocks[${this.#listed?.size}].idstr`;
      case "listLength":
        return `blocks[${this.#listed?.size}].used_length`;
      case "idstr":
        return `records[${this.#index}].idstr`;
      default:
        return this.#pagePath(pageElement[this.#step] as string);
    }
  }

  fork(): RamDecoder<B> {
    const copy = new RamDecoder(this.#sink.fork(), this.#phase, this.#pageBytes, this.#blocks, this.#named);
    copy.#step = this.#step;
    copy.#counts = { ...this.#counts };
    copy.#index = this.#index;
    copy.#listed = this.#listed && new Map(this.#listed);
    copy.#listBytes = this.#listBytes;
    copy.#listIdstr = this.#listIdstr;
    copy.#kind = this.#kind;
    copy.#offset = this.#offset;
    copy.#wordOffset = this.#wordOffset;
    copy.#page = this.#page && { ...this.#page };
    copy.#got = this.#got;
    return copy;
  }

  /** Reads one element; false where it has not arrived. A payload is taken as it comes. */
  #read(cursor: Cursor): boolean {
    switch (this.#step) {
      case "word":
        return cursor.available >= 8 && this.#readWord(cursor);
      case "listIdstr":
      case "idstr": {
        const { offset } = cursor;
        const idstr = this.#readIdstr(cursor);
        if (idstr === undefined) return false;
        if (this.#step === "listIdstr") this.#list(idstr, offset);
        else this.#name(idstr, offset);
        return true;
      }
      case "listLength":
        return cursor.available >= 8 && this.#readListLength(cursor);
      case "fill":
        if (cursor.available < 1) return false;
        cursor.fields++;
        // QEMU 7.2 fills the page with the byte, newer ones refuse all but 0: what an old source meant is done.
        this.#openPage().fill = cursor.u8();
        this.#closePage();
        return true;
      case "xbzrleHead":
        return cursor.available >= 3 && this.#readXbzrleHead(cursor);
      case "compressLength":
        return cursor.available >= 4 && this.#readCompressLength(cursor);
      case "payload":
        return this.#readPayload(cursor);
      case "done":
        return true;
    }
  }

  #readWord(cursor: Cursor): boolean {
    const wordOffset = cursor.offset;
    const high = cursor.u32();
    const low = cursor.u32();
    cursor.fields++;
    const flagMask = this.#pageBytes - 1;
    const flags = low & flagMask;
    const address = high * 2 ** 32 + ((low & ~flagMask) >>> 0);
    const kind = kindOfFlag.get(flags & ~recordFlag.continue);
    const refuse = (
      code: "RAM_FLAGS" | "RAM_ORDER" | "RAM_ENCODING",
      detail: string,
      expected: string,
    ): MigrationError =>
      new MigrationError(code, detail, {
        path: this.path(),
        offset: wordOffset,
        expected,
        found: describeFlags(flags),
      });

    const starting = this.#phase === "start";
    if (kind === undefined) {
      const hint = starting && this.#index > 0 && flags === 0 ? `; ${longerList}` : "";
      throw refuse("RAM_FLAGS", `a record is of no kind, or of several${hint}`, "exactly one kind");
    }
    if (kind === "hook" || !this.#sink.accepts(kind)) {
      throw refuse("RAM_ENCODING", "a record is of a kind that is not supported here", "ZERO or PAGE");
    }
    if (starting && this.#index === 0 && kind !== "memsize") {
      throw refuse("RAM_ORDER", "the block list does not begin with the total", "MEM_SIZE");
    }
    if (namesPage(kind)) {
      if (starting) throw refuse("RAM_ORDER", "a page came in the section of the block list", "EOS");
      this.#kind = kind as PageRecord["kind"];
      this.#offset = address;
      this.#wordOffset = wordOffset;
      if ((flags & recordFlag.continue) === 0) this.#step = "idstr";
      else if (this.#named !== undefined) this.#open(this.#named);
      else
        throw refuse(
          "RAM_ORDER",
          "a page continues a block, and none was named before",
          "a page with its block's name",
        );
      return true;
    }
    if ((flags & recordFlag.continue) !== 0 || (kind !== "memsize" && address !== 0)) {
      throw refuse("RAM_FLAGS", "a record without a page carries what only a page has", "the kind alone");
    }
    if (kind === "memsize") {
      if (!starting || this.#index > 0) throw refuse("RAM_ORDER", "the total came again", "a page or EOS");
      this.#listed = new Map();
      this.#listBytes = checkSize(address, "total", wordOffset);
    }
    this.#close({ kind: kind as ControlRecord["kind"], value: address });
    if (kind === "memsize") this.#nextOfList(wordOffset);
    if (kind === "eos") {
      this.#step = "done";
      this.#sink.sectionComplete(this.#phase);
    }
    return true;
  }

  /** A str8, or undefined where it has not arrived whole. */
  #readIdstr(cursor: Cursor): string | undefined {
    const { bytes, pos } = cursor;
    if (cursor.available < 1 || cursor.available < 1 + (bytes[pos] as number)) return undefined;
    const end = pos + 1 + (bytes[pos] as number);
    cursor.fields++;
    cursor.pos = end;
    return decodeIdstr(bytes, pos + 1, end);
  }

  #list(idstr: string, offset: number): void {
    if (this.#listed?.has(idstr))
      throw this.#mismatch(offset, "a RAM block is listed twice", "each block once", `"${idstr}"`);
    this.#ask(offset, () => this.#sink.listing(idstr));
    this.#listIdstr = idstr;
    this.#step = "listLength";
  }

  #readListLength(cursor: Cursor): boolean {
    const { offset } = cursor;
    const length = checkSize(cursor.u32() * 2 ** 32 + cursor.u32(), this.path(), offset);
    cursor.fields++;
    const block = this.#ask(offset, () => this.#sink.listed(this.#listIdstr, length));
    const found = `${length} bytes`;
    if (length === 0 || length % this.#pageBytes !== 0) {
      const expected = `a multiple of ${this.#pageBytes} bytes`;
      throw this.#mismatch(offset, "a RAM block is no whole number of pages", expected, found);
    }
    if (length > this.#listBytes) {
      throw this.#mismatch(
        offset,
        "the listed blocks exceed the total",
        `at most ${this.#listBytes} more bytes`,
        found,
      );
    }
    this.#listBytes -= length;
    (this.#listed as Map<string, B>).set(this.#listIdstr, block);
    this.#nextOfList(offset);
    return true;
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

  #nextOfList(offset: number): void {
    if (this.#listBytes > 0) {
      this.#step = "listIdstr";
      return;
    }
    this.#blocks = this.#listed as Map<string, B>;
    this.#step = "word";
    this.#ask(offset, () => this.#sink.listComplete(this.#blocks), "blocks");
  }

  #name(idstr: string, offset: number): void {
    const block = this.#blocks.get(idstr);
    if (block === undefined) {
      throw new MigrationError("RAM_BLOCK_UNKNOWN", "a page names a block that was not listed", {
        path: this.path(),
        offset,
        expected: [...this.#blocks.keys()].join(", "),
        found: `"${idstr}"`,
      });
    }
    this.#named = block;
    this.#open(block);
  }

  #open(block: B): void {
    const kind = this.#kind;
    const offset = this.#offset;
    const page = this.#page;
    if (page === undefined) this.#page = { kind, block, offset, fill: 0, payloadBytes: 0 };
    else {
      page.kind = kind;
      page.block = block;
      page.offset = offset;
      page.fill = 0;
      page.payloadBytes = 0;
    }
    if (offset + this.#pageBytes > block.length) {
      throw new MigrationError("RAM_OFFSET", "a page lies outside its RAM block", {
        path: this.#pagePath("offset"),
        offset: this.#wordOffset,
        expected: `at most 0x${(block.length - this.#pageBytes).toString(16)}`,
        found: `0x${offset.toString(16)}`,
      });
    }
    this.#got = 0;
    if (kind === "page") {
      this.#openPage().payloadBytes = this.#pageBytes;
      this.#step = "payload";
    } else this.#step = kind === "zero" ? "fill" : kind === "xbzrle" ? "xbzrleHead" : "compressLength";
  }

  #readXbzrleHead(cursor: Cursor): boolean {
    const { offset } = cursor;
    const encoding = cursor.u8();
    const length = cursor.u16();
    cursor.fields += 2;
    if (encoding !== xbzrleEncoding) {
      throw new MigrationError("RAM_ENCODING", "a page delta is of an unknown encoding", {
        path: this.#pagePath("encoding"),
        offset,
        expected: String(xbzrleEncoding),
        found: String(encoding),
      });
    }
    return this.#openPayload(length, this.#pageBytes, offset + 1);
  }

  #readCompressLength(cursor: Cursor): boolean {
    const { offset } = cursor;
    const length = cursor.u32();
    cursor.fields++;
    return this.#openPayload(length, compressedBound(this.#pageBytes), offset);
  }

  #openPayload(length: number, bound: number, offset: number): boolean {
    if (length > bound) {
      throw new MigrationError("LENGTH_BOUND", "an encoded page is longer than can be", {
        path: this.#pagePath("length"),
        offset,
        expected: `at most ${bound} bytes`,
        found: `${length} bytes`,
      });
    }
    this.#openPage().payloadBytes = length;
    this.#step = "payload";
    return true;
  }

  /** Pages are taken as they come: a page that is cut is told by its first byte all the same. */
  takenBytes(): number {
    return this.#step === "payload" ? this.#got : 0;
  }

  #readPayload(cursor: Cursor): boolean {
    const page = this.#openPage();
    const at = this.#got;
    const from = cursor.pos;
    const to = Math.min(cursor.end, from + page.payloadBytes - at);
    if (to > from) this.#sink.payload(page, at, cursor.bytes, from, to);
    cursor.pos = to;
    this.#got = at + to - from;
    if (this.#got < page.payloadBytes) return false;
    cursor.fields++;
    this.#closePage();
    return true;
  }

  #closePage(): void {
    this.#step = "word";
    this.#close(this.#openPage());
  }

  #close(record: RamRecord<B>): void {
    this.#counts[record.kind] = (this.#counts[record.kind] ?? 0) + 1;
    this.#index++;
    this.#sink.record(record);
  }

  #openPage(): OpenPage<B> {
    return this.#page as OpenPage<B>;
  }

  #pagePath(element: string): string {
    const { block, offset } = this.#openPage();
    return `pages[${pageName(block.idstr, offset)}].${element}`;
  }
}

/** What a block list may carry that is not read here, and that only the migration's settings would tell. */
export const longerList =
  "the list may carry more than names and lengths: mapped-ram headers, addresses of x-ignore-shared, page sizes of post-copy";

function checkSize(bytes: number, path: string | undefined, offset: number): number {
  if (bytes <= Number.MAX_SAFE_INTEGER) return bytes;
  throw new MigrationError("LENGTH_BOUND", "more memory than there can be", {
    path,
    offset,
    expected: `at most ${Number.MAX_SAFE_INTEGER} bytes`,
    found: `${bytes} bytes`,
  });
}
