// The register file as a guest sees it, and the commands that go through registers.
import { describe, expect, it } from "vitest";
import {
  CAP,
  CCMD,
  Driver,
  ECAP,
  FECTL,
  FRCD,
  FSTS,
  GCMD,
  GSTS,
  IECTL,
  IOTLB,
  IQA,
  IQT,
  machine,
  page2M,
  QIE,
  R,
  RTADDR,
  SRTP,
  sectionOf,
  Tables,
  TE,
  W,
} from "./support.ts";

const device = 0x0010;

function guest(options: Parameters<typeof machine>[0] = {}) {
  const made = machine(options);
  const tables = new Tables(made.memory);
  const table = tables.attach(device, 7, 3);
  const map = (iova: number, gpa: number, rights = R | W, pageBytes?: number) =>
    tables.map(table, 3, iova, gpa, rights, pageBytes);
  return { ...made, driver: new Driver(made), tables, table, map, dma: made.iommu.dmaFor("00:02.0") };
}

const faultCode = expect.objectContaining({ code: "TRANSLATION_FAULT" });

describe("the registers", () => {
  it("follow the options", () => {
    const [plain, caching, wide, opaque] = [
      {},
      { cachingMode: true },
      { addressWidth: 48 as const },
      { passThrough: false },
    ]
      .map((options) => new Driver(machine(options)))
      .map((driver) => [driver.get64(CAP), driver.get64(ECAP)]) as [bigint, bigint][];
    expect(plain).toEqual([0x00d2_008c_2226_0206n, 0xf42n]);
    expect(caching).toEqual([0x00d2_008c_2226_0286n, 0xf42n]);
    expect(wide).toEqual([0x00d2_008c_222f_0606n, 0xf42n]);
    expect(opaque).toEqual([0x00d2_008c_2226_0206n, 0xf02n]);
  });

  it("take 32-bit accesses, and nothing from others", () => {
    const { iommu, driver } = guest();
    const { mmio } = iommu;
    mmio.write(RTADDR, 4, 0x1234_5fff);
    mmio.write(RTADDR + 4, 4, 0xffff_ffff);
    expect(driver.get64(RTADDR)).toBe(0xffff_ffff_1234_5c00n);
    for (const [offset, size] of [
      [RTADDR, 1],
      [RTADDR, 2],
      [RTADDR, 8],
      [RTADDR + 2, 4],
    ] as const) {
      mmio.write(offset, size, 0);
      expect(mmio.read(offset, size)).toBe(2 ** (8 * size) - 1);
    }
    expect(driver.get64(RTADDR)).toBe(0xffff_ffff_1234_5c00n);
    mmio.write(0xffc, 4, 1);
    mmio.write(0x230, 4, 1);
    expect([mmio.read(0xffc, 4), mmio.read(0x230, 4)]).toEqual([0, 0]);
  });

  it("never give a command back, which travels all the same", () => {
    const { driver, kernel } = guest();
    driver.set(GCMD, 0x807f_ffff);
    expect([driver.get(GCMD), driver.get(GSTS)]).toEqual([0, TE]);
    expect(new DataView(sectionOf(kernel).buffer).getUint32(36 + GCMD, true)).toBe(TE);
  });

  it("keep what a guest may not change", () => {
    const { driver } = guest();
    const all = () => Array.from({ length: 0x230 / 4 }, (_, i) => driver.get(4 * i));
    const before = all();
    // Commands are left out: they do something, and are tested below.
    const commands = [GCMD, CCMD + 4, IOTLB + 4, IQT];
    for (let at = 0; at < 0x230; at += 4) if (!commands.includes(at)) driver.set(at, 0xffff_ffff);
    const changed = new Map<number, number>();
    for (const [i, value] of all().entries()) {
      if (value !== before[i]) changed.set(4 * i, value);
    }
    expect([...changed].map(([at, value]) => [at.toString(16), value.toString(16)])).toEqual([
      ["20", "fffffc00"],
      ["24", "ffffffff"],
      ["28", "ffffffff"],
      ["3c", "ffff"],
      ["40", "fffffffc"],
      ["90", "fffff807"],
      ["94", "ffffffff"],
      ["a4", "ffffffff"],
      ["a8", "fffffffc"],
      ["b8", "fffff80f"],
      ["bc", "ffffffff"],
      ["f0", "fffff07f"],
      ["f4", "ffffffff"],
    ]);
    for (const control of [FECTL, IECTL]) {
      expect(driver.get(control)).toBe(0x8000_0000);
      driver.set(control, 0);
      expect(driver.get(control)).toBe(0);
    }
  });
});

