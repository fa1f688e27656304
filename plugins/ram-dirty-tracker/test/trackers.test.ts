import {
  barrierTracker,
  compareTracker,
  type DirtyTracker,
  dirtyBitmap,
  hashTracker,
  pageHash,
} from "@godwit/ram-dirty-tracker";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { page } from "./support/rig.ts";

const dirtyPages = (tracker: DirtyTracker, bytes: Uint8Array): number[] => {
  const into = dirtyBitmap(tracker.pages);
  tracker.sync(bytes, into);
  return [...Array(tracker.pages).keys()].filter((each) => into.test(each));
};

/** As the first round of an attempt: everything goes out. */
const sendAll = (tracker: DirtyTracker, bytes: Uint8Array): void => {
  tracker.begin();
  tracker.sync(bytes, dirtyBitmap(tracker.pages));
  for (let each = 0; each < tracker.pages; each++) tracker.sent(each, bytes, each * page);
};

describe.each([
  ["barrier", barrierTracker],
  ["compare", compareTracker],
  ["hash", hashTracker],
])("a %s tracker", (_, make) => {
  const start = () => {
    const bytes = new Uint8Array(40 * page);
    const tracker: DirtyTracker = make(bytes.length);
    const write = (offset: number, ...stored: number[]) => {
      bytes.set(stored, offset);
      tracker.mark(offset, stored.length);
    };
    sendAll(tracker, bytes);
    return { bytes, tracker, write };
  };

  it("finds the pages that a write touches, the last byte of one and the first of the next", () => {
    const { bytes, tracker, write } = start();
    write(33 * page - 1, 1, 2);
    write(39 * page + page - 1, 3);
    expect(dirtyPages(tracker, bytes)).toEqual([32, 33, 39]);
  });

  it("gives each write once, as long as its page is sent", () => {
    const { bytes, tracker, write } = start();
    write(5 * page, 1);
    expect(dirtyPages(tracker, bytes)).toEqual([5]);
    tracker.sent(5, bytes, 5 * page);
    expect(dirtyPages(tracker, bytes)).toEqual([]);
    write(5 * page, 2);
    expect(dirtyPages(tracker, bytes)).toEqual([5]);
  });

  it("finds a page that changed, was sent, and changed back before the next sync", () => {
    const { bytes, tracker, write } = start();
    write(7 * page, 9);
    expect(dirtyPages(tracker, bytes)).toEqual([7]);
    write(7 * page, 8);
    tracker.sent(7, bytes, 7 * page);
    write(7 * page, 9);
    expect(dirtyPages(tracker, bytes)).toEqual([7]);
  });

  it("finds a page again that was sent as zero and got its content back", () => {
    const { bytes, tracker, write } = start();
    write(3 * page, 1);
    expect(dirtyPages(tracker, bytes)).toEqual([3]);
    write(3 * page, 0);
    tracker.sent(3, undefined, 0);
    expect(dirtyPages(tracker, bytes)).not.toContain(4);
    write(3 * page, 1);
    expect(dirtyPages(tracker, bytes)).toEqual([3]);
  });

  it("knows a page as zero once it went out so, whatever it held before", () => {
    const { bytes, tracker, write } = start();
    write(3 * page, 1);
    expect(dirtyPages(tracker, bytes)).toEqual([3]);
    tracker.sent(3, bytes, 3 * page);
    write(3 * page, 0);
    expect(dirtyPages(tracker, bytes)).toEqual([3]);
    tracker.sent(3, undefined, 0);
    expect(dirtyPages(tracker, bytes)).toEqual([]);
  });

  it("holds what was sent for the truth, not what memory holds by then", () => {
    const { bytes, tracker, write } = start();
    write(2 * page, 1);
    expect(dirtyPages(tracker, bytes)).toEqual([2]);
    const stream = new Uint8Array(page + 3);
    stream.set(bytes.subarray(2 * page, 3 * page), 3);
    write(2 * page, 2);
    tracker.sent(2, stream, 3);
    expect(dirtyPages(tracker, bytes)).toEqual([2]);
  });

  it("has what a failed attempt took dirty again", () => {
    const { bytes, tracker, write } = start();
    write(1 * page, 1);
    expect(dirtyPages(tracker, bytes)).toEqual([1]);
    tracker.sent(1, bytes, page);
    write(6 * page, 1);
    tracker.end(false);
    expect(dirtyPages(tracker, bytes)).toEqual(expect.arrayContaining([1, 6]));
  });
});

