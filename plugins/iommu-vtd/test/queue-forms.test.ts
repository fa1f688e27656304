// The queue's other forms: wide descriptors, devices' TLBs, and a migration while it holds work.
import { describe, expect, it } from "vitest";
import { Driver, FSTS, IQA, IQH, IQT, machine, page2M, QIE, RTADDR, SRTP, TE, TestMemory } from "./support.ts";

const queue = 0x3_0000;
const status = 0x8000;

function guest(options: Parameters<typeof machine>[0] = {}, { wide = false, qs = 0 } = {}) {
  const memory = new TestMemory(page2M);
  const made = machine(options, memory);
  const driver = new Driver(made);
  const bytes = wide ? 32 : 16;
  const put = (at: number, ...words: bigint[]) => {
    for (let i = 0; i < bytes / 8; i++) memory.set64(queue + bytes * at + 8 * i, words[i] ?? 0n);
  };
  driver.set64(IQA, BigInt(queue) | (wide ? 0x800n : 0n) | BigInt(qs));
  driver.command(QIE);
  return { ...made, driver, put, bytes };
}
const wait = (data: number): [bigint, bigint] => [0x25n | (BigInt(data) << 32n), BigInt(status)];

describe("wide descriptors", () => {
  it("are worked off, round the end of the queue", () => {
    const { driver, put, memory } = guest({ scalableMode: true }, { wide: true });
    for (let i = 1; i <= 300; i++) {
      put((i - 1) % 128, ...wait(i));
      driver.set(IQT, (i % 128) * 32);
      expect([driver.get(IQH), memory.get32(status)]).toEqual([(i % 128) * 32, i]);
    }
    expect(driver.get(FSTS)).toBe(0);
  });

  it("are as wide as they were when the queue was enabled, whatever IQA says since, and after a migration", () => {
    const { driver, put, memory, kernel } = guest({ scalableMode: true }, { wide: true });
    put(0, ...wait(1));
    driver.set(IQT, 32);
    driver.set64(IQA, 0x9000n);
    put(1, ...wait(2));
    driver.set(IQT, 64);
    expect([driver.get(IQH), memory.get32(status)]).toEqual([64, 2]);
    const target = machine({ scalableMode: true }, memory);
    target.kernel.restore(kernel.snapshot());
    put(2, ...wait(3));
    const there = new Driver(target);
    there.set(IQT, 96);
    expect([there.get(IQH), memory.get32(status), there.get(FSTS)]).toEqual([96, 3, 0]);
  });

  it("have an upper half that must be zero", () => {
    for (const words of [
      [0x11n, 0n, 1n, 0n],
      [0x25n, BigInt(status), 0n, 1n << 63n],
    ]) {
      const { driver, put } = guest({ scalableMode: true }, { wide: true });
      put(0, ...words);
      driver.set(IQT, 32);
      expect([driver.get(FSTS), driver.get(IQH)]).toEqual([0x10, 0]);
    }
  });

  it("are not there without scalable mode: a guest may set the bit, as in QEMU, and it says nothing", () => {
    const { driver, put, memory } = guest({}, { wide: true });
    driver.set64(RTADDR, 0x10_0c00n);
    expect([driver.get(IQA) & 0xfff, driver.get(RTADDR)]).toEqual([0x800, 0x10_0c00]);
    put(0, ...wait(4));
    driver.set(IQT, 16);
    expect([memory.get32(status), driver.get(IQH)]).toEqual([4, 16]);
  });
});

describe("scalable mode", () => {
  it("is latched with the root table, travels, and refuses to translate", () => {
    const { driver, iommu, kernel, memory } = guest({ scalableMode: true });
    driver.set64(RTADDR, 0x10_0400n);
    driver.command(SRTP);
    driver.set64(RTADDR, 0x10_0000n);
    driver.command(TE);
    const uses = /00:02.0 reads 0x1000: the guest uses scalable mode, which is not supported/;
    expect(() => iommu.dmaFor("00:02.0").read(0x1000, 1)).toThrow(uses);
    driver.set64(RTADDR, 0x10_0400n);
    const target = machine({ scalableMode: true }, memory);
    target.kernel.restore(kernel.snapshot());
    expect(target.kernel.snapshot()).toEqual(kernel.snapshot());
    expect(() => target.iommu.dmaFor("00:02.0").read(0x1000, 1)).toThrow(uses);
  });
});

