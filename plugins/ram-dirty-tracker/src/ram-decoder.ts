// The receiving side of the ram section's framing, a few bytes or all at a time. What becomes of blocks and pages is a
// sink's business, so that a load and a tool read with the same code. Source: wire reference 5.1 to 5.3.
import { type BodyDecoder, type Cursor, isMigrationError, MigrationError } from "@godwit/core";
import { BlockListDecoder, checkSize } from "./block-list-decoder.ts";
import { decodeIdstr } from "./idstr.ts";
import { type ListFormat, longerList, plainList } from "./list-format.ts";
import { PageDecoder } from "./page-decoder.ts";
import type { ControlRecord, ListedBlock, RamPhase, RamRecord, RamSection, RamSink } from "./ram-sink.ts";
import { describeFlags, kindOfFlag, namesPage, type RamRecordKind, recordFlag } from "./records.ts";

/** Decodes one section's data. `previous` is what the stream's section of this handler before gave; none for START. */
export function ramDecoder<B extends ListedBlock>(
  sink: RamSink<B>,
  phase: RamPhase,
  pageBytes: number,
  previous?: RamSection<B>,
  format: ListFormat = plainList,
): BodyDecoder<RamSection<B>> {
  if (phase !== "start" && previous === undefined) {
    throw new MigrationError("RAM_ORDER", "RAM came before its block list", {
      path: "records[0].flags",
      expected: "a START section",
    });
  }
  return new RamDecoder(sink, phase, pageBytes, format, previous?.blocks ?? new Map(), previous?.named);
}

const pageInRun = recordFlag.page | recordFlag.continue;

/** The element to be read next. */
type Step = "word" | "list" | "idstr" | "page" | "barrier" | "done";

type PageKind = "zero" | "page" | "xbzrle" | "compress";

class RamDecoder<B extends ListedBlock> implements BodyDecoder<RamSection<B>> {
  readonly #sink: RamSink<B>;
  readonly #phase: RamPhase;
  readonly #pageBytes: number;
  readonly #format: ListFormat;
  #blocks: ReadonlyMap<string, B>;
  #named: B | undefined;
  #step: Step = "word";
  #counts: Partial<Record<RamRecordKind, number>> = {};
  /** Records that are complete. */
  #index = 0;
  #list: BlockListDecoder<B> | undefined;
  #page: PageDecoder<B>;
  /** The record's word, while its block is still unknown. */
  #kind: PageKind = "page";
  #offset = 0;
  #wordOffset = 0;
  /** The record that waits to take effect. */
  #barrier: "eos" | "mfflush" = "eos";

  constructor(
    sink: RamSink<B>,
    phase: RamPhase,
    pageBytes: number,
    format: ListFormat,
    blocks: ReadonlyMap<string, B>,
    named: B | undefined,
  ) {
    this.#sink = sink;
    this.#phase = phase;
    this.#pageBytes = pageBytes;
    this.#format = format;
    this.#blocks = blocks;
    this.#named = named;
    this.#page = new PageDecoder(sink, pageBytes);
  }

