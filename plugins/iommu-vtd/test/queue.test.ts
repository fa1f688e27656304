// The invalidation queue: descriptors that a guest writes, and what becomes of them.
import { describe, expect, it } from "vitest";
import {
  Driver,
  FECTL,
  FSTS,
  GSTS,
  ICS,
  IECTL,
  IQA,
  IQH,
  IQT,
  machine,
  QIE,
  R,
  SRTP,
  Tables,
  TE,
  W,
} from "./support.ts";

const device = 0x0010;
type Descriptor = readonly [low: bigint, high: bigint];

const allContexts: Descriptor = [0x11n, 0n];
const allTranslations: Descriptor = [0x12n, 0n];
const domainTranslations = (did: number): Descriptor => [0x22n | (BigInt(did) << 16n), 0n];
const pages = (did: number, iova: number, am = 0): Descriptor => [0x32n | (BigInt(did) << 16n), BigInt(iova + am)];
const wait = (address: number, data: number): Descriptor => [0x25n | (BigInt(data) << 32n), BigInt(address)];
const interrupt: Descriptor = [0x15n, 0n];

function guest(options: { size?: number } = {}) {
  const made = machine();
  const { memory, iommu } = made;
  const driver = new Driver(made);
  const tables = new Tables(memory);
  const table = tables.attach(device, 7, 3);
  for (const page of [1, 2, 3, 4]) tables.map(table, 3, page * 4096, 0x9000, R | W);
  driver.enable(tables.root);
  const queue = 0x3_0000;
  const entries = 256 << (options.size ?? 0);
  driver.set64(IQA, BigInt(queue | (options.size ?? 0)));
  driver.command(QIE);
  let tail = 0;
  const put = (...descriptors: Descriptor[]) => {
    for (const [low, high] of descriptors) {
      memory.set64(queue + 16 * tail, low);
      memory.set64(queue + 16 * tail + 8, high);
      tail = (tail + 1) % entries;
    }
  };
  const submit = (...descriptors: Descriptor[]) => {
    put(...descriptors);
    driver.set(IQT, tail * 16);
    return driver.get(IQH) / 16;
  };
  const dma = iommu.dmaFor(device);
  const fill = () => {
    for (const page of [1, 2, 3, 4]) dma.read(page * 4096, 1);
  };
  return { ...made, driver, tables, table, queue, put, submit, fill, entries };
}