describe("a device's own TLB", () => {
  it.each<[string, bigint, bigint, bigint]>([
    ["a page", 0x1000n, 0x1000n, 4096n],
    ["two pages", 0x4001n, 0x4000n, 8192n],
    ["four pages", 0x1_0000_1001n, 0x1_0000_0000n, 16384n],
    ["2 MiB", 0x10_0000n * 2n + 0xf_f001n, 0x20_0000n, 0x20_0000n],
    ["everything", 0xffff_ffff_ffff_f001n, 0n, 1n << 64n],
  ])("is invalidated by descriptor: %s", (_, upper, iova, bytes) => {
    const told: unknown[] = [];
    const { driver, put } = guest({ deviceTlb: true, invalidateDeviceTlb: (...range) => told.push(range) });
    put(0, 0x1234_001f_0003n, upper);
    put(1, ...wait(1));
    driver.set(IQT, 32);
    expect(told).toEqual([[0x1234, iova, bytes]]);
    expect([driver.get(FSTS), driver.get(IQH)]).toEqual([0, 32]);
  });

  it.each<[string, bigint, bigint]>([
    ["low", 0x0010_0000_0013n, 0x1000n],
    ["above the depth", 0x0010_0020_0003n, 0x1000n],
    ["above the source", 0x1_0010_0000_0003n, 0x1000n],
    ["above S", 0x0010_0000_0003n, 0x1002n],
  ])("stops the queue for reserved bits: %s", (_, low, high) => {
    const told: unknown[] = [];
    const { driver, put } = guest({ deviceTlb: true, invalidateDeviceTlb: (...range) => told.push(range) });
    put(0, low, high);
    driver.set(IQT, 16);
    expect([driver.get(FSTS), told]).toEqual([0x10, []]);
  });
});

describe("a migration in the middle of a queue", () => {
  it("goes on behind the descriptor that had stopped it, once the guest has mended that", () => {
    const options = { addressWidth: 48, cachingMode: true, intremap: true, eim: true } as const;
    const { driver, put, memory, kernel } = guest(options, { qs: 3 });
    put(0, ...wait(1));
    put(1, 0xfn);
    put(2, ...wait(3));
    driver.set(IQT, 48);
    expect([driver.get(FSTS), driver.get(IQH), memory.get32(status)]).toEqual([0x10, 16, 1]);
    // Between QEMU's clearing of IQE and the next tail, a queue holds work and no error.
    const target = machine(options, memory);
    target.kernel.restore(kernel.snapshot());
    const there = new Driver(target);
    expect([there.get(FSTS), there.get(IQH), there.get(IQT)]).toEqual([0x10, 16, 48]);
    put(1, ...wait(2));
    there.set(FSTS, 0x10);
    expect([there.get(FSTS), there.get(IQH), memory.get32(status)]).toEqual([0, 48, 3]);
    expect(there.command(QIE, false)).toBe(0);
  });

  it("works off what an earlier unit had left, when the tail moves", () => {
    const { driver, put, memory, kernel } = guest();
    put(0, 0xfn);
    driver.set(IQT, 16);
    const bytes = kernel.snapshot();
    const idstr = Uint8Array.from("\x0biommu-intel", (character) => character.charCodeAt(0));
    const at = bytes.findIndex((_, i) => idstr.every((byte, j) => bytes[i + j] === byte)) + idstr.length + 8;
    expect(bytes[at + 36 + FSTS]).toBe(0x10);
    bytes[at + 36 + FSTS] = 0; // as QEMU saves it after the guest has cleared IQE
    const target = machine({}, memory);
    target.kernel.restore(bytes);
    const there = new Driver(target);
    put(0, ...wait(8));
    put(1, ...wait(9));
    expect(there.get(IQH)).toBe(0);
    there.set(IQT, 32);
    expect([there.get(IQH), memory.get32(status)]).toEqual([32, 9]);
  });
});
