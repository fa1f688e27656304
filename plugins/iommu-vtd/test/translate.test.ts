// Translation over tables built by hand: pages of every size, every fault, and a simple model to agree with.
import { isMigrationError, MigrationError } from "@godwit/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { faultReason, type TranslationFault } from "../src/fault.ts";
import { translator } from "../src/index.ts";
import { page1G, page2M, page4K, R, stateAt, Tables, TestMemory, W } from "./support.ts";

const device = 0x0010;
const domain = 7;

function tables(levels: 3 | 4 | 5 = 3, size = page2M) {
  const built = new Tables(new TestMemory(size));
  const table = built.attach(device, domain, levels);
  return { built, memory: built.memory, table, levels };
}

function faultOf(work: () => unknown): TranslationFault {
  try {
    work();
  } catch (error) {
    if (isMigrationError(error) && error.code === "TRANSLATION_FAULT") return error as TranslationFault;
    throw error;
  }
  throw new Error("it translated");
}

const wide = 0x00d2_008c_2238_0e86n; // 3, 4 and 5 levels, 57 bits

describe("a walk", () => {
  it.each([3, 4, 5] as const)("goes through %i levels to a 4 KiB page", (levels) => {
    const { built, table } = tables(levels);
    const iova = 2 ** (12 + 9 * levels - 5) + 0x7b3_5000;
    built.map(table, levels, iova, 0x12_3456_7000);
    const { translate } = translator(stateAt(built.root, { cap: wide }), built.memory);
    const expected = { gpa: 0x12_3456_7abc, pageBytes: page4K, read: true, write: true, domainId: domain };
    expect(translate("00:02.0", iova + 0xabc, true)).toEqual(expected);
    expect(translate("0000:00:02.0", iova + 0xabc, false)).toEqual(expected);
    expect(translate(device, iova + 0xabc, false)).toEqual(expected);
  });

  it.each([
    [page2M, 0x4000_0000 + 5 * page2M, 0x8_0020_0000],
    [page1G, 0x40_0000_0000, 0x7_4000_0000],
  ])("ends early at a page of %i bytes", (pageBytes, iova, gpa) => {
    const { built, table, levels } = tables(4);
    built.map(table, levels, iova, gpa, R | W, pageBytes);
    const { translate } = translator(stateAt(built.root), built.memory);
    expect(translate(device, iova + pageBytes - 1, true)).toMatchObject({ gpa: gpa + pageBytes - 1, pageBytes });
    expect(faultOf(() => translate(device, iova + pageBytes, true)).detail).toMatch(/is not present/);
  });

  it("allows what every level allows", () => {
    const { built, memory, table, levels } = tables();
    built.map(table, levels, 0x1000, 0x9000, R | W);
    const upper = built.entryAddress(table, levels, 0x1000, 2);
    memory.set64(upper, memory.get64(upper) & ~W);
    const { translate } = translator(stateAt(built.root), memory);
    expect(translate(device, 0x1000, false)).toMatchObject({ gpa: 0x9000, read: true, write: false });
    expect(faultOf(() => translate(device, 0x1000, true))).toMatchObject({
      reason: faultReason.WRITE_DENIED,
      detail: `device 00:02.0 writes 0x1000: the page-table entry of level 2 at 0x${upper.toString(16)} does not allow it`,
      expected: "writable",
      found: "read-only",
    });
    memory.set64(upper, (memory.get64(upper) & ~R) | W);
    expect(translate(device, 0x1000, true)).toMatchObject({ gpa: 0x9000, read: false, write: true });
  });

  it("keeps the devices and buses apart", () => {
    const { built, table, levels } = tables();
    const other = built.attach(0x1fff, 8, 4);
    built.map(table, levels, 0x1000, 0x9000);
    built.map(other, 4, 0x1000, 0xa000);
    const { translate } = translator(stateAt(built.root), built.memory);
    expect(translate("00:02.0", 0x1000, false)).toMatchObject({ gpa: 0x9000, domainId: 7 });
    expect(translate("1f:1f.7", 0x1000, false)).toMatchObject({ gpa: 0xa000, domainId: 8 });
  });
});

