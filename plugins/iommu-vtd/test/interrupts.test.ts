// Interrupt remapping: what is delivered, what is blocked and recorded, and what the interrupt-entry cache keeps.
import { decodeState, MigrationError } from "@godwit/core";
import { describe, expect, it } from "vitest";
import { interruptRemapper, type VtdIommuOptions, vtd } from "../src/index.ts";
import {
  CFI,
  Driver,
  FRCD,
  FSTS,
  GSTS,
  IQA,
  IQT,
  IRE,
  IRTA,
  machine,
  page2M,
  QIE,
  SIRTP,
  sectionOf,
  TestMemory,
} from "./support.ts";

const bdf = "00:04.0";
const sid = 0x20;
const table = 0x4_0000;
const queue = 0x3_0000;
/** An address in remappable format. */
const handle = (index: number, shv = false) =>
  (0xfee0_0010 | ((index & 0x7fff) << 5) | (index > 0x7fff ? 0x4 : 0) | (shv ? 0x8 : 0)) >>> 0;

function guest({
  size = 8,
  eime = false,
  on = true,
  memory = new TestMemory(page2M),
  ...options
}: Omit<Partial<VtdIommuOptions>, "memory"> & {
  size?: number;
  eime?: boolean;
  on?: boolean;
  memory?: TestMemory;
} = {}) {
  const made = machine({ intremap: true, ...options }, memory);
  const driver = new Driver(made);
  const entry = (index: number, low: bigint, high = 0n) => {
    memory.set64(table + 16 * index, low);
    memory.set64(table + 16 * index + 8, high);
  };
  driver.set64(IRTA, BigInt(table) | BigInt(Math.log2(size) - 1) | (eime ? 0x800n : 0n));
  driver.command(SIRTP);
  if (on) driver.command(IRE);
  let tail = 0;
  driver.set64(IQA, BigInt(queue));
  driver.command(QIE);
  const submit = (low: bigint, high = 0n) => {
    memory.set64(queue + 16 * tail, low);
    memory.set64(queue + 16 * tail + 8, high);
    tail++;
    driver.set(IQT, tail * 16);
  };
  return { ...made, driver, entry, submit, send: made.iommu.msiFor(bdf), table };
}

const vector = (v: number, more = 0n) => 1n | (BigInt(v) << 16n) | more;

describe("a device's interrupt", () => {
  it("is delivered as the table says, from IRE on", () => {
    const { driver, entry, send, messages, iommu } = guest({ on: false });
    entry(5, vector(0x41, 0x100n << 32n));
    send(handle(5), 0);
    expect(messages).toEqual([[handle(5), 0]]);
    expect(driver.command(IRE)).toBe(IRE + SIRTP + QIE);
    send(handle(5), 0);
    expect(messages[1]).toEqual([0xfee0_1000, 0x4041]);
    expect(iommu.remap(bdf, handle(5), 0)).toEqual({ address: 0xfee0_1000, upperAddress: 0, data: 0x4041, index: 5 });
    expect(driver.command(IRE, false)).toBe(SIRTP + QIE);
    send(handle(5), 7);
    expect(messages[2]).toEqual([handle(5), 7]);
    expect(iommu.statistics()).toMatchObject({ remapped: 2, blocked: 0 });
  });

  it("may have 32 bits of destination where the guest chose so", () => {
    const { entry, send, messages } = guest({ eim: true, eime: true });
    entry(1, vector(0x42, 0x1234_5678n << 32n) | 0xcn);
    send(handle(1), 0);
    expect(messages).toEqual([[0xfee7_800c, 0x4042, 0x1234_5600]]);
  });

  it("is taken as it is where it is none: another address", () => {
    const { iommu } = guest();
    expect(iommu.remap(bdf, 0xfed0_0010, 3)).toEqual({
      address: 0xfed0_0010,
      upperAddress: 0,
      data: 3,
      index: undefined,
    });
    expect(iommu.remap(bdf, 0x1_fee0_0010, 3)).toMatchObject({ address: 0xfee0_0010, upperAddress: 1 });
  });

  it("may have an index of 16 bits, and a subhandle", () => {
    const { entry, send, messages } = guest({ size: 0x1_0000 });
    entry(0x8003, vector(0x51));
    send(handle(0x8001, true), 2);
    send(handle(0x8003), 2);
    expect(messages).toEqual([
      [0xfee0_0000, 0x4051],
      [0xfee0_0000, 0x4051],
    ]);
  });
});

