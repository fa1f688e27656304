import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  BLOCK_BYTES,
  checkBlock,
  checkDisk,
  checkPacket,
  checkPool,
  checkSequence,
  checksum,
  emptyTally,
  expectedBlock,
  expectedPacket,
  isClean,
  PACKET_BYTES,
  type SequenceTally,
  tallyArrival,
  type Verdict,
} from "../src/evidence.ts";
import { writeBootBlock } from "../src/guest/boot-block.ts";
import { type GuestStatus, readStatusBlock } from "../src/guest/status-block.ts";
import * as map from "../src/memory-map.ts";

const SEED = 0xc0ff_ee00;
const MAC = Uint8Array.of(0x52, 0x54, 0, 1, 2, 3);
const CLEAN = { missing: [], repeated: [], torn: [], unexpected: [] };

describe("blocks and packets", () => {
  it("FNV-1a gives its published values", () => {
    const text = (value: string): Uint8Array => Uint8Array.from(value, (character) => character.charCodeAt(0));
    expect(checksum(text(""))).toBe(0x811c_9dc5);
    expect(checksum(text("a"))).toBe(0xe40c_292c);
    expect(checksum(text("foobar"))).toBe(0xbf9c_f968);
  });

  it("have their layout", () => {
    const block = expectedBlock(7, SEED);
    expect([block.length, String.fromCharCode(...block.subarray(0, 4))]).toEqual([512, "BLK!"]);
    expect(new DataView(block.buffer).getUint32(4, true)).toBe(7);
    expect(new DataView(block.buffer).getUint32(8, true)).toBe(SEED);
    const packet = expectedPacket(7, SEED, MAC);
    expect([packet.length, String.fromCharCode(...packet.subarray(14, 18))]).toEqual([158, "PKT!"]);
    expect([...packet.subarray(0, 14)]).toEqual([255, 255, 255, 255, 255, 255, 0x52, 0x54, 0, 1, 2, 3, 0x88, 0xb5]);
  });

  it("are intact as made", () => {
    expect(checkBlock(expectedBlock(9, SEED), SEED)).toEqual({ kind: "intact", number: 9 });
    expect(checkPacket(expectedPacket(9, SEED, MAC), SEED, MAC)).toEqual({ kind: "intact", number: 9 });
    expect(checkBlock(new Uint8Array(BLOCK_BYTES), SEED)).toEqual({ kind: "empty" });
  });

  it("are torn by any change of any bit", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 0xffff_ffff }),
        fc.integer({ min: 0, max: PACKET_BYTES * 8 - 1 }),
        (number, bit) => {
          const block = expectedBlock(number, SEED);
          block[bit >> 3] = (block[bit >> 3] as number) ^ (1 << (bit & 7));
          expect(checkBlock(block, SEED).kind).toBe("torn");
          const packet = expectedPacket(number, SEED, MAC);
          packet[bit >> 3] = (packet[bit >> 3] as number) ^ (1 << (bit & 7));
          expect(checkPacket(packet, SEED, MAC).kind).toBe("torn");
        },
      ),
      { seed: 3, numRuns: 300 },
    );
  });

  it("say why they are torn", () => {
    const block = expectedBlock(9, SEED);
    block.set(expectedBlock(13, SEED).subarray(256), 256);
    expect(checkBlock(block, SEED)).toEqual({ kind: "torn", number: 9, reason: "checksum" });
    new DataView(block.buffer).setUint32(508, checksum(block.subarray(0, 508)), true);
    expect(checkBlock(block, SEED)).toEqual({ kind: "torn", number: 9, reason: "content" });
    expect(checkBlock(expectedBlock(9, SEED + 1), SEED)).toMatchObject({ reason: "seed" });
    expect(checkBlock(expectedPacket(9, SEED, MAC), SEED)).toMatchObject({ reason: "length" });
    expect(checkBlock(new Uint8Array(512).fill(1), SEED)).toMatchObject({ reason: "magic" });
    const short = expectedPacket(9, SEED, MAC).subarray(1);
    expect(checkPacket(short, SEED, MAC)).toMatchObject({ reason: "length" });
    const other = Uint8Array.of(0x52, 0x54, 0, 1, 2, 4);
    expect(checkPacket(expectedPacket(9, SEED, other), SEED, MAC)).toMatchObject({ reason: "content" });
  });
});