  resume(cursor: Cursor): boolean {
    while (this.#step !== "done") {
      if (this.#step === "word") this.#readRun(cursor);
      if (!this.#read(cursor)) return false;
    }
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
      case "list":
        return this.#list?.path();
      case "idstr":
        return `records[${this.#index}].idstr`;
      case "page":
        return this.#page.path();
      case "barrier":
        return `records[${this.#index}].sync`;
    }
  }

  takenBytes(): number {
    if (this.#step === "page") return this.#page.takenBytes();
    return this.#step === "list" ? (this.#list?.takenBytes() ?? 0) : 0;
  }

  fork(): RamDecoder<B> {
    const sink = this.#sink.fork();
    const copy = new RamDecoder(sink, this.#phase, this.#pageBytes, this.#format, this.#blocks, this.#named);
    copy.#step = this.#step;
    copy.#counts = { ...this.#counts };
    copy.#index = this.#index;
    copy.#list = this.#list?.fork(sink);
    copy.#page = this.#page.fork(sink);
    copy.#kind = this.#kind;
    copy.#offset = this.#offset;
    copy.#wordOffset = this.#wordOffset;
    copy.#barrier = this.#barrier;
    return copy;
  }

  /** Reads one element; false where it has not arrived. A payload is taken as it comes. */
  #read(cursor: Cursor): boolean {
    switch (this.#step) {
      case "word":
        return cursor.available >= 8 && this.#readWord(cursor);
      case "list":
        return this.#readList(cursor);
      case "idstr":
        return this.#readIdstr(cursor);
      case "page":
        if (!this.#page.resume(cursor)) return false;
        this.#step = "word";
        this.#closePage();
        return true;
      case "barrier":
        if (!this.#sink.mayPass(this.#barrier)) return false;
        this.#pass();
        return true;
      case "done":
        return true;
    }
  }

  /**
   * Pages of the block named before, in a row and as they are: what most of a stream is. Nothing is made for them; what
   * is not one of them, or not whole, or wrong, is left to the steps.
   */
  #readRun(cursor: Cursor): void {
    const block = this.#named;
    if (block === undefined || this.#phase === "start" || this.#format.mappedRam) return;
    const pageBytes = this.#pageBytes;
    const flagMask = pageBytes - 1;
    const { view } = cursor;
    let pages = 0;
    for (; cursor.end - cursor.pos >= 8 + pageBytes; pages++) {
      const low = view.getUint32(cursor.pos + 4);
      if ((low & flagMask) !== pageInRun) break;
      const offset = view.getUint32(cursor.pos) * 2 ** 32 + ((low & ~flagMask) >>> 0);
      if (offset + pageBytes > block.length) break;
      if (pages === 0 && !this.#sink.accepts("page")) break;
      this.#kind = "page";
      this.#offset = offset;
      this.#wordOffset = cursor.offset;
      cursor.pos += 8;
      this.#open(block, true);
      this.#page.resume(cursor);
      cursor.fields++;
      this.#step = "word";
      this.#closePage();
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
    if (this.#format.mappedRam && (namesPage(kind) || kind === "mfflush")) {
      throw refuse("RAM_FLAGS", "pages of mapped-ram have their own places, and no records", "EOS");
    }
    if (namesPage(kind)) {
      if (starting) throw refuse("RAM_ORDER", "a page came in the section of the block list", "EOS");
      this.#kind = kind as PageKind;
      this.#offset = address;
      this.#wordOffset = wordOffset;
      if ((flags & recordFlag.continue) === 0) this.#step = "idstr";
      else if (this.#named !== undefined) this.#open(this.#named, true);
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
      const total = checkSize(address, "total", wordOffset);
      this.#close({ kind, value: total });
      this.#list = new BlockListDecoder(this.#sink, this.#pageBytes, this.#format, total);
      this.#step = "list";
      if (this.#list.begin(wordOffset)) this.#listComplete(this.#list);
      return true;
    }
    this.#barrier = kind as "eos" | "mfflush";
    if (this.#sink.mayPass(this.#barrier)) this.#pass();
    else this.#step = "barrier";
    return true;
  }

  #readList(cursor: Cursor): boolean {
    const list = this.#list as BlockListDecoder<B>;
    if (!list.resume(cursor)) return false;
    this.#listComplete(list);
    return true;
  }

  #listComplete(list: BlockListDecoder<B>): void {
    this.#blocks = list.blocks;
    this.#list = undefined;
    this.#step = "word";
  }

  #readIdstr(cursor: Cursor): boolean {
    const { bytes, pos, offset } = cursor;
    if (cursor.available < 1 || cursor.available < 1 + (bytes[pos] as number)) return false;
    const end = pos + 1 + (bytes[pos] as number);
    cursor.fields++;
    cursor.pos = end;
    const idstr = decodeIdstr(bytes, pos + 1, end);
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
    this.#open(block, false);
    return true;
  }

  #open(block: B, continues: boolean): void {
    this.#page.open(this.#kind, block, this.#offset, continues, this.#wordOffset);
    this.#step = "page";
    try {
      this.#sink.opening(block);
    } catch (error) {
      if (!isMigrationError(error)) throw error;
      throw error.at({ path: this.#page.pathOf("offset"), offset: this.#wordOffset });
    }
  }

  /** What the sink finds wrong with a page's content stands where the content begins. */
  #closePage(): void {
    try {
      this.#close(this.#page.page);
    } catch (error) {
      if (!isMigrationError(error)) throw error;
      throw error.at({ path: this.#page.pathOf("data"), offset: this.#page.dataOffset });
    }
  }

  #pass(): void {
    const kind: ControlRecord["kind"] = this.#barrier;
    this.#step = kind === "eos" ? "done" : "word";
    this.#close({ kind, value: 0 });
    if (kind === "eos") this.#sink.sectionComplete(this.#phase);
  }

  #close(record: RamRecord<B>): void {
    if (record.kind !== "mapped") this.#counts[record.kind] = (this.#counts[record.kind] ?? 0) + 1;
    this.#index++;
    this.#sink.record(record);
  }
}
