import { barrierTracker, compareTracker, type DirtyTracker, dirtyBitmap } from "@godwit/ram-dirty-tracker";
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

it("both kinds agree where every write changes its page", () => {
  const pages = 50;
  const write = fc.record({ offset: fc.nat(pages * page - 9), length: fc.integer({ min: 1, max: 8 }) });
  const round = fc.record({
    writes: fc.array(write, { maxLength: 12 }),
    send: fc.array(fc.boolean(), { minLength: pages, maxLength: pages }),
  });
  fc.assert(
    fc.property(fc.array(round, { minLength: 1, maxLength: 6 }), (rounds) => {
      const bytes = new Uint8Array(pages * page);
      const trackers = [barrierTracker(bytes.length), compareTracker(bytes.length)];
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
  for (const make of [barrierTracker, compareTracker]) {
    expect(() => make(length, pageBytes)).toThrow(expect.objectContaining({ code: "DEFINITION_INVALID" }));
  }
});