describe("sequences", () => {
  const arrive = (numbers: readonly number[], tally: SequenceTally = emptyTally()): SequenceTally => {
    for (const number of numbers) tallyArrival(tally, checkPacket(expectedPacket(number, SEED, MAC), SEED, MAC));
    return tally;
  };
  const check = (numbers: readonly number[], completed: number, submitted: number = completed): Verdict =>
    checkSequence(arrive(numbers), { completed, submitted });

  it("that are whole are clean, whatever the order, and across a hand-over", () => {
    expect(check([1, 2, 3, 4], 4)).toEqual({ intact: 4, ...CLEAN });
    expect(check([1, 3, 4, 2, 5], 3, 5)).toEqual({ intact: 5, ...CLEAN });
    expect(check([], 0)).toEqual({ intact: 0, ...CLEAN });
    const handedOver = JSON.parse(JSON.stringify(arrive([1, 2, 4]))) as SequenceTally;
    const verdict = checkSequence(arrive([3, 5], handedOver), { completed: 5, submitted: 5 });
    expect([verdict.intact, isClean(verdict)]).toEqual([5, true]);
  });

  it("show a lost one: inside, at the end, several", () => {
    expect(check([1, 2, 4], 4)).toEqual({ ...CLEAN, intact: 3, missing: [3] });
    expect(check([1, 2], 3)).toEqual({ ...CLEAN, intact: 2, missing: [3] });
    expect(check([4, 6, 9], 10)).toEqual({ ...CLEAN, intact: 3, missing: [1, 2, 3, 5, 7, 8, 10] });
    // 3 is under way: nobody says that it has completed
    expect(isClean(check([1, 2, 4], 2, 4))).toBe(true);
  });

  it("show a repeated one", () => {
    expect(check([1, 2, 2, 3], 3)).toEqual({ ...CLEAN, intact: 3, repeated: [2] });
    expect(check([1, 3, 3, 2, 2, 1], 3)).toEqual({ ...CLEAN, intact: 3, repeated: [3, 2, 1] });
  });

  it("show a torn one, which is missing too", () => {
    const tally = arrive([1]);
    const torn = expectedPacket(2, SEED, MAC);
    torn.fill(0, 80);
    tallyArrival(tally, checkPacket(torn, SEED, MAC));
    tallyArrival(tally, { kind: "empty" });
    arrive([3], tally);
    expect(checkSequence(tally, { completed: 3, submitted: 3 })).toEqual({
      ...CLEAN,
      intact: 2,
      missing: [2],
      torn: [
        { at: 1, number: 2, reason: "checksum" },
        { at: 2, number: 0, reason: "empty" },
      ],
    });
  });

  it("show one that the guest does not know of", () => {
    expect(check([1, 2, 3], 1, 2)).toEqual({ ...CLEAN, intact: 3, unexpected: [3] });
  });
});

describe("disks", () => {
  const SECTORS = 8;
  /** A disk after blocks 1..last. */
  const written = (last: number): Uint8Array => {
    const disk = new Uint8Array(SECTORS * BLOCK_BYTES);
    for (let number = 1; number <= last; number++) {
      disk.set(expectedBlock(number, SEED), ((number - 1) % SECTORS) * BLOCK_BYTES);
    }
    return disk;
  };
  const put = (disk: Uint8Array, sector: number, bytes: Uint8Array): Uint8Array => {
    disk.set(bytes, sector * BLOCK_BYTES);
    return disk;
  };

  it("are clean as written, before and after they are full", () => {
    for (const last of [0, 1, 7, 8, 9, 21]) {
      const verdict = checkDisk(written(last), SEED, { completed: last, submitted: last });
      expect(verdict, `${last}`).toEqual({ ...CLEAN, intact: Math.min(last, SECTORS) });
    }
  });

  it("may or may not hold what is under way", () => {
    for (const last of [19, 20, 21, 22]) {
      expect(isClean(checkDisk(written(last), SEED, { completed: 19, submitted: 22 })), `${last}`).toBe(true);
    }
  });

  it("show a lost block: never written, or an older one in its place", () => {
    const empty = put(written(5), 2, new Uint8Array(BLOCK_BYTES));
    expect(checkDisk(empty, SEED, { completed: 5, submitted: 5 })).toEqual({ ...CLEAN, intact: 4, missing: [3] });
    const stale = put(written(19), 2, expectedBlock(11, SEED));
    expect(checkDisk(stale, SEED, { completed: 19, submitted: 19 })).toEqual({ ...CLEAN, intact: 7, missing: [19] });
  });

  it("show a block that went to two places", () => {
    const disk = put(written(19), 5, expectedBlock(18, SEED));
    const verdict = checkDisk(disk, SEED, { completed: 19, submitted: 19 });
    expect(verdict).toEqual({ ...CLEAN, intact: 7, missing: [14], repeated: [18] });
  });

  it("show a torn block", () => {
    const torn = expectedBlock(19, SEED);
    torn.set(expectedBlock(11, SEED).subarray(0, 256));
    const verdict = checkDisk(put(written(19), 2, torn), SEED, { completed: 19, submitted: 19 });
    expect(verdict).toEqual({ ...CLEAN, intact: 7, torn: [{ at: 2, number: 11, reason: "checksum" }] });
  });

  it("show a block from nowhere", () => {
    const disk = put(written(19), 3, expectedBlock(28, SEED));
    const verdict = checkDisk(disk, SEED, { completed: 19, submitted: 20 });
    expect(verdict).toEqual({ ...CLEAN, intact: 7, unexpected: [28] });
  });
});