describe("a barrier tracker", () => {
  it("gives exactly the taken and the new pages back", () => {
    const tracker = barrierTracker(64 * page);
    const bytes = new Uint8Array(64 * page);
    tracker.mark(0, 1);
    tracker.begin();
    expect(dirtyPages(tracker, bytes)).toEqual([0]);
    tracker.mark(40 * page, 1);
    expect(dirtyPages(tracker, bytes)).toEqual([40]);
    tracker.mark(41 * page, 1);
    tracker.end(false);
    expect(dirtyPages(tracker, bytes)).toEqual([0, 40, 41]);
  });

  it("forgets what a completed attempt took", () => {
    const tracker = barrierTracker(8 * page);
    const bytes = new Uint8Array(8 * page);
    tracker.mark(0, 8 * page);
    tracker.begin();
    expect(dirtyPages(tracker, bytes)).toHaveLength(8);
    tracker.end(true);
    tracker.begin();
    tracker.end(false);
    expect(dirtyPages(tracker, bytes)).toEqual([]);
  });

  it("lets an interpreter set bits itself, in one array for ever", () => {
    const tracker = barrierTracker(64 * page);
    const { words, pageShift } = tracker;
    const bytes = new Uint8Array(64 * page);
    tracker.begin();
    for (const offset of [35 * page + 17, 63 * page + 4095]) {
      const at = offset >>> pageShift;
      words[at >>> 5] = (words[at >>> 5] as number) | (1 << (at & 31));
    }
    expect(dirtyPages(tracker, bytes)).toEqual([35, 63]);
    words[0] = 2;
    expect(dirtyPages(tracker, bytes)).toEqual([1]);
    expect(tracker.words).toBe(words);
  });

  it("marks nothing for an empty write", () => {
    const tracker = barrierTracker(8 * page);
    tracker.mark(page, 0);
    expect(dirtyPages(tracker, new Uint8Array(8 * page))).toEqual([]);
  });
});

it("all kinds agree where every write changes its page", () => {
  const pages = 50;
  const write = fc.record({ offset: fc.nat(pages * page - 9), length: fc.integer({ min: 1, max: 8 }) });
  const round = fc.record({
    writes: fc.array(write, { maxLength: 12 }),
    send: fc.array(fc.boolean(), { minLength: pages, maxLength: pages }),
  });
  fc.assert(
    fc.property(fc.array(round, { minLength: 1, maxLength: 6 }), (rounds) => {
      const bytes = new Uint8Array(pages * page);
      const trackers = [barrierTracker(bytes.length), compareTracker(bytes.length), hashTracker(bytes.length)];
      const bitmaps = trackers.map(() => dirtyBitmap(pages));
      for (const tracker of trackers) sendAll(tracker, bytes);
      let counter = 0;
      for (const { writes, send } of rounds) {
        for (const { offset, length } of writes) {
          for (let at = offset; at < offset + length; at++) bytes[at] = 1 + (counter++ % 255);
          for (const tracker of trackers) tracker.mark(offset, length);
        }
        for (const [index, tracker] of trackers.entries()) tracker.sync(bytes, bitmaps[index] as (typeof bitmaps)[0]);
        const sets = bitmaps.map((bitmap) => [...Array(pages).keys()].filter((each) => bitmap.test(each)));
        expect(sets[1]).toEqual(sets[0]);
        expect(sets[2]).toEqual(sets[0]);
        for (const each of sets[0] as number[]) {
          if (!send[each]) continue;
          for (const [index, tracker] of trackers.entries()) {
            bitmaps[index]?.clear(each);
            tracker.sent(each, bytes, each * page);
          }
        }
      }
    }),
    { seed: 4, numRuns: 100 },
  );
});