describe("the invalidation queue", () => {
  it("is worked off up to its tail, and waits write their status", () => {
    const { driver, memory, submit, fill, iommu } = guest();
    expect(driver.get(GSTS)).toBe(TE + SRTP + QIE);
    fill();
    memory.dirty.length = 0;
    expect(submit(allContexts, allTranslations, wait(0x8000, 0xabcd_ef01))).toBe(3);
    expect(iommu.statistics()).toMatchObject({ iotlbEntries: 0, contextEntries: 0 });
    expect(memory.get32(0x8000)).toBe(0xabcd_ef01);
    expect(memory.dirty).toEqual([{ gpa: 0x8000, length: 4 }]);
    fill();
    expect(submit(pages(7, 0x2000, 1), wait(0x8000, 1))).toBe(5);
    expect(iommu.statistics().iotlbEntries).toBe(2);
    expect(submit(domainTranslations(8))).toBe(6);
    expect(iommu.statistics().iotlbEntries).toBe(2);
    expect(submit(domainTranslations(7))).toBe(7);
    expect(iommu.statistics().iotlbEntries).toBe(0);
    expect(driver.get(FSTS)).toBe(0);
  });

  it("invalidates contexts by domain and by device", () => {
    const { submit, fill, iommu } = guest();
    fill();
    submit([0x0008_0021n, 0n]);
    submit([(0x18n << 32n) | 0x31n, 0n]);
    expect(iommu.statistics().contextEntries).toBe(1);
    submit([0x0007_0021n, 0n]);
    expect(iommu.statistics().contextEntries).toBe(0);
    fill();
    submit([(0x3n << 48n) | (0x17n << 32n) | 0x31n, 0n]);
    expect(iommu.statistics().contextEntries).toBe(0);
  });

  it("goes round", () => {
    const { submit, memory, entries } = guest({ size: 1 });
    expect(entries).toBe(512);
    for (let i = 1; i <= 1100; i++) expect(submit(wait(0x8000, i))).toBe(i % 512);
    expect(memory.get32(0x8000)).toBe(1100);
  });

  it("works off at once what stood there when it was enabled", () => {
    const { driver, put, memory, queue } = guest();
    driver.command(QIE, false);
    expect(driver.get(GSTS)).toBe(TE + SRTP);
    put(wait(0x8000, 5));
    driver.set(IQT, 16);
    expect([driver.get(IQH), memory.get32(0x8000)]).toEqual([0, 0]);
    driver.set64(IQA, BigInt(queue));
    driver.command(QIE);
    expect([driver.get(IQH), memory.get32(0x8000)]).toEqual([16, 5]);
  });

  it("interrupts for a wait that asks, once until the guest has seen it", () => {
    const { driver, submit, messages } = guest();
    driver.set(0xa4, 0x42);
    driver.set(0xa8, 0xfee0_2000);
    submit(interrupt);
    expect([driver.get(ICS), driver.get(IECTL), messages.length]).toEqual([1, 0xc000_0000, 0]);
    driver.set(IECTL, 0);
    expect(messages).toEqual([[0xfee0_2000, 0x42]]);
    submit(interrupt, interrupt);
    expect(messages.length).toBe(1);
    driver.set(ICS, 1);
    expect(driver.get(ICS)).toBe(0);
    submit(interrupt);
    expect(messages.length).toBe(2);
    driver.set(IECTL, 0x8000_0000);
    driver.set(ICS, 1);
    submit(interrupt);
    expect(driver.get(IECTL)).toBe(0xc000_0000);
    driver.set(ICS, 1);
    expect(driver.get(IECTL)).toBe(0x8000_0000);
  });

  it("stays on while its last descriptor was none to wait for", () => {
    const { driver, submit } = guest();
    submit(allTranslations);
    expect(driver.command(QIE, false)).toBe(TE + SRTP + QIE);
    submit(wait(0x8000, 1));
    expect(driver.get(IQH)).toBe(32);
    expect(driver.command(QIE, false)).toBe(TE + SRTP);
    expect(driver.get(IQH)).toBe(0);
  });

  it("begins at its first descriptor when it is enabled again", () => {
    const { driver, submit, memory, queue } = guest();
    submit(wait(0x8000, 1), wait(0x8000, 2));
    driver.command(QIE, false);
    driver.set(IQT, 0);
    driver.command(QIE);
    expect([driver.get(GSTS), driver.get(IQH)]).toEqual([TE + SRTP + QIE, 0]);
    memory.set64(queue, 0x7_0000_0025n);
    driver.set(IQT, 16);
    expect([driver.get(IQH), memory.get32(0x8000)]).toEqual([16, 7]);
  });

  it("stays on while it stands still, and takes its pending message back when that is mended", () => {
    const { driver, submit, memory, queue, messages } = guest();
    submit(wait(0x8000, 1), [0xfn, 0n]);
    expect([driver.get(FSTS), driver.get(FECTL)]).toEqual([0x10, 0xc000_0000]);
    expect(driver.command(QIE, false)).toBe(TE + SRTP + QIE);
    memory.set64(queue + 16, 0x2_0000_0025n);
    memory.set64(queue + 24, 0x8000n);
    driver.set(FSTS, 0x10);
    expect([driver.get(FSTS), driver.get(FECTL), memory.get32(0x8000)]).toEqual([0, 0x8000_0000, 2]);
    driver.set(FECTL, 0);
    expect(messages).toEqual([]);
  });

  it.each<[string, Descriptor]>([
    ["an unknown type", [0x7n, 0n]],
    ["type 0", [0n, 0n]],
    ["a device TLB's type", [0x3n, 0n]],
    ["the interrupt cache's type", [0x4n, 0n]],
    ["no granularity (contexts)", [0x01n, 0n]],
    ["no granularity (translations)", [0x02n, 0n]],
    ["reserved bits (contexts)", [0x11n, 1n]],
    ["reserved bits (contexts, low)", [0x111n, 0n]],
    ["reserved bits (translations)", [0x1_0000_0012n, 0n]],
    ["reserved bits (translations, address)", [0x12n, 0x100n]],
    ["reserved bits (wait)", [0x1005n, 0n]],
    ["an address mask that is too large", pages(7, 0x1000, 19)],
    ["a status address that is not aligned", wait(0x8002, 1)],
    ["a status address outside memory", wait(0x7000_0000, 1)],
  ])("stops at %s, and goes on when the guest has put it right", (_, bad) => {
    const { driver, submit, memory, queue, fill, iommu, messages } = guest();
    fill();
    driver.set(0x38, 0);
    expect(submit(wait(0x8000, 1), bad, allTranslations)).toBe(1);
    expect(driver.get(FSTS)).toBe(0x10);
    expect(messages.length).toBe(1);
    expect(iommu.statistics().iotlbEntries).toBe(4);
    driver.set(FSTS, 0x10);
    expect([driver.get(FSTS), messages.length]).toEqual([0x10, 2]);
    expect(driver.get(IQH)).toBe(16);
    const [low, high] = wait(0x8000, 2);
    memory.set64(queue + 16, low);
    memory.set64(queue + 24, high);
    driver.set(FSTS, 0x10);
    expect([driver.get(FSTS), driver.get(IQH)]).toEqual([0, 48]);
    expect(memory.get32(0x8000)).toBe(2);
    expect(iommu.statistics().iotlbEntries).toBe(0);
  });

  it("stops where its tail lies outside, or its memory", () => {
    const { driver, submit, queue } = guest();
    expect(submit(wait(0x8000, 1))).toBe(1);
    driver.set(IQT, 256 * 16);
    expect([driver.get(FSTS), driver.get(IQH)]).toEqual([0x10, 16]);
    driver.set(IQT, 16);
    driver.set(FSTS, 0x10);
    expect(driver.get(FSTS)).toBe(0);
    driver.command(QIE, false);
    driver.set(IQT, 0);
    driver.set64(IQA, 0x7fff_f000n);
    driver.command(QIE);
    driver.set(IQT, 16);
    expect([driver.get(FSTS), driver.get(IQH), queue]).toEqual([0x10, 0, 0x3_0000]);
  });
});
