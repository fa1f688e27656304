// Post-copy at the destination: which pages have not come, who waits for them, and the trap of whoever touches one.
import { isMigrationError, MigrationError } from "@godwit/core";
import { bitmapWords, type DirtyBitmap, dirtyBitmap } from "./bitmap.ts";
import type { ListedBlock } from "./ram-sink.ts";
import { pageName } from "./records.ts";

/** Pages that have not come, for the fast path of a hart. Live: bits are cleared as pages come. */
export interface AbsentPages {
  /** One array a block, in the order of the RAM's blocks; one bit a page, page 0 lowest, 1 where it is absent. */
  readonly words: readonly Uint32Array[];
  /** Absent pages in all. */
  readonly pages: number;
}

/** Times from the request of a page to its arrival. Milliseconds; all 0 while there are none. */
export interface LatencySummary {
  readonly count: number;
  readonly meanMs: number;
  readonly medianMs: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface PostcopyReceived {
  /** Accesses to absent pages, each that trapped. */
  readonly faults: number;
  /** Pages that were asked for. */
  readonly requestedPages: number;
  /** Pages that came without being asked for, and those that came again and were not taken. */
  readonly unaskedPages: number;
  readonly ignoredPages: number;
  /** Of the pages that were asked for and came; needs the `nowMs` that `listen` is given. */
  latenciesMs(): LatencySummary;
}

/** Tells a source what is missing: whole pages, bytes. */
export type OnMissing = (idstr: string, start: number, length: number) => void;

interface PagePlace {
  readonly block: string;
  readonly offset: number;
}

interface Waiter {
  readonly promise: Promise<void>;
  resolve(): void;
  reject(error: MigrationError): void;
}

export class Absence implements AbsentPages {
  readonly words: readonly Uint32Array[];
  readonly #blocks: readonly ListedBlock[];
  readonly #pageBytes: number;
  readonly #onMissing: OnMissing;
  readonly #nowMs: (() => number) | undefined;
  /** Asked for and not come. */
  readonly #asked: readonly DirtyBitmap[];
  readonly #waiters = new Map<string, Waiter>();
  readonly #askedMs = new Map<string, number>();
  readonly #latenciesMs: number[] = [];
  #ended: MigrationError | undefined;
  /** How many want nobody to wait. */
  #refusals = 0;
  #pages = 0;
  #faults = 0;
  #requestedPages = 0;
  #unaskedPages = 0;
  #ignoredPages = 0;

  constructor(
    blocks: readonly (ListedBlock & { readonly arrived: DirtyBitmap })[],
    pageBytes: number,
    onMissing: OnMissing,
    nowMs: (() => number) | undefined,
  ) {
    this.#blocks = blocks;
    this.#pageBytes = pageBytes;
    this.#onMissing = onMissing;
    this.#nowMs = nowMs;
    this.#asked = blocks.map(({ arrived }) => dirtyBitmap(arrived.pages));
    this.words = blocks.map(({ arrived }) => {
      const words = new Uint32Array(bitmapWords(arrived.pages));
      for (let page = 0; page < arrived.pages; page++) {
        if (arrived.test(page)) continue;
        words[page >>> 5] = (words[page >>> 5] as number) | (1 << (page & 31));
        this.#pages++;
      }
      return words;
    });
  }

  get pages(): number {
    return this.#pages;
  }

  isAbsent(block: number, page: number): boolean {
    return (((this.words[block] as Uint32Array)[page >>> 5] as number) & (1 << (page & 31))) !== 0;
  }