describe("an address is taken as it is", () => {
  it("while translation is off, whatever the tables hold", () => {
    const { translate } = translator(stateAt(0x1000, { on: false }), new TestMemory(0));
    expect(translate(device, 0xfee0_1234, true)).toMatchObject({ gpa: 0xfee0_1234, domainId: undefined });
  });

  it("for a device that passes through, where the unit offers it", () => {
    const { built, memory } = tables();
    built.attach(device, domain, 3, { type: 2 });
    const { translate } = translator(stateAt(built.root), memory);
    expect(translate(device, 0x1_2345_6789, true)).toMatchObject({ gpa: 0x1_2345_6789, read: true, write: true });
    const without = translator(stateAt(built.root, { ecap: 0xf0_0f02n }), memory);
    expect(faultOf(() => without.translate(device, 0x1000, true))).toMatchObject({
      reason: faultReason.CONTEXT_INVALID,
      expected: "0",
      found: "2",
    });
  });
});

describe("a fault", () => {
  type Built = ReturnType<typeof tables>;
  const entry = ({ built }: Built) => built.contextAddress(device);
  const pte = ({ built, table, levels }: Built, level: number) => built.entryAddress(table, levels, 0x1000, level);
  const at = (address: number) => `at 0x${address.toString(16)}`;
  const or = (memory: TestMemory, address: number, bits: bigint) => memory.set64(address, memory.get64(address) | bits);

  /** What is broken, the reason, and what the message names. */
  const cases: [string, (b: Built) => void, keyof typeof faultReason, (b: Built) => string][] = [
    [
      "no root entry",
      ({ memory, built }) => memory.set64(built.root, 0n),
      "ROOT_NOT_PRESENT",
      ({ built }) => `the root entry of bus 0 ${at(built.root)} is not present`,
    ],
    [
      "reserved bits in the root entry",
      ({ memory, built }) => or(memory, built.root, 0x10n),
      "ROOT_RESERVED",
      ({ built }) => `the root entry of bus 0 ${at(built.root)} has reserved bits set`,
    ],
    [
      "reserved bits in the root entry's upper half",
      ({ memory, built }) => or(memory, built.root + 8, 1n),
      "ROOT_RESERVED",
      ({ built }) => `the root entry of bus 0 ${at(built.root)} has reserved bits set`,
    ],
    [
      "a context table outside memory",
      ({ memory, built }) => memory.set64(built.root, 0x7000_0001n),
      "CONTEXT_UNREADABLE",
      () => `the context entry ${at(0x7000_0100)} is not in memory`,
    ],
    [
      "no context entry",
      (b) => b.memory.set64(entry(b), 0n),
      "CONTEXT_NOT_PRESENT",
      (b) => `the context entry ${at(entry(b))} is not present`,
    ],
    [
      "reserved bits in the context entry",
      (b) => or(b.memory, entry(b), 0x40n),
      "CONTEXT_RESERVED",
      (b) => `the context entry ${at(entry(b))} has reserved bits set`,
    ],
    [
      "reserved bits behind the domain id",
      (b) => or(b.memory, entry(b) + 8, 1n << 24n),
      "CONTEXT_RESERVED",
      (b) => `the context entry ${at(entry(b))} has reserved bits set`,
    ],
    [
      "reserved bits in the context entry's upper half",
      (b) => or(b.memory, entry(b) + 8, 1n << 40n),
      "CONTEXT_RESERVED",
      (b) => `the context entry ${at(entry(b))} has reserved bits set`,
    ],
    [
      "translation type 3",
      (b) => or(b.memory, entry(b), 0xcn),
      "CONTEXT_INVALID",
      (b) => `the context entry ${at(entry(b))} has a translation type (TT)`,
    ],
    [
      "a device TLB that is not offered",
      (b) => or(b.memory, entry(b), 0x4n),
      "CONTEXT_INVALID",
      (b) => `the context entry ${at(entry(b))} has a translation type (TT)`,
    ],
    [
      "an address width that does not exist",
      (b) => b.memory.set64(entry(b) + 8, 0x704n),
      "CONTEXT_INVALID",
      (b) => `the context entry ${at(entry(b))} has an address width (AW)`,
    ],
    [
      "no page-table entry of level 3",
      (b) => b.memory.set64(pte(b, 3), 0n),
      "WRITE_DENIED",
      (b) => `the page-table entry of level 3 ${at(pte(b, 3))} is not present`,
    ],
    [
      "a page table outside memory",
      (b) => b.memory.set64(pte(b, 3), 0x5000_0003n),
      "PAGE_TABLE_UNREADABLE",
      () => `the page-table entry of level 2 ${at(0x5000_0000)} is not in memory`,
    ],
    [
      "no page-table entry of level 1",
      (b) => b.memory.set64(pte(b, 1), 0n),
      "WRITE_DENIED",
      (b) => `the page-table entry of level 1 ${at(pte(b, 1))} is not present`,
    ],
    [
      "SNP where it is not offered",
      (b) => or(b.memory, pte(b, 1), 0x800n),
      "PAGE_TABLE_RESERVED",
      (b) => `the page-table entry of level 1 ${at(pte(b, 1))} has reserved bits set`,
    ],
    [
      "TM where it is not offered",
      (b) => or(b.memory, pte(b, 1), 1n << 62n),
      "PAGE_TABLE_RESERVED",
      (b) => `the page-table entry of level 1 ${at(pte(b, 1))} has reserved bits set`,
    ],
    [
      "a large page that is not aligned",
      (b) => b.memory.set64(pte(b, 2), 0x1000n | 0x83n),
      "PAGE_TABLE_RESERVED",
      (b) => `the page-table entry of level 2 ${at(pte(b, 2))} has reserved bits set`,
    ],
    [
      "a read-only page",
      (b) => b.memory.set64(pte(b, 1), 0x9000n | R),
      "WRITE_DENIED",
      (b) => `the page-table entry of level 1 ${at(pte(b, 1))} does not allow it`,
    ],
  ];

  it.each(cases)("names %s", (_, damage, reason, message) => {
    const b = tables();
    b.built.map(b.table, b.levels, 0x1000, 0x9000);
    const unit = translator(stateAt(b.built.root), b.memory);
    expect(unit.translate(device, 0x1000, true).gpa).toBe(0x9000);
    const text = message(b);
    damage(b);
    const fault = faultOf(() => unit.translate(device, 0x1000, true));
    expect(fault.detail).toContain(`device 00:02.0 writes 0x1000: ${text}`);
    expect(fault.reason).toBe(faultReason[reason]);
  });

  it("has another reason for a read", () => {
    const b = tables();
    b.built.map(b.table, b.levels, 0x1000, 0x9000, W);
    const { translate } = translator(stateAt(b.built.root), b.memory);
    expect(translate(device, 0x1000, true).gpa).toBe(0x9000);
    expect(faultOf(() => translate(device, 0x1000, false))).toMatchObject({
      reason: faultReason.READ_DENIED,
      expected: "readable",
      found: "write-only",
    });
    expect(faultOf(() => translate(device, 0x2000, false)).reason).toBe(faultReason.READ_DENIED);
  });

  it("says what the address limit is: the tables', and the unit's", () => {
    const b = tables();
    const limit = (cap: bigint, iova: number) =>
      faultOf(() => translator(stateAt(b.built.root, { cap }), b.memory).translate(device, iova, false));
    expect(limit(wide, 2 ** 39)).toMatchObject({
      reason: faultReason.ADDRESS_TOO_LARGE,
      detail: expect.stringContaining("beyond the 39 bits"),
      expected: "below 0x8000000000",
      found: "0x8000000000",
    });
    expect(limit(0x00d2_008c_221d_0e86n, 2 ** 30).detail).toContain("beyond the 30 bits");
    expect(limit(wide, 2 ** 39 - 1).reason).toBe(faultReason.READ_DENIED);
    for (const none of [-1, 2 ** 53, 0.5, Number.NaN]) expect(limit(wide, none).detail).toContain("this is no address");
  });

  it("is raised for large pages of a size that the unit does not offer", () => {
    const b = tables(4);
    b.built.map(b.table, 4, 0, 0, R | W, page1G);
    const offers = (cap: bigint) => translator(stateAt(b.built.root, { cap }), b.memory);
    expect(offers(0x00d2_008c_222f_0e86n).translate(device, 5, true).pageBytes).toBe(page1G);
    expect(faultOf(() => offers(0x00d2_0084_222f_0e86n).translate(device, 5, true)).reason).toBe(
      faultReason.PAGE_TABLE_RESERVED,
    );
    b.memory.set64(b.table, 0x83n);
    expect(faultOf(() => offers(0x00d2_00bc_222f_0e86n).translate(device, 5, true)).detail).toContain("of level 4");
  });

  it("tells a root table that was never set, and one that was written but not set", () => {
    const b = tables();
    const never = stateAt(b.built.root);
    new DataView(never.csr.buffer).setUint32(0x1c, 0x8000_0000, true);
    expect(faultOf(() => translator(never, b.memory).translate(device, 0x1000, false))).toMatchObject({
      detail: expect.stringContaining("no root table was ever set (SRTP)"),
      found: "GSTS.RTPS 0, RTADDR 0x100000",
    });
    const moved = { ...stateAt(b.built.root), root: 0x1000n };
    expect(faultOf(() => translator(moved, b.memory).translate(device, 0x1000, false)).detail).toContain(
      "the root entry of bus 0 (RTADDR holds another table, 0x100000, that SRTP has not set) at 0x1000 is not present",
    );
  });

  it("uses the latched root table, not the register", () => {
    const b = tables();
    b.built.map(b.table, b.levels, 0x1000, 0x9000);
    const state = stateAt(b.built.root);
    new DataView(state.csr.buffer).setBigUint64(0x20, 0xdead_0000n, true);
    expect(translator(state, b.memory).translate(device, 0x1000, true).gpa).toBe(0x9000);
  });

  it.each([
    [1, "scalable mode"],
    [3, "another than legacy mode"],
  ])("refuses RTADDR.TTM %i, when it is used", (mode, name) => {
    const b = tables();
    const state = stateAt(b.built.root, { ecap: 0x800_0000_0f42n });
    new DataView(state.csr.buffer).setBigUint64(0x20, BigInt(b.built.root | (mode << 10)), true);
    const { translate } = translator(state, b.memory);
    expect(() => translate(device, 0x1000, true)).toThrow(`the guest uses ${name}, which is not supported`);
    expect(faultOf(() => translate(device, 0x1000, true)).found).toBe(`RTADDR.TTM ${mode}`);
  });

  it("refuses the interrupt address range, its neighbours not", () => {
    const b = tables();
    b.built.map(b.table, b.levels, 0xfee0_0000, 0x9000);
    b.built.map(b.table, b.levels, 0xfedf_f000, 0xa000);
    const { translate } = translator(stateAt(b.built.root), b.memory);
    for (const iova of [0xfee0_0000, 0xfeef_ffff]) {
      expect(faultOf(() => translate(device, iova, true)).detail).toContain("the interrupt address range");
    }
    expect(translate(device, 0xfedf_ffff, true).gpa).toBe(0xafff);
  });

  it("is not made of memory's other errors", () => {
    const owed = new MigrationError("DEVICE_FAILED", "this page is still on its way");
    const memory = {
      read: () => {
        throw owed;
      },
    };
    expect(() => translator(stateAt(0x1000), memory).translate(device, 0x1000, true)).toThrow(owed);
  });

  it("refuses what is no device's address", () => {
    const { translate } = translator(stateAt(0), new TestMemory(0));
    for (const bdf of ["00:20.0", "00:02.8", "2.0", "0001:00:02.0", -1, 0x1_0000, 1.5]) {
      expect(() => translate(bdf, 0, false)).toThrow(expect.objectContaining({ code: "DEFINITION_INVALID" }));
    }
  });
});