describe("the page pool", () => {
  const PAGES = 5;
  const RAM_BYTES = map.RAM_MIN_BYTES;
  const OFFSET = RAM_BYTES / 2;

  function mark(ram: Uint8Array, index: number, pass: number, number: number): void {
    const offset = OFFSET + index * map.PAGE_BYTES;
    const page = new DataView(ram.buffer, offset, map.PAGE_BYTES);
    page.setUint32(0, map.RAM_BASE + offset, true);
    page.setUint32(4, pass, true);
    page.setUint32(8, number, true);
    const header = checksum(ram.subarray(offset, offset + 12));
    page.setUint32(12, header, true);
    for (const at of [0x400, 0x800, 0xffc]) page.setUint32(at, header ^ Math.imul(at, 0x9e37_79b9), true);
  }

  /** RAM and status after `visits` visits. */
  function visited(visits: number): { ram: Uint8Array; status: GuestStatus } {
    const ram = new Uint8Array(RAM_BYTES);
    const view = new DataView(ram.buffer, map.STATUS_BLOCK_OFFSET);
    view.setUint32(map.STATUS_BLOCK_MAGIC, map.STATUS_MAGIC, true);
    view.setUint32(map.STATUS_BLOCK_POOL_OFFSET, OFFSET, true);
    view.setUint32(map.STATUS_BLOCK_POOL_PAGES, PAGES, true);
    view.setUint32(map.STATUS_BLOCK_POOL_VISITS_LOW, visits, true);
    view.setUint32(map.STATUS_BLOCK_BLOCKS_SUBMITTED, 1000, true);
    for (let visit = 0; visit < visits; visit++) mark(ram, visit % PAGES, Math.floor(visit / PAGES) + 1, visit);
    return { ram, status: readStatusBlock(ram) as GuestStatus };
  }

  it("is clean as the guest left it, whatever the state of the page in progress", () => {
    for (const visits of [0, 1, 4, 5, 6, 12, 25]) {
      const { ram, status } = visited(visits);
      expect(checkPool(ram, status), `${visits}`).toEqual({ ...CLEAN, intact: PAGES - 1 });
      const inProgress = OFFSET + (visits % PAGES) * map.PAGE_BYTES;
      ram.fill(0x5a, inProgress, inProgress + map.PAGE_BYTES);
      expect(isClean(checkPool(ram, status)), `${visits}`).toBe(true);
    }
  });

  it("shows a page that lost a visit, its first or a later one", () => {
    const later = visited(12);
    mark(later.ram, 1, 2, 6);
    expect(checkPool(later.ram, later.status)).toEqual({ ...CLEAN, intact: 3, missing: [1] });
    const first = visited(3);
    first.ram.fill(0, OFFSET + map.PAGE_BYTES, OFFSET + 2 * map.PAGE_BYTES);
    expect(checkPool(first.ram, first.status)).toEqual({ ...CLEAN, intact: 3, missing: [1] });
  });

  it("shows a page with a visit too many", () => {
    const { ram, status } = visited(12);
    mark(ram, 4, 3, 14);
    expect(checkPool(ram, status)).toEqual({ ...CLEAN, intact: 3, repeated: [4] });
  });

  it("shows a torn page: header, mark, or another page's content", () => {
    for (const [at, reason] of [
      [0, "address"],
      [4, "checksum"],
      [8, "checksum"],
      [12, "checksum"],
      [0x400, "mark"],
      [0x800, "mark"],
      [0xffc, "mark"],
    ] as const) {
      const { ram, status } = visited(12);
      const byte = OFFSET + map.PAGE_BYTES + at;
      ram[byte] = (ram[byte] as number) ^ 0x80;
      const [torn] = checkPool(ram, status).torn;
      expect(torn, `${at}`).toMatchObject({ at: 1, reason });
    }
    const { ram, status } = visited(12);
    ram.copyWithin(OFFSET, OFFSET + map.PAGE_BYTES, OFFSET + 2 * map.PAGE_BYTES);
    expect(checkPool(ram, status).torn).toEqual([{ at: 0, number: 3, reason: "address" }]);
  });

  it("shows a page that names a block not yet submitted", () => {
    const { ram, status } = visited(12);
    mark(ram, 0, 3, 1001);
    expect(checkPool(ram, status)).toEqual({ ...CLEAN, intact: 3, unexpected: [0] });
  });

  it("refuses a pool that is not in RAM", () => {
    const { ram, status } = visited(1);
    expect(() => checkPool(ram, { ...status, poolPages: 1000 })).toThrow(RangeError);
  });
});

