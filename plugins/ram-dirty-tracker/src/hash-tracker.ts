// The hashing tracker: for memory whose writers cannot report, and of which no second copy is wanted.
import type { DirtyBitmap } from "./bitmap.ts";
import { hashLanes, type PageHash, pageHash } from "./page-hash.ts";
import { defaultPageBytes } from "./records.ts";
import { type DirtyTracker, pagesOf } from "./tracker.ts";

export interface HashTrackerInit {
  /** Bytes of a target page. The default is 4096. */
  readonly pageBytes?: number;
  /**
   * Uniform integers from 0 to 2**32 - 1, for the key of each attempt. The default is `Math.random`, which is no secret
   * from code in the same process; memory that may be chosen against the tracker wants a cryptographic source.
   */
  random32?(): number;
}

/**
 * A tracker of a block of `lengthBytes` that keeps 16 bytes a page while an attempt runs, and hashes all clean pages at
 * each sync: the page as it was sent against the page as it is. `DEFINITION_INVALID`.
 *
 * A collision means that a page which has changed is taken for clean, is not sent, and that the destination goes on with
 * its old content: silent corruption. For each comparison the probability is at most 2**-64, over a key that is drawn
 * anew for each attempt (see `pageHash`): 2**-37 for 512 GiB of pages that are all rewritten and compared once, and less
 * than that for any machine in a browser. Where that is not enough, `compareTracker` is exact.
 */
export function hashTracker(lengthBytes: number, init: HashTrackerInit = {}): DirtyTracker {
  const { pageBytes = defaultPageBytes, random32 = mathRandom32 } = init;
  const pages = pagesOf(lengthBytes, pageBytes);
  let key: PageHash | undefined;
  let asSent: Uint32Array | undefined;
  const lanes = new Uint32Array(hashLanes);
  const zeroLanes = new Uint32Array(hashLanes);
  // Pages stand in a stream at any offset; words are read where they are aligned.
  const aligned = new Uint32Array(pageBytes >>> 2);
  const alignedBytes = new Uint8Array(aligned.buffer);

  const hashBytes = (bytes: Uint8Array, at: number, out: Uint32Array, outAt: number): void => {
    alignedBytes.set(bytes.subarray(at, at + pageBytes));
    key?.hash(aligned, 0, out, outAt);
  };
  const end = (): void => {
    key = undefined;
    asSent = undefined;
  };

  return {
    pages,
    pageBytes,
    mark(): void {},
    begin: end,
    sync(bytes: Uint8Array, into: DirtyBitmap): void {
      if (asSent === undefined) {
        key = pageHash(pageBytes, random32);
        asSent = new Uint32Array(pages * hashLanes);
        key.hash(aligned.fill(0), 0, zeroLanes, 0);
        into.setAll();
        return;
      }
      const words =
        (bytes.byteOffset & 3) === 0 ? new Uint32Array(bytes.buffer, bytes.byteOffset, lengthBytes >>> 2) : undefined;
      for (let page = 0; page < pages; page++) {
        // A page that is to be sent anyway needs no look, and its hash may be of content that never went out.
        if (into.test(page)) continue;
        if (words === undefined) hashBytes(bytes, page * pageBytes, lanes, 0);
        else key?.hash(words, page * pageBytes, lanes, 0);
        for (let lane = 0; lane < hashLanes; lane++) {
          if (lanes[lane] === asSent[page * hashLanes + lane]) continue;
          into.set(page);
          break;
        }
      }
    },
    sent(page: number, stream: Uint8Array | undefined, at: number): void {
      if (asSent === undefined) return;
      if (stream === undefined) asSent.set(zeroLanes, page * hashLanes);
      else hashBytes(stream, at, asSent, page * hashLanes);
    },
    end,
  };
}

function mathRandom32(): number {
  return Math.floor(Math.random() * 2 ** 32);
}
