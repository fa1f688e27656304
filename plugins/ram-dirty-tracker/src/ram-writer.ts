// The sending side of the ram section: block list, rounds over the dirty pages, their records, and the end of each
// section's data. Source: wire reference 5.2 to 5.6.
import { MigrationError, type Pending, type Writer } from "@godwit/core";
import { type DirtyBitmap, dirtyBitmap } from "./bitmap.ts";
import type { RamBlock } from "./block.ts";
import { encodeName, writeBlockList } from "./block-list-writer.ts";
import { type ListFormat, plainList } from "./list-format.ts";
import type { MultifdSender } from "./multifd/sender.ts";
import { recordFlag, writeWord, xbzrleEncoding } from "./records.ts";
import type { RamRound, RamSent } from "./statistics.ts";
import { isZero, type WordView, wordView } from "./words.ts";
import { type XbzrleInit, XbzrleSender } from "./xbzrle-sender.ts";

/** QEMU's save_live_* life-cycle of RAM, one attempt after another. */
export interface RamWriter {
  /** `offset`: of the section's data, from the stream's first byte. */
  setup(out: Writer, offset: number): void;
  pending(exact: boolean): Pending;
  iterate(out: Writer, budgetBytes: number): boolean;
  complete(out: Writer, budgetBytes: number): boolean;
  cleanup(completed: boolean): void;
  /** The latest attempt, if there was one. */
  sent(): RamSent | undefined;
}

/** How pages go out, where not as records of their content alone. */
export interface SendInit {
  readonly list?: ListFormat;
  /** Deltas from the second round on. */
  readonly xbzrle?: XbzrleInit | undefined;
  /** Pages go to the channels. */
  readonly multifd?: MultifdSender | undefined;
}

export function ramWriter(blocks: readonly RamBlock[], pageBytes: number, init: SendInit = {}): RamWriter {
  return new PageWriter(blocks, pageBytes, init);
}

/** A zero page takes 9 bytes of the stream and a look at all of it: a call ends after so much memory, too. Bytes. */
const lookBoundBytes = 64 * 1024 * 1024;

const wordBytes = 8;

interface SourceBlock {
  readonly block: RamBlock;
  readonly dirty: DirtyBitmap;
  /** str8 idstr. */
  readonly name: Uint8Array;
  /** The number of its first page, counted through all blocks. */
  readonly firstPage: number;
  /** Its pages do not travel: they are never dirty. */
  readonly ignored: boolean;
}

interface Round {
  dirtyPages: number;
  zeroPages: number;
  normalPages: number;
  xbzrlePages: number;
  bytes: number;
}

/** Where the records stand: kept from section to section. */
interface Attempt {
  readonly blocks: readonly SourceBlock[];
  readonly rounds: Round[];
  bytes: number;
  /** The block and page to look at next. */
  block: number;
  page: number;
  /** The block of the last page record: CONTINUE means this one. */
  named: SourceBlock | undefined;
  /** Every page has been sent once. */
  firstRoundDone: boolean;
  readonly xbzrle: XbzrleSender | undefined;
  /** The END section has begun. */
  completing: boolean;
  active: boolean;
}

class PageWriter implements RamWriter {
  readonly #blocks: readonly RamBlock[];
  readonly #pageBytes: number;
  readonly #format: ListFormat;
  readonly #xbzrle: XbzrleInit | undefined;
  readonly #multifd: MultifdSender | undefined;
  #attempt: Attempt | undefined;

  constructor(blocks: readonly RamBlock[], pageBytes: number, { list = plainList, xbzrle, multifd }: SendInit) {
    this.#blocks = blocks;
    this.#pageBytes = pageBytes;
    this.#format = list;
    this.#xbzrle = xbzrle;
    this.#multifd = multifd;
  }

