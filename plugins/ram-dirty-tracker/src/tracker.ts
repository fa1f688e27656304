// What tells which pages of a RAM block were written: one interface, whether writes report themselves or are found.
import { MigrationError } from "@godwit/core";
import type { DirtyBitmap } from "./bitmap.ts";
import { checkPageBytes } from "./records.ts";

/**
 * Dirty pages of one RAM block. A migration attempt calls `begin`, then `sync` once a round and `sent` for each page,
 * then `end`. An attempt begins with all pages dirty, whatever the tracker knows.
 */
export interface DirtyTracker {
  readonly pages: number;
  /** Bytes a page: the target's page. */
  readonly pageBytes: number;
  /** `length` bytes at `offset` of the block were written. */
  mark(offset: number, length: number): void;
  /** An attempt to send begins. */
  begin(): void;
  /** Adds to `into` what is dirty since the last sync; `bytes` is the block as it is now. */
  sync(bytes: Uint8Array, into: DirtyBitmap): void;
  /**
   * The page went out, as the page of bytes at `at` of `stream`; without `stream`, as a zero page. That is the content
   * that counts: memory shared with another thread may have changed already.
   */
  sent(page: number, stream: Uint8Array | undefined, at: number): void;
  /** The attempt is over. After one that failed, what its syncs took is dirty again. */
  end(completed: boolean): void;
}

/** The pages of `lengthBytes`. `DEFINITION_INVALID` where that is not a whole number of them. */
export function pagesOf(lengthBytes: number, pageBytes: number): number {
  checkPageBytes(pageBytes);
  if (Number.isSafeInteger(lengthBytes) && lengthBytes > 0 && lengthBytes % pageBytes === 0)
    return lengthBytes / pageBytes;
  throw new MigrationError("DEFINITION_INVALID", "a RAM block is a whole number of pages", {
    side: "define",
    path: "length",
    expected: `a multiple of ${pageBytes} bytes`,
    found: String(lengthBytes),
  });
}