it.each([
  [4097, 4096],
  [0, 4096],
  [4096, 4095],
  [4096, 512],
  [131072, 131072],
])("%i bytes in pages of %i are no block", (length, pageBytes) => {
  const hashing = (bytes: number, each: number) => hashTracker(bytes, { pageBytes: each });
  for (const make of [barrierTracker, compareTracker, hashing]) {
    expect(() => make(length, pageBytes)).toThrow(expect.objectContaining({ code: "DEFINITION_INVALID" }));
  }
});

describe("a page's hash", () => {
  /** A small generator with a seed: keys that a test can name. */
  const random = (seed: number) => {
    let state = seed;
    return () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return (mixed ^ (mixed >>> 14)) >>> 0;
    };
  };
  const lanesOf = (seed: number, words: Uint32Array, bytes = page): number[] => {
    const out = new Uint32Array(4);
    pageHash(bytes, random(seed)).hash(words, 0, out, 0);
    return [...out];
  };

  it("is NH over 16-bit words, in four lanes whose keys are shifted by a word each", () => {
    const keys = Array.from({ length: 256 + 3 }, random(9));
    const words = Uint32Array.from({ length: 256 }, random(10));
    const expected = [0, 1, 2, 3].map((lane) => {
      let sum = 0n;
      for (const [index, word] of words.entries()) {
        const key = keys[index + lane] as number;
        const low = ((word & 0xffff) + (key & 0xffff)) & 0xffff;
        const high = ((word >>> 16) + (key >>> 16)) & 0xffff;
        sum += BigInt(low) * BigInt(high);
      }
      return Number(sum & 0xffff_ffffn);
    });
    expect(lanesOf(9, words, 1024)).toEqual(expected);
  });

  it("differs for each bit of a page, and from key to key", () => {
    const words = Uint32Array.from({ length: page / 4 }, random(3));
    const plain = lanesOf(1, words);
    expect(lanesOf(2, words)).not.toEqual(plain);
    for (let bit = 0; bit < page * 8; bit += 37) {
      const at = bit >>> 5;
      words[at] = (words[at] as number) ^ (1 << (bit & 31));
      const flipped = lanesOf(1, words);
      // One bit changes every lane but where a lane's other half happens to be zero.
      expect(flipped.filter((lane, index) => lane !== plain[index]).length).toBeGreaterThanOrEqual(3);
      words[at] = (words[at] as number) ^ (1 << (bit & 31));
    }
  });

  it("collides in one lane of a one-word key space no more often than the theorem says", () => {
    // Two pages that differ in one word, the worst of what was tried: over keys, each lane agrees 2**-16 of the time.
    const [a, b] = [new Uint32Array(256), new Uint32Array(256)];
    b[7] = 0x8000_0000;
    let agreed = 0;
    const keys = 40_000;
    for (let seed = 0; seed < keys; seed++) {
      const [first, second] = [lanesOf(seed, a, 1024), lanesOf(seed, b, 1024)];
      for (const [lane, value] of first.entries()) if (value === second[lane]) agreed++;
    }
    // Expected: 4 * 40000 / 65536 = 2.4.
    expect(agreed).toBeLessThan(12);
  });

  it("takes a fresh key for each attempt, and 16 bytes a page", () => {
    let drawn = 0;
    const next = random(5);
    const tracker = hashTracker(4 * page, {
      random32: () => {
        drawn++;
        return next();
      },
    });
    const bytes = new Uint8Array(4 * page);
    sendAll(tracker, bytes);
    expect(drawn).toBe(page / 4 + 3);
    bytes[page] = 1;
    expect(dirtyPages(tracker, bytes)).toEqual([1]);
    tracker.end(false);
    expect(dirtyPages(tracker, bytes)).toEqual([0, 1, 2, 3]);
    expect(drawn).toBe(2 * (page / 4 + 3));
  });

  it("reads memory that is not aligned", () => {
    const bytes = new Uint8Array(4 * page + 1).subarray(1);
    const tracker = hashTracker(bytes.length);
    sendAll(tracker, bytes);
    bytes[3 * page - 1] = 1;
    expect(dirtyPages(tracker, bytes)).toEqual([2]);
  });
});