describe("a blocked interrupt", () => {
  it.each<[string, number, [address: number, data: number], [low: bigint, high: bigint], number]>([
    ["a subhandle of more than 16 bits", 0x20, [handle(5, true), 0x1_0000], [vector(0x41), 0n], 0],
    ["an index outside the table", 0x21, [handle(8), 0], [0n, 0n], 8],
    ["an entry that is not present", 0x22, [handle(5), 0], [0x41_0000n, 0n], 5],
    ["reserved bits of the entry", 0x24, [handle(5), 0], [vector(0x41, 0x1000n), 0n], 5],
    ["an entry in posted format", 0x24, [handle(5), 0], [vector(0x41, 0x8000n), 0n], 5],
    ["reserved bits above the vector", 0x24, [handle(5), 0], [vector(0x41, 1n << 24n), 0n], 5],
    ["reserved bits above the source", 0x24, [handle(5), 0], [vector(0x41), 1n << 20n], 5],
    ["reserved bits at the end", 0x24, [handle(5), 0], [vector(0x41), 1n << 63n], 5],
    ["validation of type 3", 0x24, [handle(5), 0], [vector(0x41), 0xc_0020n], 5],
    ["compatibility format", 0x25, [0xfee0_1004, 0x41], [0n, 0n], 0],
    ["another device's entry", 0x26, [handle(5), 0], [vector(0x41), 0x4_0021n], 5],
    ["another bus's entry", 0x26, [handle(5), 0], [vector(0x41), 0x8_0102n], 5],
  ])("is recorded with reason and index: %s", (_, reason, [address, data], [low, high], index) => {
    const { driver, entry, send, messages, iommu } = guest();
    entry(5, low, high);
    driver.set(0x38, 0);
    driver.set(0x3c, 0x99);
    driver.set(0x40, 0xfee0_0000);
    send(address, data);
    // The fault event is the unit's own, and not remapped.
    expect(messages).toEqual([[0xfee0_0000, 0x99]]);
    expect(driver.get(FSTS)).toBe(0x02);
    expect([driver.get(FRCD), driver.get(FRCD + 4)]).toEqual([0, index * 0x1_0000]);
    expect([driver.get(FRCD + 8), driver.get(FRCD + 12)]).toEqual([sid, 0x8000_0000 + reason]);
    expect(iommu.statistics()).toMatchObject({
      blocked: 1,
      remapped: 0,
      faults: 0,
      interruptEntries: reason === 0x26 ? 1 : 0,
    });
    expect(() => iommu.remap(bdf, address, data)).toThrow(expect.objectContaining({ code: "TRANSLATION_FAULT" }));
    expect(driver.get(FSTS)).toBe(0x03);
  });

  it("says where its table ends in memory", () => {
    const { driver, send, iommu } = guest();
    driver.set64(IRTA, 0x7000_0002n);
    driver.command(SIRTP);
    send(handle(1), 0);
    expect(driver.get(FRCD + 12)).toBe(0x8000_0023);
    expect(() => iommu.remap(bdf, handle(1), 0)).toThrow(
      "device 00:04.0 interrupts with 0x0 at 0xfee00030: the entry 1 of the interrupt-remapping table, at 0x70000010, is not in memory",
    );
  });

  it("is not recorded where its entry asks for that, but is where it has no entry", () => {
    const { driver, entry, send } = guest();
    for (const low of [0x41_0002n, vector(0x41, 0x1002n), vector(0x41, 0x2n)]) {
      entry(5, low, 0x4_0021n);
      send(handle(5), 0);
      expect([driver.get(FSTS), driver.get(FRCD + 12)]).toEqual([0, 0]);
    }
    send(handle(8), 0);
    expect(driver.get(FSTS)).toBe(0x02);
  });

  it("passes on what is no fault of the table", () => {
    const { memory, iommu } = guest();
    memory.read = () => {
      throw new RangeError("owed");
    };
    expect(() => iommu.remap(bdf, handle(5), 0)).toThrow(RangeError);
    expect(() => iommu.msiFor(bdf)(handle(5), 0)).toThrow(RangeError);
    memory.read = () => {
      throw new MigrationError("DEVICE_FAILED", "the memory's own");
    };
    expect(() => iommu.msiFor(bdf)(handle(5), 0)).toThrow(expect.objectContaining({ code: "DEVICE_FAILED" }));
    expect(iommu.statistics().blocked).toBe(0);
  });

  it.each([
    [0x4_0020n, [0x20], [0x21, 0x24, 0x28]],
    [0x5_0020n, [0x20, 0x24], [0x21, 0x22, 0x28]],
    [0x6_0020n, [0x20, 0x22, 0x24, 0x26], [0x21, 0x28]],
    [0x7_0020n, [0x20, 0x21, 0x27], [0x28, 0x120]],
    [0x8_0103n, [0x0100, 0x02ff, 0x0320], [0x00ff, 0x0400]],
    [0x0_1234n, [0, 0xffff], []],
  ])("is another source's: SVT, SQ and SID 0x%s", (source, allowed, denied) => {
    const { entry, iommu } = guest();
    entry(5, vector(0x41), source);
    for (const one of allowed) expect(iommu.remap(one, handle(5), 0).index).toBe(5);
    for (const one of denied) expect(() => iommu.remap(one, handle(5), 0)).toThrow(/is for other devices/);
  });
});

