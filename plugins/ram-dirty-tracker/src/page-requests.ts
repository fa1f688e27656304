// Post-copy at the source: the pages that the destination waits for, in the order in which it asked.
import type { DirtyBitmap } from "./bitmap.ts";

/** Pages of one block, in a row. */
interface Run {
  readonly block: number;
  page: number;
  readonly end: number;
}

/** Each page stands in it once, whatever a peer asks for: it is never longer than the pages that are left to send. */
export class PageRequests {
  readonly #queue: Run[] = [];
  #head = 0;
  readonly #queued: readonly DirtyBitmap[];

  /** `queued`: an empty bitmap for each block. */
  constructor(queued: readonly DirtyBitmap[]) {
    this.#queued = queued;
  }

  /** Pages that are to go first. */
  get pages(): number {
    return this.#queued.reduce((sum, { count }) => sum + count, 0);
  }

  /** Pages `from` to `end` of the block; those that are not dirty have gone already. */
  add(block: number, from: number, end: number, dirty: DirtyBitmap): void {
    const queued = this.#queued[block] as DirtyBitmap;
    for (let page = dirty.nextSet(from); page >= 0 && page < end; page = dirty.nextSet(page + 1)) {
      if (!queued.set(page)) continue;
      const last = this.#queue[this.#queue.length - 1];
      if (last !== undefined && this.#queue.length > this.#head && last.block === block && last.end === page) {
        this.#queue[this.#queue.length - 1] = { ...last, end: page + 1 };
      } else this.#queue.push({ block, page, end: page + 1 });
    }
  }

  /** The page that goes next; it stays until `sent`. */
  first(): { readonly block: number; readonly page: number } | undefined {
    for (;;) {
      const run = this.#queue[this.#head];
      if (run === undefined) {
        this.#queue.length = this.#head = 0;
        return undefined;
      }
      if (run.page < run.end && (this.#queued[run.block] as DirtyBitmap).test(run.page)) return run;
      if (run.page < run.end) run.page++;
      else this.#head++;
    }
  }

  /** The page has gone, by whichever way. */
  sent(block: number, page: number): void {
    (this.#queued[block] as DirtyBitmap).clear(page);
  }

  clear(): void {
    this.#queue.length = this.#head = 0;
    for (const queued of this.#queued) queued.clearAll();
  }
}
