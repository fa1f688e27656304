// The comparing tracker: for memory whose writers cannot report, pages are compared with what was last sent of them.
import type { DirtyBitmap } from "./bitmap.ts";
import { defaultPageBytes } from "./records.ts";
import { type DirtyTracker, pagesOf } from "./tracker.ts";
import { isEqual, type WordView, wordView } from "./words.ts";

/**
 * A tracker of a block of `lengthBytes` that needs no barrier, at the price of a second copy of the block while an
 * attempt runs and of one comparison of all clean pages a sync. `DEFINITION_INVALID`.
 *
 * The copy holds each page as it was SENT, not as it was at the last sync: a page that changes, is sent, and changes
 * back must count as dirty although two syncs would see the same bytes. Without a copy (before an attempt's first sync,
 * and after its end) nothing is known, and all pages are dirty.
 */
export function compareTracker(lengthBytes: number, pageBytes: number = defaultPageBytes): DirtyTracker {
  const pages = pagesOf(lengthBytes, pageBytes);
  let asSent: WordView | undefined;
  return {
    pages,
    pageBytes,
    mark(): void {},
    begin(): void {
      asSent = undefined;
    },
    sync(bytes: Uint8Array, into: DirtyBitmap): void {
      if (asSent === undefined) {
        asSent = wordView(new Uint8Array(lengthBytes));
        into.setAll();
        return;
      }
      const now = wordView(bytes);
      for (let page = 0; page < pages; page++) {
        // A page that is to be sent anyway needs no look, and its copy may be older than anything that was sent.
        if (!into.test(page) && !isEqual(now, asSent, page * pageBytes, pageBytes)) into.set(page);
      }
    },
    sent(page: number, stream: Uint8Array | undefined, at: number): void {
      if (asSent === undefined) return;
      const offset = page * pageBytes;
      if (stream === undefined) asSent.bytes.fill(0, offset, offset + pageBytes);
      else asSent.bytes.set(stream.subarray(at, at + pageBytes), offset);
    },
    end(): void {
      asSent = undefined;
    },
  };
}