describe("compatibility format", () => {
  it("passes while the guest has CFI on, and destinations have 8 bits", () => {
    const { driver, send, messages } = guest();
    expect(driver.command(CFI)).toBe(IRE + SIRTP + QIE + CFI);
    send(0xfee0_1004, 0x41);
    expect(messages).toEqual([[0xfee0_1004, 0x41]]);
    expect(driver.command(CFI, false)).toBe(IRE + SIRTP + QIE);
    send(0xfee0_1004, 0x41);
    expect([messages.length, driver.get(FRCD + 12)]).toEqual([1, 0x8000_0025]);
  });

  it("never passes where destinations have 32 bits", () => {
    const { driver, send, messages, iommu } = guest({ eim: true, eime: true });
    driver.command(CFI);
    send(0xfee0_1004, 0x41);
    expect([messages.length, driver.get(FRCD + 12)]).toEqual([0, 0x8000_0025]);
    expect(() => iommu.remap(bdf, 0xfee0_1004, 0x41)).toThrow(/as destinations have 32 bits/);
  });

  it("always passes in a unit that does as QEMU's", () => {
    const { driver, send, messages } = guest({ eim: true, eime: true, compatibilityFormat: "pass" });
    expect(driver.command(CFI)).toBe(IRE + SIRTP + QIE);
    send(0xfee0_1004, 0x41);
    expect(messages).toEqual([[0xfee0_1004, 0x41]]);
  });
});

