// The interrupt-entry cache (IEC): entries of the interrupt-remapping table by index. It does not migrate.
import type { InterruptEntry } from "./interrupt-table.ts";

/** A stale entry stays until the guest invalidates it, as in hardware. Entries that are not present are not kept. */
export class InterruptEntryCache {
  readonly #entries = new Map<number, InterruptEntry>();

  get entries(): number {
    return this.#entries.size;
  }

  lookup(index: number): InterruptEntry | undefined {
    return this.#entries.get(index);
  }

  insert(index: number, entry: InterruptEntry): void {
    this.#entries.set(index, entry);
  }

  clear(): void {
    this.#entries.clear();
  }

  /** Drops the entries whose index is `index` but for its lowest `mask` bits (IM). */
  clearIndexes(index: number, mask: number): void {
    for (const one of this.#entries.keys()) {
      if (Math.floor(one / 2 ** mask) === Math.floor(index / 2 ** mask)) this.#entries.delete(one);
    }
  }
}