  /** `PAGE_ABSENT` where a page of the range has not come; it is asked for. */
  check(block: number, offset: number, length: number): void {
    if (this.#pages === 0 || length === 0) return;
    const last = Math.floor((offset + length - 1) / this.#pageBytes);
    for (let page = Math.floor(offset / this.#pageBytes); page <= last; page++) {
      if (this.isAbsent(block, page)) throw this.#trap(block, page);
    }
  }

  /** Whether the page was absent: it is not any more. One that comes again is counted, and is not to be taken. */
  arrive(block: number, page: number): boolean {
    if (!this.isAbsent(block, page)) {
      this.#ignoredPages++;
      return false;
    }
    const words = this.words[block] as Uint32Array;
    words[page >>> 5] = (words[page >>> 5] as number) & ~(1 << (page & 31));
    this.#pages--;
    if (!(this.#asked[block] as DirtyBitmap).clear(page)) this.#unaskedPages++;
    const key = this.#key(block, page);
    const askedMs = this.#askedMs.get(key);
    if (askedMs !== undefined && this.#nowMs !== undefined) this.#latenciesMs.push(this.#nowMs() - askedMs);
    this.#askedMs.delete(key);
    this.#waiters.get(key)?.resolve();
    this.#waiters.delete(key);
    return true;
  }

  /** Resolves when the page is there; asks for it. `RAM_BLOCK_UNKNOWN`, `RAM_OFFSET`, `ATTEMPT_ENDED`. */
  async whenPresent({ block: idstr, offset }: PagePlace): Promise<void> {
    const block = this.#blocks.findIndex((one) => one.idstr === idstr);
    const page = Math.floor(offset / this.#pageBytes);
    checkPages(this.#blocks[block], idstr, page * this.#pageBytes, this.#pageBytes, this.#pageBytes);
    if (!this.isAbsent(block, page)) return;
    if (this.#ended !== undefined) throw this.#ended;
    if (this.#refusals > 0) throw noConnection();
    this.#ask(block, page);
    const key = this.#key(block, page);
    let waiter = this.#waiters.get(key);
    if (waiter === undefined) {
      let resolve = (): void => {};
      let reject: Waiter["reject"] = () => {};
      const promise = new Promise<void>((yes, no) => {
        resolve = yes;
        reject = no;
      });
      waiter = { promise, resolve, reject };
      this.#waiters.set(key, waiter);
    }
    await waiter.promise;
  }

  /** A new connection: what was asked for by the old one is asked for again. */
  retell(): void {
    for (const [block, asked] of this.#asked.entries()) {
      for (let page = asked.nextSet(0); page >= 0; page = asked.nextSet(page + 1)) this.#tell(block, page);
    }
  }

  /** What has not come never will: whoever waits is told so. */
  end(): void {
    this.#ended ??= new MigrationError("ATTEMPT_ENDED", "the page will not come: post-copy is over", {
      side: "destination",
      section: "ram/0",
    });
    this.#reject(this.#ended);
  }

  /** Nobody brings pages: whoever waits is told so, and whoever begins to, until the answer is called. */
  refuseWaits(): () => void {
    this.#refusals++;
    this.#reject(noConnection());
    let isOver = false;
    return () => {
      if (!isOver) this.#refusals--;
      isOver = true;
    };
  }

  /** The first page that has not come. */
  first(): PagePlace | undefined {
    for (const [block, words] of this.words.entries()) {
      const index = words.findIndex((word) => word !== 0);
      if (index < 0) continue;
      const word = words[index] as number;
      const page = index * 32 + 31 - Math.clz32(word & -word);
      return { block: (this.#blocks[block] as ListedBlock).idstr, offset: page * this.#pageBytes };
    }
    return undefined;
  }

  statistics(): PostcopyReceived {
    const latencies = this.#latenciesMs;
    return {
      faults: this.#faults,
      requestedPages: this.#requestedPages,
      unaskedPages: this.#unaskedPages,
      ignoredPages: this.#ignoredPages,
      latenciesMs: () => summaryOf(latencies),
    };
  }

  #reject(error: MigrationError): void {
    for (const waiter of this.#waiters.values()) {
      waiter.promise.catch(() => {});
      waiter.reject(error);
    }
    this.#waiters.clear();
  }

  #trap(block: number, page: number): MigrationError {
    this.#faults++;
    this.#ask(block, page);
    const place = { block: (this.#blocks[block] as ListedBlock).idstr, offset: page * this.#pageBytes };
    return new MigrationError("PAGE_ABSENT", "the page has not come yet", {
      path: place.block,
      offset: place.offset,
      found: pageName(place.block, place.offset),
      // Whatever a device adds to the path, this is the page.
      cause: place,
    });
  }

  /** Each page is asked for once. */
  #ask(block: number, page: number): void {
    if (this.#ended !== undefined || !(this.#asked[block] as DirtyBitmap).set(page)) return;
    this.#requestedPages++;
    if (this.#nowMs !== undefined) this.#askedMs.set(this.#key(block, page), this.#nowMs());
    this.#tell(block, page);
  }

  #tell(block: number, page: number): void {
    this.#onMissing((this.#blocks[block] as ListedBlock).idstr, page * this.#pageBytes, this.#pageBytes);
  }

  #key(block: number, page: number): string {
    return `${block}:${page}`;
  }
}

function noConnection(): MigrationError {
  return new MigrationError("ATTEMPT_ENDED", "the page does not come: nobody may wait for it now", {
    side: "destination",
    section: "ram/0",
  });
}

/** The page that a `PAGE_ABSENT` is about; undefined for any other error. */
export function absentPage(error: unknown): PagePlace | undefined {
  if (!isMigrationError(error) || error.code !== "PAGE_ABSENT") return undefined;
  return error.cause as PagePlace;
}

/** `RAM_BLOCK_UNKNOWN`, or `RAM_OFFSET` where the range is not of whole pages of the block. */
export function checkPages(
  block: ListedBlock | undefined,
  idstr: string,
  start: number,
  length: number,
  pageBytes: number,
): asserts block is ListedBlock {
  if (block === undefined) {
    throw new MigrationError("RAM_BLOCK_UNKNOWN", "there is no such RAM block here", { found: `"${idstr}"` });
  }
  const isWhole = start >= 0 && length > 0 && start % pageBytes === 0 && length % pageBytes === 0;
  if (isWhole && start + length <= block.length) return;
  throw new MigrationError("RAM_OFFSET", "the range is not of whole pages of the RAM block", {
    expected: `pages of ${pageBytes} bytes within ${block.length} bytes`,
    found: `${length} bytes at ${pageName(idstr, start)}`,
  });
}

function summaryOf(latenciesMs: readonly number[]): LatencySummary {
  const sorted = Float64Array.from(latenciesMs).sort();
  const count = sorted.length;
  const at = (part: number): number => sorted[Math.min(count - 1, Math.floor(part * count))] ?? 0;
  const sumMs = sorted.reduce((sum, ms) => sum + ms, 0);
  return {
    count,
    meanMs: count === 0 ? 0 : sumMs / count,
    medianMs: at(0.5),
    p95Ms: at(0.95),
    p99Ms: at(0.99),
    maxMs: sorted[count - 1] ?? 0,
  };
}