  setup(out: Writer): void {
    if (this.#attempt?.active) {
      throw new MigrationError("ATTEMPT_ACTIVE", "RAM is being sent already, and has one dirty bitmap", {
        side: "source",
        section: "ram/0",
      });
    }
    const attempt = this.#begin();
    this.#attempt = attempt;
    for (const { block, dirty, ignored } of attempt.blocks) {
      if (ignored) continue;
      block.tracker.begin();
      dirty.setAll();
    }
    synchronise(attempt);

    const from = out.pos;
    writeBlockList(out, this.#blocks, this.#format);
    this.#multifd?.begin();
    this.#flushRound(out);
    this.#endSection(out);
    attempt.bytes += out.pos - from;
  }

  pending(exact: boolean): Pending {
    const attempt = this.#attempt;
    if (attempt === undefined || !attempt.active) return { mustPrecopyBytes: 0, canPostcopyBytes: 0 };
    if (exact) synchronise(attempt);
    return { mustPrecopyBytes: dirtyPages(attempt) * this.#pageBytes, canPostcopyBytes: 0 };
  }

  iterate(out: Writer, budgetBytes: number): boolean {
    const attempt = this.#running();
    const from = out.pos;
    const done = this.#sendPages(attempt, out, budgetBytes - wordBytes);
    this.#endSection(out);
    attempt.bytes += out.pos - from;
    return done;
  }

  complete(out: Writer, budgetBytes: number): boolean {
    const attempt = this.#running();
    if (!attempt.completing) {
      attempt.completing = true;
      synchronise(attempt);
    }
    const from = out.pos;
    const done = this.#sendPages(attempt, out, budgetBytes - wordBytes);
    if (done) {
      this.#flushRound(out);
      this.#endSection(out);
    }
    attempt.bytes += out.pos - from;
    return done;
  }

  cleanup(completed: boolean): void {
    const attempt = this.#attempt;
    if (attempt === undefined || !attempt.active) return;
    attempt.active = false;
    for (const { block, ignored } of attempt.blocks) if (!ignored) block.tracker.end(completed);
  }

  sent(): RamSent | undefined {
    const attempt = this.#attempt;
    if (attempt === undefined) return undefined;
    const { rounds, bytes } = attempt;
    return {
      dirtySyncCount: rounds.length,
      zeroPages: rounds.reduce((sum, { zeroPages }) => sum + zeroPages, 0),
      normalPages: rounds.reduce((sum, { normalPages }) => sum + normalPages, 0),
      xbzrlePages: rounds.reduce((sum, { xbzrlePages }) => sum + xbzrlePages, 0),
      bytes,
      multifdBytes: this.#multifd?.bytes ?? 0,
      remainingPages: dirtyPages(attempt),
      rounds: rounds.map((round): RamRound => ({ ...round })),
      ...(attempt.xbzrle && { xbzrleCache: attempt.xbzrle.statistics() }),
    };
  }

  #running(): Attempt {
    if (this.#attempt?.active) return this.#attempt;
    throw new Error("the ram handler was not set up");
  }

  #begin(): Attempt {
    let firstPage = 0;
    const blocks = this.#blocks.map((block): SourceBlock => {
      const { pages } = block.tracker;
      const ignored = block.shared && this.#format.ignoreShared === true;
      const source = { block, dirty: dirtyBitmap(pages), name: encodeName(block.idstr), firstPage, ignored };
      firstPage += pages;
      return source;
    });
    return {
      blocks,
      rounds: [],
      bytes: 0,
      block: 0,
      page: 0,
      named: undefined,
      firstRoundDone: false,
      xbzrle: this.#xbzrle && new XbzrleSender(this.#xbzrle, this.#pageBytes),
      completing: false,
      active: true,
    };
  }

  /** Where a round is what the channels are synchronised by: at setup, behind each, and at the end. */
  #flushRound(out: Writer): void {
    if (this.#multifd?.sync !== "round") return;
    this.#multifd.synchronise();
    writeWord(out, 0, recordFlag.multifdFlush);
  }

  #endSection(out: Writer): void {
    if (this.#multifd?.sync === "section") this.#multifd.synchronise();
    writeWord(out, 0, recordFlag.eos);
  }

  /** Dirty pages as records, one at least, about `budgetBytes` of them. True: none is left. */
  #sendPages(attempt: Attempt, out: Writer, budgetBytes: number): boolean {
    const { blocks } = attempt;
    const pageBytes = this.#pageBytes;
    const round = attempt.rounds[attempt.rounds.length - 1] as Round;
    const from = out.pos;
    const channelsFrom = this.#multifd?.bytes ?? 0;
    let looked = 0;
    let left = dirtyPages(attempt);
    // One block after another, round and round, from where the last call stopped.
    while (left > 0) {
      const source = blocks[attempt.block] as SourceBlock;
      const memory = wordView(source.block.bytes());
      let page = source.dirty.nextSet(attempt.page);
      while (page >= 0) {
        const spent = out.pos - from + (this.#multifd?.bytes ?? 0) - channelsFrom;
        const nameBytes = attempt.named === source ? 0 : source.name.length;
        const full = budgetBytes - spent < wordBytes + nameBytes + pageBytes || looked >= lookBoundBytes / pageBytes;
        if (looked > 0 && full) {
          attempt.page = page;
          round.bytes += out.pos - from;
          return false;
        }
        this.#sendPage(attempt, round, out, source, memory, page);
        source.dirty.clear(page);
        looked++;
        left--;
        page = source.dirty.nextSet(page + 1);
      }
      attempt.block = (attempt.block + 1) % blocks.length;
      attempt.page = 0;
      if (attempt.block === 0) {
        attempt.firstRoundDone = true;
        // From here on pages go out again, and on another channel: the first ones must be there before.
        this.#flushRound(out);
      }
    }
    round.bytes += out.pos - from;
    return true;
  }

  #sendPage(attempt: Attempt, round: Round, out: Writer, source: SourceBlock, memory: WordView, page: number): void {
    const offset = page * this.#pageBytes;
    if (isZero(memory, offset, this.#pageBytes)) {
      this.#sendZero(attempt, out, source, page);
      round.zeroPages++;
    } else if (this.#multifd !== undefined) {
      const { idstr, tracker } = source.block;
      const sent = this.#multifd.page(idstr, offset, memory.bytes, offset);
      tracker.sent(page, sent.bytes, sent.at);
      round.normalPages++;
    } else if (attempt.xbzrle !== undefined && attempt.firstRoundDone) {
      this.#sendDelta(attempt, round, attempt.xbzrle, out, source, memory, page);
    } else {
      this.#sendWhole(attempt, out, source, memory.bytes, offset, page);
      round.normalPages++;
    }
  }

  #sendZero(attempt: Attempt, out: Writer, source: SourceBlock, page: number): void {
    const { idstr, tracker } = source.block;
    const offset = page * this.#pageBytes;
    if (this.#multifd?.zeroPages === "packets") this.#multifd.zeroPage(idstr, offset);
    else {
      this.#head(attempt, out, source, offset, recordFlag.zero);
      out.u8(0);
      if (attempt.firstRoundDone) attempt.xbzrle?.zero(source.firstPage + page, attempt.rounds.length);
    }
    tracker.sent(page, undefined, 0);
  }

  #sendDelta(
    attempt: Attempt,
    round: Round,
    xbzrle: XbzrleSender,
    out: Writer,
    source: SourceBlock,
    memory: WordView,
    page: number,
  ): void {
    const offset = page * this.#pageBytes;
    const generation = attempt.rounds.length;
    const delta = xbzrle.encode(source.firstPage + page, memory.bytes, offset, generation, attempt.completing);
    if (delta === "equal") {
      // What the destination has is what a tracker is to compare with, though it did not go out now.
      source.block.tracker.sent(page, xbzrle.content, 0);
    } else if (delta === "whole") {
      this.#sendWhole(attempt, out, source, xbzrle.content, 0, page);
      round.normalPages++;
    } else {
      this.#head(attempt, out, source, offset, recordFlag.xbzrle);
      out.u8(xbzrleEncoding);
      out.u16(delta.length);
      out.raw(delta);
      source.block.tracker.sent(page, xbzrle.content, 0);
      round.xbzrlePages++;
    }
  }

  /** The page at `from` of `bytes`, as it is. */
  #sendWhole(attempt: Attempt, out: Writer, source: SourceBlock, bytes: Uint8Array, from: number, page: number): void {
    this.#head(attempt, out, source, page * this.#pageBytes, recordFlag.page);
    const at = out.reserve(this.#pageBytes);
    out.bytes.set(bytes.subarray(from, from + this.#pageBytes), at);
    source.block.tracker.sent(page, out.bytes, at);
  }

  /** A page record's word, and the block's name where it is not the last one's. */
  #head(attempt: Attempt, out: Writer, source: SourceBlock, offset: number, flag: number): void {
    const named = attempt.named === source;
    writeWord(out, offset, flag | (named ? recordFlag.continue : 0));
    if (named) return;
    out.raw(source.name);
    attempt.named = source;
  }
}

function dirtyPages(attempt: Attempt): number {
  return attempt.blocks.reduce((sum, { dirty }) => sum + dirty.count, 0);
}

/** Asks every tracker; a new round begins. */
function synchronise(attempt: Attempt): void {
  for (const { block, dirty, ignored } of attempt.blocks) if (!ignored) block.tracker.sync(block.bytes(), dirty);
  attempt.rounds.push({ dirtyPages: dirtyPages(attempt), zeroPages: 0, normalPages: 0, xbzrlePages: 0, bytes: 0 });
}