describe("random tables", () => {
  const mapping = fc.record({
    pageBytes: fc.constantFrom(page4K, page4K, page2M, page1G),
    page: fc.integer({ min: 0, max: 2 ** 18 - 1 }),
    region: fc.integer({ min: 0, max: 3 }),
    frame: fc.integer({ min: 0, max: 2 ** 20 - 1 }),
    rights: fc.constantFrom(R, W, R | W),
  });
  const probe = fc.record({
    which: fc.nat(),
    offset: fc.integer({ min: -page4K, max: page1G }),
    write: fc.boolean(),
  });

  it("translate as a list of intervals does", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(3 as const, 4 as const, 5 as const),
        fc.array(mapping, { minLength: 1, maxLength: 12 }),
        fc.array(probe, { minLength: 1, maxLength: 40 }),
        (levels, wanted, probes) => {
          const { built, table, memory } = tables(levels);
          const model: { iova: number; gpa: number; pageBytes: number; rights: bigint }[] = [];
          for (const { pageBytes, page, region, frame, rights } of wanted) {
            const reach = 2 ** Math.min(53, 12 + 9 * levels);
            const iova = Math.floor(((reach / 4) * region + page * page4K) / pageBytes) * pageBytes;
            const gpa = Math.floor((frame * page4K * 64) / pageBytes) * pageBytes;
            if (model.some((m) => iova < m.iova + m.pageBytes && m.iova < iova + pageBytes)) continue;
            built.map(table, levels, iova, gpa, rights, pageBytes);
            model.push({ iova, gpa, pageBytes, rights });
          }
          const { translate } = translator(stateAt(built.root, { cap: wide }), memory);
          for (const { which, offset, write } of probes) {
            const base = model[which % model.length] as (typeof model)[number];
            const iova = Math.max(0, base.iova + offset);
            if (iova >= 0xfee0_0000 && iova <= 0xfeef_ffff) continue;
            const hit = model.find((m) => iova >= m.iova && iova < m.iova + m.pageBytes);
            if (hit !== undefined && (hit.rights & (write ? W : R)) !== 0n) {
              expect(translate(device, iova, write)).toEqual({
                gpa: hit.gpa + (iova - hit.iova),
                pageBytes: hit.pageBytes,
                read: (hit.rights & R) !== 0n,
                write: (hit.rights & W) !== 0n,
                domainId: domain,
              });
            } else {
              const { reason } = faultOf(() => translate(device, iova, write));
              expect(reason).toBe(write ? faultReason.WRITE_DENIED : faultReason.READ_DENIED);
            }
          }
        },
      ),
      { seed: 20260, numRuns: 150 },
    );
  });

  it("of any bytes whatever translate or fault, and nothing else", () => {
    const outcomes = { translated: 0, faults: new Set<number>() };
    const bits = fc.infiniteStream(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }));
    // Pointers that stay inside and few reserved bits, so that walks get somewhere; sometimes any bits at all.
    const kept = fc.constantFrom(0x7003n, 0x7003n, 0x7083n, 0x720fn, 2n ** 64n - 1n);
    fc.assert(
      fc.property(bits, kept, fc.nat({ max: 2 ** 31 }), fc.boolean(), (words, mask, iova, write) => {
        const memory = new TestMemory(8 * page4K);
        const upper = 0x701n; // AW 1, a domain
        const [bus0, context] = [page4K, page4K + 16 * device];
        const put = (at: number, fixed: bigint) => memory.set64(at, (words.next().value as bigint) & mask & ~fixed);
        for (let at = 2 * page4K; at < memory.bytes.length; at += 8 * 61) put(at, 0n);
        for (let level = 3; level >= 1; level--) {
          const index = Math.floor(iova / 2 ** (12 + 9 * (level - 1))) % 512;
          for (let table = 0; table < 8; table++) put(table * page4K + 8 * index, 0n);
        }
        memory.set64(0, BigInt(bus0) | 1n);
        memory.set64(8, 0n);
        put(context, 0xffen & ~0xcn);
        memory.set64(context, memory.get64(context) | 1n);
        memory.set64(context + 8, upper);
        try {
          const { gpa } = translator(stateAt(0), memory).translate(device, iova, write);
          expect(Number.isSafeInteger(gpa)).toBe(true);
          outcomes.translated++;
        } catch (error) {
          expect(error).toMatchObject({ code: "TRANSLATION_FAULT" });
          outcomes.faults.add((error as TranslationFault).reason);
        }
      }),
      { seed: 20261, numRuns: 400 },
    );
    expect(outcomes.translated).toBeGreaterThan(20);
    expect(outcomes.faults.size).toBeGreaterThan(3);
  });
});
