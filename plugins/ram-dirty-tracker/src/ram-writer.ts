// The sending side of the ram section: block list, rounds over the dirty pages, their records, and the end of each
// section's data. Source: wire reference 5.2 to 5.6.
import { MigrationError, type Pending, type Writer } from "@godwit/core";
import { checkPages } from "./absence.ts";
import { bitmapBytes, type DirtyBitmap, dirtyBitmap } from "./bitmap.ts";
import type { RamBlock } from "./block.ts";
import { encodeName, writeBlockList } from "./block-list-writer.ts";
import { type ListFormat, plainList } from "./list-format.ts";
import type { MultifdSender } from "./multifd/sender.ts";
import { PageRequests } from "./page-requests.ts";
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

/** Post-copy's part of it. Ranges are of whole pages, in bytes of the block. */
export interface PostcopySource {
  /**
   * Post-copy begins: all that is still to come, to be discarded there, be it that it has changed since, or that it has
   * not gone: a QEMU has content of its own in its ROMs, and a page can be placed only where none is. The machine
   * stands, and is looked at for the last time. `RAM_ORDER` twice, or with multifd.
   */
  discards(): Iterable<{
    readonly idstr: string;
    readonly ranges: readonly { readonly start: number; readonly length: number }[];
  }>;
  /** Pages that go first, in this order; what has gone already goes no more. `RAM_BLOCK_UNKNOWN`, `RAM_OFFSET`. */
  request(idstr: string, start: number, length: number): void;
  /** Requested pages that have not gone. */
  readonly requestedPages: number;
  /**
   * Records of requested pages alone, for a channel of their own, which has no other framing: one at least, about
   * `budgetBytes`. True: none is left.
   */
  urgent(out: Writer, budgetBytes: number): boolean;
  /** The last record of such a channel. The next begins afresh. */
  urgentEnd(out: Writer): void;
  /**
   * After a lost connection: the pages of the block that the destination has, a bit each, page 0 lowest, in whole 64-bit
   * words. All others go again, and CONTINUE's block is forgotten. `RAM_BLOCK_UNKNOWN`, `RAM_BLOCK_MISMATCH`.
   */
  received(idstr: string, bitmap: Uint8Array): void;
}

/** Modes of the attempts from now on; without one, that mode is off. */
export interface SendModes {
  readonly xbzrle?: XbzrleInit | undefined;
  readonly multifd?: MultifdSender | undefined;
  /** Post-copy may be chosen: what is dirty counts as what can follow the machine. */
  readonly postcopy?: boolean | undefined;
}

/** How pages go out, where not as records of their content alone. */
export interface SendInit extends SendModes {
  readonly list?: ListFormat;
}

export interface StreamRamWriter extends RamWriter {
  /** `ATTEMPT_ACTIVE` while one is under way. */
  sendBy(modes: SendModes): void;
  readonly postcopy: PostcopySource;
}

export function ramWriter(blocks: readonly RamBlock[], pageBytes: number, init: SendInit = {}): StreamRamWriter {
  return new PageWriter(blocks, pageBytes, init);
}

/** A zero page takes 9 bytes of the stream and a look at all of it: a call ends after so much memory, too. Bytes. */
const lookBoundBytes = 64 * 1024 * 1024;

const wordBytes = 8;

interface SourceBlock {
  readonly block: RamBlock;
  readonly dirty: DirtyBitmap;
  readonly number: number;
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
  /** Every page has been sent once. */
  firstRoundDone: boolean;
  readonly xbzrle: XbzrleSender | undefined;
  /** The END section has begun. */
  completing: boolean;
  active: boolean;
  /** From the switch-over of post-copy on. */
  requests: PageRequests | undefined;
  readonly main: Channel;
  readonly urgent: Channel;
  postcopyRequests: number;
  postcopyPages: number;
}

/** Where records go, in a row. */
interface Channel {
  /** The block of the last page record: CONTINUE means this one. */
  named: SourceBlock | undefined;
}

class PageWriter implements StreamRamWriter {
  readonly #blocks: readonly RamBlock[];
  readonly #pageBytes: number;
  readonly #format: ListFormat;
  #modes: SendModes;
  #attempt: Attempt | undefined;
  /** The active attempt's. */
  #multifd: MultifdSender | undefined;
  readonly postcopy: PostcopySource;

  constructor(blocks: readonly RamBlock[], pageBytes: number, { list = plainList, ...modes }: SendInit) {
    this.#blocks = blocks;
    this.#pageBytes = pageBytes;
    this.#format = list;
    this.#modes = modes;
    const requested = (): number => this.#attempt?.requests?.pages ?? 0;
    this.postcopy = {
      discards: () => this.#discards(),
      request: (idstr, start, length) => this.#request(idstr, start, length),
      get requestedPages() {
        return requested();
      },
      urgent: (out, budgetBytes) => this.#sendUrgent(out, budgetBytes),
      urgentEnd: (out) => this.#endUrgent(out),
      received: (idstr, bitmap) => this.#received(idstr, bitmap),
    };
  }