describe("boot and status blocks", () => {
  it("are where and what the guest's header says", () => {
    const ram = new Uint8Array(map.RAM_MIN_BYTES);
    const parameters = { seed: 0xffff_fffe, useIommu: true, dirtyPagesPerSecond: 1, blocksPerSecond: 2, maxBlocks: 3 };
    writeBootBlock(ram, parameters, 9);
    const words = new Uint32Array(ram.buffer, map.BOOT_BLOCK_OFFSET, map.BOOT_BLOCK_BYTES / 4);
    expect([...words]).toEqual([0x5457_4447, map.RAM_MIN_BYTES, 0xffff_fffe, 1, 1, 3, 2, 9]);
  });

  it("there is no status before the guest has begun", () => {
    expect(readStatusBlock(new Uint8Array(map.RAM_MIN_BYTES))).toBeUndefined();
  });

  it("each field comes from its own word", () => {
    const ram = new Uint8Array(map.RAM_MIN_BYTES);
    const words = new Uint32Array(ram.buffer, map.STATUS_BLOCK_OFFSET, map.STATUS_BLOCK_BYTES / 4);
    words.forEach((_, index) => {
      words[index] = index * 100;
    });
    words[0] = map.STATUS_MAGIC;
    words[map.STATUS_BLOCK_IOMMU_ENABLED / 4] = 1;
    words[map.STATUS_BLOCK_INTERRUPTS_REMAPPED / 4] = 1;
    expect(readStatusBlock(ram)).toEqual({
      stage: 100,
      seed: 200,
      heartbeat: 300,
      blocksSubmitted: 400,
      blocksCompleted: 500,
      packetsSubmitted: 600,
      packetsCompleted: 700,
      packetsReceived: 800,
      poolOffset: 900,
      poolPages: 1000,
      poolVisits: 1200 * 2 ** 32 + 1100,
      iommuEnabled: true,
      remaps: 1400,
      interrupts: 1500,
      diskSectors: 1600,
      errorCount: 1700,
      errorCode: 1800,
      errorDetail: 1900,
      trapCause: 2000,
      trapPc: 2100,
      trapValue: 2200,
      draws: 2300,
      drawsLastNumber: 2400,
      drawsRepeated: 2500,
      drawsTorn: 2600,
      linesSubmitted: 2700,
      linesCompleted: 2800,
      linesTaken: 2900,
      linesLost: 3000,
      linesRepeated: 3100,
      linesTorn: 3200,
      balloonOffset: 3300,
      balloonPages: 3400,
      balloonTarget: 3500,
      balloonActual: 3600,
      balloonGiven: 3700,
      balloonReturns: 3800,
      scsiSubmitted: 3900,
      scsiCompleted: 4000,
      scsiSectors: 4100,
      jobsSubmitted: 4200,
      jobsCompleted: 4300,
      jobsWrong: 4400,
      interruptsRemapped: true,
    });
  });
});