describe("the interrupt-entry cache", () => {
  it("keeps an entry until it is invalidated: all, one, or a range", () => {
    const { entry, submit, iommu, driver } = guest();
    const seen = () => iommu.remap(bdf, handle(5), 0).data & 0xff;
    let next = 0x40;
    const change = () => entry(5, vector(++next));
    change();
    expect(seen()).toBe(next);
    change();
    expect(seen()).toBe(next - 1);
    submit(0x14n | (4n << 32n));
    submit(0x14n | (6n << 32n) | (1n << 27n));
    submit(0x14n | (2n << 32n) | (2n << 27n));
    expect(seen()).toBe(next - 1);
    submit(0x14n | (5n << 32n));
    expect(seen()).toBe(next);
    change();
    submit(0x14n | (4n << 32n) | (1n << 27n));
    expect(seen()).toBe(next);
    change();
    submit(0x14n | (0n << 32n) | (3n << 27n));
    expect(seen()).toBe(next);
    change();
    expect(seen()).toBe(next - 1);
    submit(0x04n);
    expect(seen()).toBe(next);
    expect(driver.get(FSTS)).toBe(0);
  });

  it("does not keep what was not present", () => {
    const { entry, iommu } = guest();
    expect(() => iommu.remap(bdf, handle(5), 0)).toThrow(/is not present/);
    entry(5, vector(0x41));
    expect(iommu.remap(bdf, handle(5), 0).data).toBe(0x4041);
  });

  it("is left alone by invalidations of translations, and dropped by reset", () => {
    const { entry, submit, iommu, driver } = guest();
    entry(5, vector(0x41));
    iommu.remap(bdf, handle(5), 0);
    submit(0x11n);
    submit(0x12n);
    driver.command(0x8000_0000);
    expect(iommu.statistics().interruptEntries).toBe(1);
    iommu.reset();
    expect(iommu.statistics().interruptEntries).toBe(0);
  });

  it.each([
    ["reserved bits", 0x24n, 0n],
    ["reserved bits below the mask", 0x0400_0004n, 0n],
    ["reserved bits above the index", 0x1_0000_0000_0004n, 0n],
    ["reserved bits in the upper half", 0x04n, 1n],
  ])("stops the queue for %s", (_, low, high) => {
    const { driver, submit } = guest();
    submit(low, high);
    expect(driver.get(FSTS)).toBe(0x10);
  });

  it("does not migrate: the target sees the table as it is", () => {
    const { entry, iommu, kernel, memory } = guest();
    entry(5, vector(0x41));
    expect(iommu.remap(bdf, handle(5), 0).data).toBe(0x4041);
    entry(5, vector(0x42));
    expect(iommu.remap(bdf, handle(5), 0).data).toBe(0x4041);
    const target = machine({ intremap: true }, memory);
    target.kernel.restore(kernel.snapshot());
    expect(target.iommu.remap(bdf, handle(5), 0).data).toBe(0x4042);
    kernel.restore(kernel.snapshot());
    expect(iommu.statistics().interruptEntries).toBe(0);
    expect(iommu.remap(bdf, handle(5), 0).data).toBe(0x4042);
  });
});

describe("the remapper of a state", () => {
  it("remaps as the unit does, with nothing but memory", () => {
    const { entry, kernel, memory, iommu, driver } = guest({ eim: true, eime: true });
    for (let i = 0; i < 8; i++) entry(i, vector(0x60 + i, BigInt(i * 0x111) << 32n), 0n);
    const state = decodeState(vtd, sectionOf(kernel));
    expect(state).toMatchObject({ intr_root: BigInt(table), intr_size: 8, intr_enabled: true, intr_eime: true });
    const { remap } = interruptRemapper(state, memory);
    for (let i = 0; i < 8; i++) expect(remap(bdf, handle(i), 0)).toEqual(iommu.remap(bdf, handle(i), 0));
    expect(() => remap(bdf, handle(8), 0)).toThrow("expected an index below 8; found 8");
    expect(() => remap(bdf, 0xfee0_0000, 0)).toThrow(/compatibility format is blocked/);
    expect(interruptRemapper(state, memory, { compatibilityFormat: "pass" }).remap(bdf, 0xfee0_0000, 1).data).toBe(1);
    // A tool reads the table at every call, and the unit records its own faults only.
    entry(3, 0n);
    expect(() => remap(bdf, handle(3), 0)).toThrow(
      /entry 3 of the interrupt-remapping table, at 0x40030, is not present/,
    );
    expect([driver.get(FSTS), driver.get(GSTS)]).toEqual([0, IRE + SIRTP + QIE]);
  });
});