  sendBy(modes: SendModes): void {
    if (this.#attempt?.active) {
      throw new MigrationError("ATTEMPT_ACTIVE", "RAM is being sent, and in one way", {
        side: "source",
        section: "ram/0",
      });
    }
    this.#modes = modes;
  }

  setup(out: Writer): void {
    if (this.#attempt?.active) {
      throw new MigrationError("ATTEMPT_ACTIVE", "RAM is being sent already, and has one dirty bitmap", {
        side: "source",
        section: "ram/0",
      });
    }
    this.#multifd = this.#modes.multifd;
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
    const bytes = dirtyPages(attempt) * this.#pageBytes;
    const canFollow = attempt.requests !== undefined || this.#modes.postcopy === true;
    return { mustPrecopyBytes: canFollow ? 0 : bytes, canPostcopyBytes: canFollow ? bytes : 0 };
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
      // In post-copy the machine was looked at when it stopped, and has not run here since.
      if (attempt.requests === undefined) synchronise(attempt);
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
      postcopyRequests: attempt.postcopyRequests,
      postcopyPages: attempt.postcopyPages,
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
    const blocks = this.#blocks.map((block, number): SourceBlock => {
      const { pages } = block.tracker;
      const ignored = block.shared && this.#format.ignoreShared === true;
      const dirty = dirtyBitmap(pages);
      const source = { block, dirty, number, name: encodeName(block.idstr), firstPage, ignored };
      firstPage += pages;
      return source;
    });
    return {
      blocks,
      rounds: [],
      bytes: 0,
      block: 0,
      page: 0,
      firstRoundDone: false,
      xbzrle: this.#modes.xbzrle && new XbzrleSender(this.#modes.xbzrle, this.#pageBytes),
      completing: false,
      active: true,
      requests: undefined,
      main: { named: undefined },
      urgent: { named: undefined },
      postcopyRequests: 0,
      postcopyPages: 0,
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
    let looked = this.#sendRequested(attempt, attempt.main, round, out, budgetBytes);
    if (looked < 0) {
      round.bytes += out.pos - from;
      return false;
    }
    let left = dirtyPages(attempt);
    // One block after another, round and round, from where the last call stopped.
    while (left > 0) {
      const source = blocks[attempt.block] as SourceBlock;
      const memory = wordView(source.block.bytes());
      let page = source.dirty.nextSet(attempt.page);
      while (page >= 0) {
        const spent = out.pos - from + (this.#multifd?.bytes ?? 0) - channelsFrom;
        const nameBytes = attempt.main.named === source ? 0 : source.name.length;
        const full = budgetBytes - spent < wordBytes + nameBytes + pageBytes || looked >= lookBoundBytes / pageBytes;
        if (looked > 0 && full) {
          attempt.page = page;
          round.bytes += out.pos - from;
          return false;
        }
        this.#sendPage(attempt, attempt.main, round, out, source, memory, page);
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

  /**
   * Requested pages, and the pages behind the last of them next. How many; or, where `budgetBytes` did not do for all,
   * -1.
   */
  #sendRequested(attempt: Attempt, channel: Channel, round: Round, out: Writer, budgetBytes: number): number {
    const { requests, blocks } = attempt;
    const from = out.pos;
    let looked = 0;
    for (let next = requests?.first(); next !== undefined; next = requests?.first()) {
      const { block, page } = next;
      const source = blocks[block] as SourceBlock;
      const full = budgetBytes - (out.pos - from) < wordBytes + source.name.length + this.#pageBytes;
      if (looked > 0 && (full || looked >= lookBoundBytes / this.#pageBytes)) return -1;
      this.#sendPage(attempt, channel, round, out, source, wordView(source.block.bytes()), page);
      looked++;
      attempt.block = block;
      attempt.page = page + 1;
    }
    return looked;
  }

  *#discards(): ReturnType<PostcopySource["discards"]> {
    const attempt = this.#running();
    if (attempt.requests !== undefined || this.#multifd !== undefined) {
      throw new MigrationError("RAM_ORDER", "post-copy begins once, and not with multifd", {
        side: "source",
        section: "ram/0",
      });
    }
    synchronise(attempt);
    attempt.requests = new PageRequests(attempt.blocks.map(({ dirty }) => dirtyBitmap(dirty.pages)));
    for (const { block, dirty } of attempt.blocks) {
      const ranges: { start: number; length: number }[] = [];
      for (let page = dirty.nextSet(0); page >= 0; page = dirty.nextSet(page + 1)) {
        const start = page * this.#pageBytes;
        const last = ranges[ranges.length - 1];
        if (last !== undefined && last.start + last.length === start) last.length += this.#pageBytes;
        else ranges.push({ start, length: this.#pageBytes });
      }
      if (ranges.length > 0) yield { idstr: block.idstr, ranges };
    }
  }

  #request(idstr: string, start: number, length: number): void {
    const attempt = this.#postcopying();
    const source = attempt.blocks.find(({ block }) => block.idstr === idstr);
    checkPages(source?.block, idstr, start, length, this.#pageBytes);
    const { number, dirty } = source as SourceBlock;
    attempt.postcopyRequests++;
    attempt.requests?.add(number, start / this.#pageBytes, (start + length) / this.#pageBytes, dirty);
  }

  #sendUrgent(out: Writer, budgetBytes: number): boolean {
    const attempt = this.#postcopying();
    const round = attempt.rounds[attempt.rounds.length - 1] as Round;
    const from = out.pos;
    const isDone = this.#sendRequested(attempt, attempt.urgent, round, out, budgetBytes) >= 0;
    round.bytes += out.pos - from;
    attempt.bytes += out.pos - from;
    return isDone;
  }

  #endUrgent(out: Writer): void {
    const attempt = this.#postcopying();
    attempt.urgent.named = undefined;
    attempt.bytes += wordBytes;
    writeWord(out, 0, recordFlag.eos);
  }

  #received(idstr: string, bitmap: Uint8Array): void {
    const attempt = this.#postcopying();
    const source = attempt.blocks.find(({ block }) => block.idstr === idstr);
    if (source === undefined) {
      throw new MigrationError("RAM_BLOCK_UNKNOWN", "there is no such RAM block here", { found: `"${idstr}"` });
    }
    const { dirty, ignored } = source;
    const bytes = bitmapBytes(dirty.pages);
    if (bitmap.length !== bytes) {
      throw new MigrationError("RAM_BLOCK_MISMATCH", `the bitmap is not of the RAM block "${idstr}"`, {
        expected: `${bytes} bytes`,
        found: `${bitmap.length} bytes`,
      });
    }
    attempt.main.named = attempt.urgent.named = undefined;
    attempt.requests?.clear();
    if (ignored) return;
    for (let page = 0; page < dirty.pages; page++) {
      if ((bitmap[page >>> 3] as number) & (1 << (page & 7))) dirty.clear(page);
      else dirty.set(page);
    }
  }

  #postcopying(): Attempt {
    const attempt = this.#running();
    if (attempt.requests !== undefined) return attempt;
    throw new MigrationError("RAM_ORDER", "RAM is not in post-copy", { side: "source", section: "ram/0" });
  }

  #sendPage(
    attempt: Attempt,
    channel: Channel,
    round: Round,
    out: Writer,
    source: SourceBlock,
    memory: WordView,
    page: number,
  ): void {
    const offset = page * this.#pageBytes;
    source.dirty.clear(page);
    attempt.requests?.sent(source.number, page);
    if (attempt.requests !== undefined) attempt.postcopyPages++;
    if (isZero(memory, offset, this.#pageBytes)) {
      this.#sendZero(attempt, channel, out, source, page);
      round.zeroPages++;
    } else if (this.#multifd !== undefined) {
      const { idstr, tracker } = source.block;
      const sent = this.#multifd.page(idstr, offset, memory.bytes, offset);
      tracker.sent(page, sent.bytes, sent.at);
      round.normalPages++;
    } else if (attempt.xbzrle !== undefined && attempt.firstRoundDone && attempt.requests === undefined) {
      this.#sendDelta(attempt, round, attempt.xbzrle, out, source, memory, page);
    } else {
      this.#sendWhole(channel, out, source, memory.bytes, offset, page);
      round.normalPages++;
    }
  }

  #sendZero(attempt: Attempt, channel: Channel, out: Writer, source: SourceBlock, page: number): void {
    const { idstr, tracker } = source.block;
    const offset = page * this.#pageBytes;
    if (this.#multifd?.zeroPages === "packets") this.#multifd.zeroPage(idstr, offset);
    else {
      this.#head(channel, out, source, offset, recordFlag.zero);
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
      this.#sendWhole(attempt.main, out, source, xbzrle.content, 0, page);
      round.normalPages++;
    } else {
      this.#head(attempt.main, out, source, offset, recordFlag.xbzrle);
      out.u8(xbzrleEncoding);
      out.u16(delta.length);
      out.raw(delta);
      source.block.tracker.sent(page, xbzrle.content, 0);
      round.xbzrlePages++;
    }
  }

  /** The page at `from` of `bytes`, as it is. */
  #sendWhole(channel: Channel, out: Writer, source: SourceBlock, bytes: Uint8Array, from: number, page: number): void {
    this.#head(channel, out, source, page * this.#pageBytes, recordFlag.page);
    const at = out.reserve(this.#pageBytes);
    out.bytes.set(bytes.subarray(from, from + this.#pageBytes), at);
    source.block.tracker.sent(page, out.bytes, at);
  }

  /** A page record's word, and the block's name where it is not the last one's. */
  #head(channel: Channel, out: Writer, source: SourceBlock, offset: number, flag: number): void {
    const named = channel.named === source;
    writeWord(out, offset, flag | (named ? recordFlag.continue : 0));
    if (named) return;
    out.raw(source.name);
    channel.named = source;
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