describe("a guest that programs the unit", () => {
  it("sees its addresses translated from TE on, and GSTS follow", () => {
    const { driver, dma, memory, map, tables } = guest();
    map(0x1000, 0x9000);
    memory.bytes[0x1004] = 1;
    memory.bytes[0x9004] = 2;
    expect(dma.read(0x1004, 1)).toEqual(Uint8Array.of(1));
    driver.set64(RTADDR, BigInt(tables.root));
    expect(driver.get(GSTS)).toBe(0);
    expect(driver.command(SRTP)).toBe(SRTP);
    expect(dma.read(0x1004, 1)).toEqual(Uint8Array.of(1));
    expect(driver.command(TE)).toBe(SRTP + TE);
    expect(dma.read(0x1004, 1)).toEqual(Uint8Array.of(2));
    expect(driver.command(TE, false)).toBe(SRTP);
    expect(dma.read(0x1004, 1)).toEqual(Uint8Array.of(1));
  });

  it("may write RTADDR without effect until SRTP", () => {
    const { driver, dma, map, memory, tables } = guest();
    map(0x1000, 0x9000);
    driver.enable(tables.root);
    driver.set64(RTADDR, 0x5000n);
    memory.bytes[0x9000] = 3;
    expect(dma.read(0x1000, 1)).toEqual(Uint8Array.of(3));
    driver.command(SRTP);
    expect(() => dma.read(0x1000, 1)).toThrow(/root entry of bus 0 at 0x5000 is not present/);
  });

  it("passes through where a context entry says so", () => {
    const { driver, dma, memory, tables } = guest();
    tables.attach(device, 7, 3, { type: 2 });
    driver.enable(tables.root);
    memory.bytes[0x1000] = 4;
    expect(dma.read(0x1000, 1)).toEqual(Uint8Array.of(4));
  });
});

describe("the IOTLB", () => {
  it("keeps a translation until it is invalidated", () => {
    const { driver, dma, map, memory, tables, iommu } = guest();
    memory.bytes.fill(1, 0x9000, 0xa000);
    memory.bytes.fill(2, 0xa000, 0xb000);
    map(0x1000, 0x9000);
    driver.enable(tables.root);
    const seen = () => dma.read(0x1800, 1)[0];
    expect(seen()).toBe(1);
    expect(seen()).toBe(1);
    expect(iommu.statistics()).toMatchObject({
      hits: 1,
      misses: 1,
      walks: 1,
      faults: 0,
      iotlbEntries: 1,
      contextEntries: 1,
    });
    map(0x1000, 0xa000);
    expect(seen()).toBe(1);
    expect(driver.invalidateIotlb(3, { did: 7, iova: 0x2000 })).toBe(3);
    expect(driver.invalidateIotlb(3, { did: 8, iova: 0x1000 })).toBe(3);
    expect(driver.invalidateIotlb(2, { did: 8 })).toBe(2);
    expect(seen()).toBe(1);
    expect(driver.invalidateIotlb(3, { did: 7, iova: 0x1000 })).toBe(3);
    expect(seen()).toBe(2);
    map(0x1000, 0x9000);
    expect(driver.invalidateIotlb(2, { did: 7 })).toBe(2);
    expect(seen()).toBe(1);
    map(0x1000, 0xa000);
    expect(driver.invalidateIotlb(1)).toBe(1);
    expect(seen()).toBe(2);
  });

  it("drops every page of a range, a large one that overlaps too", () => {
    const { driver, dma, map, tables, iommu } = guest();
    for (let page = 0; page < 8; page++) map(0x8000 + page * 4096, 0x9000);
    map(page2M, 0, R | W, page2M);
    driver.enable(tables.root);
    const touch = () => {
      for (let page = 0; page < 8; page++) dma.read(0x8000 + page * 4096, 1);
      dma.read(page2M + 0x12_3456, 1);
    };
    touch();
    expect(iommu.statistics()).toMatchObject({ walks: 9, iotlbEntries: 9 });
    // The range begins where its length divides the address: at 0x8000.
    driver.invalidateIotlb(3, { did: 7, iova: 0xa000, am: 2 });
    expect(iommu.statistics().iotlbEntries).toBe(5);
    dma.read(0xc000, 1);
    expect(iommu.statistics()).toMatchObject({ walks: 9, hits: 1 });
    dma.read(0x8000, 1);
    expect(iommu.statistics()).toMatchObject({ walks: 10, hits: 1, iotlbEntries: 6 });
    driver.invalidateIotlb(3, { did: 7, iova: page2M + 0x1f_f000 });
    expect(iommu.statistics().iotlbEntries).toBe(5);
    touch();
    expect(iommu.statistics()).toMatchObject({ walks: 14, hits: 6, iotlbEntries: 9 });
  });

  it("asks the tables again where an entry does not allow the access", () => {
    const { driver, dma, map, tables, iommu } = guest();
    map(0x1000, 0x9000, R);
    driver.enable(tables.root);
    dma.read(0x1000, 1);
    expect(() => dma.write(0x1000, Uint8Array.of(1))).toThrow(faultCode);
    map(0x1000, 0x9000, R | W);
    dma.write(0x1000, Uint8Array.of(1));
    expect(iommu.statistics()).toMatchObject({ hits: 0, misses: 3, faults: 1, iotlbEntries: 1 });
  });

  it("is emptied when it is full, and goes on", () => {
    const { driver, dma, map, tables, iommu } = guest();
    for (let page = 0; page < 1100; page++) map(page * 4096, 0x9000);
    driver.enable(tables.root);
    for (let page = 0; page < 1100; page++) dma.read(page * 4096, 1);
    expect(iommu.statistics()).toMatchObject({ walks: 1100, iotlbEntries: 1100 - 1024 });
  });

  it("answers a request that is not valid with no granularity", () => {
    const { driver, dma, map, tables, iommu } = guest();
    map(0x1000, 0x9000);
    driver.enable(tables.root);
    dma.read(0x1000, 1);
    expect(driver.invalidateIotlb(0)).toBe(0);
    expect(driver.invalidateIotlb(3, { did: 7, iova: 0x1000, am: 19 })).toBe(0);
    expect(iommu.statistics().iotlbEntries).toBe(1);
    expect(driver.invalidateIotlb(3, { did: 7, iova: 0x1000, am: 18 })).toBe(3);
    expect(iommu.statistics().iotlbEntries).toBe(0);
  });

  it("is left alone while IVT is not set", () => {
    const { driver, dma, map, tables, iommu } = guest();
    map(0x1000, 0x9000);
    driver.enable(tables.root);
    dma.read(0x1000, 1);
    driver.set(IOTLB + 4, 0x1000_0000);
    driver.set(CCMD + 4, 0x2000_0000);
    expect([driver.get(IOTLB + 4), driver.get(CCMD + 4)]).toEqual([0x1000_0000, 0x2000_0000]);
    expect(iommu.statistics()).toMatchObject({ iotlbEntries: 1, contextEntries: 1 });
  });
});

