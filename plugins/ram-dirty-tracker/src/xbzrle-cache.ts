// The pages that the destination is known to hold, for deltas against them. Source: wire reference 6.
import { MigrationError } from "@godwit/core";

/** QEMU's default of the parameter xbzrle-cache-size. */
export const defaultXbzrleCacheBytes = 64 * 1024 * 1024;

/** An entry gives way to another page once it was not used for so many generations: as QEMU 7.2 was seen to do. */
const keptGenerations = 2;

/** Direct-mapped: page number modulo the number of slots, which is a power of two. */
export interface XbzrleCache {
  /** What it may hold, rounded down to a power of two. */
  readonly cacheBytes: number;
  /** The page as it was last sent, which counts as a use; undefined where it is not here. To be written in place. */
  use(page: number, generation: number): Uint8Array | undefined;
  /** Keeps a copy. False: another page has the slot, and was used lately. */
  insert(page: number, content: Uint8Array, generation: number): boolean;
}

interface Slot {
  page: number;
  generation: number;
  readonly content: Uint8Array;
}

/** `DEFINITION_INVALID` for a cache of less than a page. */
export function xbzrleCache(cacheBytes: number, pageBytes: number): XbzrleCache {
  if (!Number.isSafeInteger(cacheBytes) || cacheBytes < pageBytes) {
    throw new MigrationError("DEFINITION_INVALID", "an XBZRLE cache holds one page at least", {
      side: "define",
      path: "xbzrle.cacheBytes",
      expected: `at least ${pageBytes} bytes`,
      found: String(cacheBytes),
    });
  }
  const slotCount = 2 ** Math.floor(Math.log2(cacheBytes / pageBytes));
  const slots = new Map<number, Slot>();
  return {
    cacheBytes: slotCount * pageBytes,
    use(page, generation) {
      const slot = slots.get(page % slotCount);
      if (slot === undefined || slot.page !== page) return undefined;
      slot.generation = generation;
      return slot.content;
    },
    insert(page, content, generation) {
      const at = page % slotCount;
      const slot = slots.get(at);
      if (slot === undefined) {
        slots.set(at, { page, generation, content: content.slice() });
        return true;
      }
      if (slot.page !== page && generation - slot.generation < keptGenerations) return false;
      slot.page = page;
      slot.generation = generation;
      slot.content.set(content);
      return true;
    },
  };
}
