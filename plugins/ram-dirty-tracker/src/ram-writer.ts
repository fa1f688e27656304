// The sending side of the ram section: block list, rounds over the dirty pages, their records, and the end of each
// section's data. Source: wire reference 5.2 to 5.6.
import { MigrationError, type Pending, Writer } from "@godwit/core";
import { type DirtyBitmap, dirtyBitmap } from "./bitmap.ts";
import type { RamBlock } from "./block.ts";
import { recordFlag, writeWord } from "./records.ts";
import type { RamRound, RamSent } from "./statistics.ts";
import { isZero, type WordView, wordView } from "./words.ts";

/** QEMU's save_live_* life-cycle of RAM, one attempt after another. */
export interface RamWriter {
  setup(out: Writer): void;
  pending(exact: boolean): Pending;
  iterate(out: Writer, budgetBytes: number): boolean;
  complete(out: Writer, budgetBytes: number): boolean;
  cleanup(completed: boolean): void;
  /** The latest attempt, if there was one. */
  sent(): RamSent | undefined;
}

export function ramWriter(blocks: readonly RamBlock[], pageBytes: number): RamWriter {
  return new PageWriter(blocks, pageBytes);
}

/** A zero page takes 9 bytes of the stream and a look at all of it: a call ends after so much memory, too. Bytes. */
const lookBoundBytes = 64 * 1024 * 1024;

const wordBytes = 8;

interface SourceBlock {
  readonly block: RamBlock;
  readonly dirty: DirtyBitmap;
  /** str8 idstr. */
  readonly name: Uint8Array;
}

interface Round {
  dirtyPages: number;
  zeroPages: number;
  normalPages: number;
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
  /** The END section has begun. */
  completing: boolean;
  active: boolean;
}

class PageWriter implements RamWriter {
  readonly #blocks: readonly RamBlock[];
  readonly #pageBytes: number;
  #attempt: Attempt | undefined;

  constructor(blocks: readonly RamBlock[], pageBytes: number) {
    this.#blocks = blocks;
    this.#pageBytes = pageBytes;
  }

  setup(out: Writer): void {
    if (this.#attempt?.active) {
      throw new MigrationError("ATTEMPT_ACTIVE", "RAM is being sent already, and has one dirty bitmap", {
        side: "source",
        section: "ram/0",
      });
    }
    const attempt: Attempt = {
      blocks: this.#blocks.map((block) => ({
        block,
        dirty: dirtyBitmap(block.tracker.pages),
        name: encodeName(block.idstr),
      })),
      rounds: [],
      bytes: 0,
      block: 0,
      page: 0,
      named: undefined,
      completing: false,
      active: true,
    };
    this.#attempt = attempt;
    for (const { block, dirty } of attempt.blocks) {
      block.tracker.begin();
      dirty.setAll();
    }
    synchronise(attempt);

    const from = out.pos;
    const total = attempt.blocks.reduce((sum, { block }) => sum + block.length, 0);
    writeWord(out, total, recordFlag.memSize);
    for (const { block, name } of attempt.blocks) {
      out.raw(name);
      writeWord(out, block.length, 0);
    }
    writeWord(out, 0, recordFlag.eos);
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
    writeWord(out, 0, recordFlag.eos);
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
    if (done) writeWord(out, 0, recordFlag.eos);
    attempt.bytes += out.pos - from;
    return done;
  }

  cleanup(completed: boolean): void {
    const attempt = this.#attempt;
    if (attempt === undefined || !attempt.active) return;
    attempt.active = false;
    for (const { block } of attempt.blocks) block.tracker.end(completed);
  }

  sent(): RamSent | undefined {
    const attempt = this.#attempt;
    if (attempt === undefined) return undefined;
    const { rounds, bytes } = attempt;
    return {
      dirtySyncCount: rounds.length,
      zeroPages: rounds.reduce((sum, { zeroPages }) => sum + zeroPages, 0),
      normalPages: rounds.reduce((sum, { normalPages }) => sum + normalPages, 0),
      bytes,
      remainingPages: dirtyPages(attempt),
      rounds: rounds.map((round): RamRound => ({ ...round })),
    };
  }

  #running(): Attempt {
    if (this.#attempt?.active) return this.#attempt;
    throw new Error("the ram handler was not set up");
  }

  /** Dirty pages as records, one at least, about `budgetBytes` of them. True: none is left. */
  #sendPages(attempt: Attempt, out: Writer, budgetBytes: number): boolean {
    const { blocks } = attempt;
    const pageBytes = this.#pageBytes;
    const round = attempt.rounds[attempt.rounds.length - 1] as Round;
    const from = out.pos;
    const pageLimit = round.zeroPages + round.normalPages + lookBoundBytes / pageBytes;
    let left = dirtyPages(attempt);
    // One block after another, round and round, from where the last call stopped.
    while (left > 0) {
      const source = blocks[attempt.block] as SourceBlock;
      const memory = wordView(source.block.bytes());
      let page = source.dirty.nextSet(attempt.page);
      while (page >= 0) {
        const room = budgetBytes - (out.pos - from);
        const nameBytes = attempt.named === source ? 0 : source.name.length;
        const begun = out.pos > from;
        if (begun && (room < wordBytes + nameBytes + pageBytes || round.zeroPages + round.normalPages >= pageLimit)) {
          attempt.page = page;
          round.bytes += out.pos - from;
          return false;
        }
        this.#sendPage(attempt, round, out, source, memory, page);
        source.dirty.clear(page);
        left--;
        page = source.dirty.nextSet(page + 1);
      }
      attempt.block = (attempt.block + 1) % blocks.length;
      attempt.page = 0;
    }
    round.bytes += out.pos - from;
    return true;
  }

  #sendPage(attempt: Attempt, round: Round, out: Writer, source: SourceBlock, memory: WordView, page: number): void {
    const pageBytes = this.#pageBytes;
    const offset = page * pageBytes;
    const zero = isZero(memory, offset, pageBytes);
    const named = attempt.named === source;
    writeWord(out, offset, (zero ? recordFlag.zero : recordFlag.page) | (named ? recordFlag.continue : 0));
    if (!named) {
      out.raw(source.name);
      attempt.named = source;
    }
    if (zero) {
      out.u8(0);
      source.block.tracker.sent(page, undefined, 0);
      round.zeroPages++;
    } else {
      const at = out.reserve(pageBytes);
      out.bytes.set(memory.bytes.subarray(offset, offset + pageBytes), at);
      source.block.tracker.sent(page, out.bytes, at);
      round.normalPages++;
    }
  }
}

function dirtyPages(attempt: Attempt): number {
  return attempt.blocks.reduce((sum, { dirty }) => sum + dirty.count, 0);
}

/** Asks every tracker; a new round begins. */
function synchronise(attempt: Attempt): void {
  for (const { block, dirty } of attempt.blocks) block.tracker.sync(block.bytes(), dirty);
  attempt.rounds.push({ dirtyPages: dirtyPages(attempt), zeroPages: 0, normalPages: 0, bytes: 0 });
}

function encodeName(idstr: string): Uint8Array {
  const out = new Writer(256);
  out.str8(idstr);
  return out.flush();
}