describe("the context cache", () => {
  it("keeps a context entry until it is invalidated, by domain, device or all", () => {
    const { driver, dma, map, tables, memory, iommu } = guest();
    map(0x1000, 0x9000);
    const second = tables.attach(device, 9, 3, { table: tables.page() });
    tables.map(second, 3, 0x1000, 0xa000);
    const first = () => tables.attach(device, 7, 3, { table: guestTable });
    const guestTable = Number(memory.get64(tables.contextAddress(device)) & ~0xfffn);
    memory.bytes[0x9000] = 1;
    memory.bytes[0xa000] = 2;
    driver.enable(tables.root);
    expect(dma.read(0x1000, 1)[0]).toBe(2);
    memory.set64(tables.contextAddress(device), 0n);
    const gone = () => {
      try {
        dma.read(0x1000, 1);
        return false;
      } catch {
        return true;
      }
    };
    expect(gone()).toBe(false);
    expect(driver.invalidateContexts(2, { did: 7 })).toBe(2);
    expect(driver.invalidateContexts(3, { sid: 0x0008 })).toBe(3);
    expect(driver.invalidateContexts(0)).toBe(0);
    expect(gone()).toBe(false);
    expect(driver.invalidateContexts(2, { did: 9 })).toBe(2);
    expect(gone()).toBe(true);
    for (const drop of [
      () => driver.invalidateContexts(1),
      () => driver.invalidateContexts(3, { sid: device }),
      () => driver.invalidateContexts(3, { sid: device | 4, fm: 1 }),
      () => driver.invalidateContexts(3, { sid: device | 6, fm: 2 }),
      () => driver.invalidateContexts(3, { sid: device | 7, fm: 3 }),
    ]) {
      first();
      expect(gone()).toBe(false);
      memory.set64(tables.contextAddress(device), 0n);
      driver.invalidateContexts(3, { sid: device | 7, fm: 2 });
      expect(gone()).toBe(false);
      drop();
      expect(gone()).toBe(true);
    }
    expect(iommu.statistics().contextEntries).toBe(0);
  });

  it("is not changed by the registers while the invalidation queue is on", () => {
    const { driver, dma, map, tables, iommu } = guest();
    map(0x1000, 0x9000);
    driver.enable(tables.root);
    dma.read(0x1000, 1);
    driver.set64(IQA, BigInt(tables.page()));
    expect(driver.command(QIE)).toBe(TE + SRTP + QIE);
    expect([driver.invalidateContexts(1), driver.invalidateIotlb(1)]).toEqual([0, 0]);
    expect(iommu.statistics()).toMatchObject({ iotlbEntries: 1, contextEntries: 1 });
  });
});

