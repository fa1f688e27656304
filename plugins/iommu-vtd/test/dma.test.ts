// DMA through the unit: split at pages, joined where they adjoin, and never half done.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { translator } from "../src/index.ts";
import { Driver, IOTLB, machine, page2M, R, stateAt, Tables, TestMemory, W } from "./support.ts";

const device = 0x0010;

function guest(memory = new TestMemory(4 * page2M)) {
  const made = machine({}, memory);
  const tables = new Tables(made.memory);
  const table = tables.attach(device, 7, 3);
  const driver = new Driver(made);
  driver.enable(tables.root);
  const map = (iova: number, gpa: number, rights = R | W, pageBytes?: number) =>
    tables.map(table, 3, iova, gpa, rights, pageBytes);
  return { ...made, tables, table, driver, map, dma: made.iommu.dmaFor(device) };
}

describe("DMA", () => {
  it("reads and writes across pages that lie apart", () => {
    const { dma, memory, map } = guest();
    map(0x1000, 0x9000);
    map(0x2000, 0x5000);
    const bytes = Uint8Array.from({ length: 100 }, (_, i) => i + 1);
    memory.dirty.length = 0;
    dma.write(0x2000 - 40, bytes);
    expect(memory.dirty).toEqual([
      { gpa: 0xa000 - 40, length: 40 },
      { gpa: 0x5000, length: 60 },
    ]);
    expect(memory.bytes.slice(0x5000, 0x503c)).toEqual(bytes.slice(40));
    expect(dma.read(0x2000 - 40, 100)).toEqual(bytes);
  });

  it("makes one access of pages that adjoin", () => {
    const { dma, memory, map } = guest();
    map(0x1000, 0x9000);
    map(0x2000, 0xa000);
    memory.dirty.length = 0;
    dma.write(0x1ff0, new Uint8Array(32).fill(5));
    expect(memory.dirty).toEqual([{ gpa: 0x9ff0, length: 32 }]);
    expect(dma.read(0x1ff0, 32)).toEqual(new Uint8Array(32).fill(5));
  });

  it("writes nothing where one page faults", () => {
    const { dma, memory, map } = guest();
    map(0x1000, 0x9000);
    map(0x2000, 0x5000, R);
    memory.dirty.length = 0;
    expect(() => dma.write(0x1ff0, new Uint8Array(32).fill(5))).toThrow(/writes 0x2000: .* does not allow it/);
    expect(memory.dirty).toEqual([]);
    expect(memory.bytes[0x9ff0]).toBe(0);
  });

  it("of no bytes touches nothing", () => {
    const { dma, iommu } = guest();
    expect(dma.read(0x7000_0000, 0)).toEqual(new Uint8Array(0));
    dma.write(0x7000_0000, new Uint8Array(0));
    expect(iommu.statistics()).toMatchObject({ hits: 0, misses: 0, faults: 0 });
  });

  it("stays inside a large page", () => {
    const { dma, memory, map } = guest();
    map(page2M, page2M, R | W, page2M);
    memory.bytes[2 * page2M - 1] = 9;
    expect(dma.read(2 * page2M - 5000, 5000)[4999]).toBe(9);
    expect(() => dma.read(2 * page2M - 5000, 5001)).toThrow(/reads 0x400000: .*not present/);
  });

  it("passes on that memory is not there", () => {
    const { dma, map } = guest();
    map(0x1000, 0x7000_0000);
    expect(() => dma.read(0x1000, 1)).toThrow(expect.objectContaining({ code: "MEMORY_UNMAPPED" }));
  });
});

describe("caches", () => {
  const pageNumber = fc.integer({ min: 1, max: 6 });
  const operation = fc.oneof(
    fc.record({
      kind: fc.constant("remap" as const),
      page: pageNumber,
      frame: fc.integer({ min: 1, max: 15 }),
      how: fc.integer({ min: 1, max: 3 }),
    }),
    fc.record({
      kind: fc.constant("access" as const),
      page: pageNumber,
      offset: fc.integer({ min: 0, max: 4095 }),
      length: fc.integer({ min: 1, max: 9000 }),
      write: fc.boolean(),
    }),
  );

  it("never show, as long as the guest invalidates what it changes", () => {
    let hits = 0;
    fc.assert(
      fc.property(fc.array(operation, { minLength: 20, maxLength: 60, size: "max" }), (operations) => {
        const { memory, iommu, dma, driver, map, tables } = guest(new TestMemory(page2M));
        const pure = translator(stateAt(tables.root), memory);
        for (let page = 1; page <= 9; page++) map(page * 4096, (16 - page) * 4096);
        for (let i = 0; i < 0x1_0000; i++) memory.bytes[i] = (i * 7) ^ (i >> 8);
        for (const op of operations) {
          if (op.kind === "remap") {
            map(op.page * 4096, op.frame * 4096, op.frame === 1 ? 0n : op.frame === 2 ? R : R | W);
            expect(driver.invalidateIotlb(op.how, { did: 7, iova: op.page * 4096 })).toBe(op.how);
            continue;
          }
          const { write, length } = op;
          const from = op.page * 4096 + op.offset;
          const byPage = () => {
            const bytes = new Uint8Array(length);
            for (let i = 0; i < length; ) {
              const { gpa } = pure.translate(device, from + i, write);
              const rest = Math.min(length - i, 4096 - (gpa % 4096));
              bytes.set(memory.bytes.subarray(gpa, gpa + rest), i);
              i += rest;
            }
            return bytes;
          };
          let expected: Uint8Array | undefined;
          try {
            expected = byPage();
          } catch {
            expected = undefined;
          }
          const written = new Uint8Array(length).fill(op.offset);
          if (expected === undefined) {
            const fails = () => (write ? dma.write(from, written) : dma.read(from, length));
            expect(fails).toThrow(expect.objectContaining({ code: "TRANSLATION_FAULT" }));
          } else if (write) {
            dma.write(from, written);
            const last = pure.translate(device, from + length - 1, true).gpa;
            expect(memory.bytes[last]).toBe(op.offset & 0xff);
          } else {
            const found = dma.read(from, length);
            expect(found.length).toBe(length);
            expect(expected.findIndex((byte, i) => byte !== found[i])).toBe(-1);
          }
        }
        expect(driver.get(IOTLB + 4) >>> 31).toBe(0);
        hits += iommu.statistics().hits;
      }),
      { seed: 20262, numRuns: 60 },
    );
    expect(hits).toBeGreaterThan(100);
  });
});
