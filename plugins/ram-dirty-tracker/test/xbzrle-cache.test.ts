// The cache of deltas: which pages it keeps, how long, and what goes out for pages that stand in each other's way.
import { barrierTracker, xbzrleEncode } from "@godwit/ram-dirty-tracker";
import { describe, expect, it } from "vitest";
import { xbzrleCache } from "../src/xbzrle-cache.ts";
import { XbzrleSender } from "../src/xbzrle-sender.ts";
import { feed, wholeBytes } from "./support/feed.ts";
import { bytesOf, page, pattern, rig, sameBytes, testBlock } from "./support/rig.ts";

describe("the cache", () => {
  it("holds a power of two of pages, at most what it is given", () => {
    expect([1, 3, 4, 7].map((pages) => xbzrleCache(pages * page, page).cacheBytes / page)).toEqual([1, 2, 4, 4]);
    expect(xbzrleCache(2 * page - 1, page).cacheBytes).toBe(page);
  });

  it("gives a page only for its own number, as a copy that is its own", () => {
    const cache = xbzrleCache(4 * page, page);
    const content = pattern(1);
    expect(cache.insert(3, content, 1)).toBe(true);
    content.fill(0);
    expect(cache.use(3, 1)).toEqual(pattern(1));
    expect(cache.use(7, 1)).toBeUndefined();
    expect(cache.use(2, 1)).toBeUndefined();
  });

  it("lets a page give way once it was not used for two generations", () => {
    const cache = xbzrleCache(4 * page, page);
    cache.insert(3, pattern(1), 5);
    expect(cache.insert(7, pattern(2), 6)).toBe(false);
    expect(cache.use(3, 7)).toEqual(pattern(1));
    expect(cache.insert(7, pattern(2), 8)).toBe(false);
    expect(cache.insert(7, pattern(2), 9)).toBe(true);
    expect(cache.use(3, 9)).toBeUndefined();
    expect(cache.use(7, 9)).toEqual(pattern(2));
    expect(cache.insert(7, pattern(3), 9)).toBe(true);
    expect(cache.use(7, 9)).toEqual(pattern(3));
  });
});

/**
 * What QEMU 7.2.22 sent of six pages, `a` to `f`, whose guest wrote to them at random, from the second round on: rounds
 * are parted by spaces, a capital letter is a whole page, another one a delta. `a`, `c` and `e` share a slot of its cache,
 * and so do `b`, `d` and `f`.
 */
const sentByQemu = [
  "        E CF   ABDE F a CD B aE  F BD C  AB E D a B  C  EF B   CD A B c A E  F AC CDF B   aC F  ",
  "aDE C  ad  BEF A D C  AE F C  AD B E C  eF AC   AB F  bCD F A E D BF C  d AB F CD B F E D AB C d",
  " B  E d F C  d B AE F D BC A E  AC F E C  f  CD   BF AE D C F  E Cf   DF BC  E B  CD F A  BD E F",
  " D CE  f AB E D F B",
].join("");

it("the cache knows the pages that QEMU's knew", () => {
  const cache = xbzrleCache(2 * page, page);
  const wrong: string[] = [];
  for (const [round, letters] of sentByQemu.split(" ").entries()) {
    for (const letter of letters) {
      const number = letter.toLowerCase().charCodeAt(0);
      const known = cache.use(number, round) !== undefined;
      if (known !== (letter !== letter.toUpperCase())) wrong.push(`${letter} in round ${round}`);
      if (!known) cache.insert(number, pattern(1), round);
    }
  }
  expect(wrong).toEqual([]);
});