describe("a fault", () => {
  const record = (driver: Driver) => ({
    address: driver.get64(FRCD),
    source: driver.get(FRCD + 8),
    reason: driver.get(FRCD + 12) & 0xff,
    read: (driver.get(FRCD + 12) & 0x4000_0000) !== 0,
    valid: (driver.get(FRCD + 12) & 0x8000_0000) !== 0,
  });

  it("is recorded: who, where, why, and whether it was a read", () => {
    const { driver, dma, iommu, tables } = guest();
    driver.enable(tables.root);
    expect(() => dma.read(0x12_3456_7abc, 1)).toThrow(faultCode);
    expect(record(driver)).toEqual({ address: 0x12_3456_7000n, source: device, reason: 6, read: true, valid: true });
    expect(driver.get(FSTS)).toBe(0x02);
    expect(() => iommu.dmaFor("00:03.1").write(0x5000, Uint8Array.of(1))).toThrow(faultCode);
    expect(record(driver).source).toBe(device);
    expect(driver.get(FSTS)).toBe(0x03);
    driver.set(FRCD + 12, 0x8000_0000);
    expect(record(driver).valid).toBe(false);
    expect(driver.get(FSTS)).toBe(0x01);
    expect(() => dma.read(0x1000, 1)).toThrow(faultCode);
    expect(record(driver).valid).toBe(false);
    driver.set(FSTS, 0x01);
    expect(driver.get(FSTS)).toBe(0);
    expect(() => iommu.dmaFor("00:03.1").write(0x5000, Uint8Array.of(1))).toThrow(faultCode);
    expect(record(driver)).toEqual({ address: 0x5000n, source: 0x19, reason: 2, read: false, valid: true });
    expect(iommu.statistics().faults).toBe(4);
  });

  it("is not recorded where the context entry asks for that", () => {
    const { driver, dma, tables } = guest();
    tables.attach(device, 7, 3, { silent: true });
    driver.enable(tables.root);
    expect(() => dma.read(0x1000, 1)).toThrow(faultCode);
    expect([record(driver).valid, driver.get(FSTS)]).toEqual([false, 0]);
  });

  it("interrupts once, when it is unmasked", () => {
    const { driver, dma, messages, tables } = guest();
    driver.enable(tables.root);
    driver.set(0x3c, 0x21);
    driver.set(0x40, 0xfee0_1004);
    expect(() => dma.read(0x1000, 1)).toThrow(faultCode);
    expect(messages).toEqual([]);
    expect(driver.get(FECTL)).toBe(0xc000_0000);
    driver.set(FECTL, 0);
    expect(messages).toEqual([[0xfee0_1004, 0x21]]);
    expect(driver.get(FECTL)).toBe(0);
    expect(() => dma.read(0x1000, 1)).toThrow(faultCode);
    driver.set(FRCD + 12, 0x8000_0000);
    driver.set(FSTS, 0x01);
    expect(messages.length).toBe(1);
    expect(() => dma.read(0x1000, 1)).toThrow(faultCode);
    expect(messages.length).toBe(2);
  });

  it("takes its pending message back when the guest has looked before", () => {
    const { driver, dma, messages, tables } = guest();
    driver.enable(tables.root);
    expect(() => dma.read(0x1000, 1)).toThrow(faultCode);
    driver.set(FRCD + 12, 0x8000_0000);
    expect(driver.get(FECTL)).toBe(0x8000_0000);
    driver.set(FECTL, 0);
    expect(messages).toEqual([]);
  });

  it("stays pending where nothing delivers messages", () => {
    const { driver, dma, tables } = guest({ signalMsi: undefined as never });
    driver.enable(tables.root);
    driver.set(FECTL, 0);
    expect(() => dma.read(0x1000, 1)).toThrow(faultCode);
    expect(driver.get(FECTL)).toBe(0x4000_0000);
  });
});

describe("reset", () => {
  it("gives the unit that was there at first", () => {
    const { driver, dma, map, tables, iommu } = guest({ addressWidth: 48 });
    const all = () => Array.from({ length: 0x230 / 4 }, (_, i) => driver.get(4 * i));
    const before = all();
    map(0x1000, 0x9000);
    driver.enable(tables.root);
    dma.read(0x1000, 1);
    expect(() => dma.read(0x2000, 1)).toThrow(faultCode);
    iommu.reset();
    expect(all()).toEqual(before);
    expect(iommu.statistics()).toMatchObject({ iotlbEntries: 0, contextEntries: 0 });
    expect(dma.read(0x2000, 1)).toEqual(Uint8Array.of(0));
  });
});