/** Rounds of writes, sent by deltas over a cache of `cacheBytes`, and loaded. */
function migrated(cacheBytes: number, rounds: readonly (readonly [at: number, bytes: ArrayLike<number>])[][]) {
  const make = () => [testBlock("pc.ram", 8 * page, { tracker: barrierTracker }), testBlock("vga.vram", 2 * page)];
  const source = make();
  for (let each = 0; each < 8; each++) source[0]?.memory().set(pattern(each), each * page);
  const { handler, offer } = rig(
    source.map(({ block }) => block),
    { xbzrle: { cacheBytes } },
  );
  const sections: ["start" | "part" | "end", Uint8Array][] = [["start", bytesOf((out) => handler.setup(out))]];
  for (const writes of rounds) {
    sections.push(["part", bytesOf((out) => void handler.iterate(out, 1 << 30))]);
    for (const [at, bytes] of writes) source[0]?.write(at, bytes);
    handler.pending(true);
  }
  sections.push(["end", bytesOf((out) => void handler.complete(out, 1 << 30))]);
  handler.cleanup(true);
  const target = make();
  const staged = rig(target.map(({ block }) => block)).stage();
  let previous: unknown;
  for (const [phase, data] of sections) previous = feed(staged.decoder(phase, 4, previous), data, 0, wholeBytes)?.value;
  staged.commit();
  const memories = [target, source].map((side) => side.map(({ memory }) => memory()));
  expect(sameBytes(memories[0] as Uint8Array[], memories[1] as Uint8Array[])).toBe(true);
  return offer.statistics().sent;
}

describe("pages by deltas", () => {
  it("that share a slot: the one in the cache goes as a delta, the other whole", () => {
    const both: [number, number[]][] = [
      [0, [1]],
      [4 * page, [2]],
    ];
    const again: [number, number[]][] = [
      [0, [3]],
      [4 * page, [4]],
    ];
    const sent = migrated(page, [both, again, both]);
    expect(sent?.xbzrleCache).toMatchObject({ "cache-size": page, pages: 2, "cache-miss": 4 });
    expect(sent).toMatchObject({ xbzrlePages: 2, normalPages: 8 + 4 });
  });

  it("that are too different go whole, and later deltas are against those", () => {
    const other = pattern(3).map((byte) => byte ^ 0x80);
    const sent = migrated(64 * page, [[[3 * page, [9]]], [[3 * page, other]], [[3 * page + 7, [1, 2]]]]);
    expect(sent?.xbzrleCache).toMatchObject({ overflow: 1, pages: 2, "cache-miss": 1, bytes: page + 3 + 4 });
    expect(sent).toMatchObject({ xbzrlePages: 1, normalPages: 8 + 2 });
  });

  it("that became zero and came back are deltas against zeros", () => {
    const zeros = new Uint8Array(page);
    const sent = migrated(64 * page, [
      [[2 * page, [9]]],
      [[2 * page, zeros]],
      [[2 * page + 5, [1]]],
      [[2 * page + 5, [2]]],
    ]);
    expect(sent).toMatchObject({ xbzrlePages: 2, zeroPages: 2 + 1 });
    expect(sent?.xbzrleCache?.bytes).toBe(2 * (3 + 3));
  });

  it("that were written with what they held are not sent at all", () => {
    const sent = migrated(64 * page, [[[page, [9]]], [[page, [9]]]]);
    expect(sent?.xbzrleCache).toMatchObject({ pages: 1, bytes: 0, "encoding-rate": 0 });
    expect(sent).toMatchObject({ xbzrlePages: 0, normalPages: 8 + 1, remainingPages: 0 });
  });
});

it("a delta of 64 KiB, whose length the wire cannot tell, is an overflow", () => {
  const pageBytes = 65_536;
  const sender = new XbzrleSender({}, pageBytes);
  const before = new Uint8Array(pageBytes);
  expect(sender.encode(0, before, 0, 2, false)).toBe("whole");
  // Five runs, with lengths of 3 bytes each, and as many bytes that stay as they are.
  const after = before.slice().fill(1);
  for (const [from, to] of [
    [0, 11],
    [13_000, 13_001],
    [26_000, 26_001],
    [39_000, 39_001],
    [52_000, 52_001],
  ] as const) {
    after.fill(0, from, to);
  }
  expect(xbzrleEncode(before, after, new Uint8Array(pageBytes))).toBe(pageBytes);
  expect(sender.encode(0, after, 0, 3, false)).toBe("whole");
  expect(sender.statistics()).toMatchObject({ overflow: 1, pages: 1 });
});
