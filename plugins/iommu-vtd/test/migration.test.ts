// The unit in a kernel: saved and loaded in the middle of its work, checked, and depended on.

import { readFileSync } from "node:fs";
import { type DeviceInit, MigrationError, u32, u64n, vmstate } from "@godwit/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkVtdState, type Ram, type VtdState, vtdIommu } from "../src/index.ts";
import {
  CAP,
  Driver,
  ECAP,
  FECTL,
  FRCD,
  FSTS,
  GSTS,
  IQA,
  IQH,
  IQT,
  type Machine,
  machine,
  page2M,
  QIE,
  R,
  stateAt,
  Tables,
  TestMemory,
  W,
} from "./support.ts";

const device = 0x0010;
const queue = 0x3_0000;

/** A guest that has the unit at work: tables, a queue with two descriptors behind it, and a fault to be looked at. */
function working() {
  const source = machine();
  const tables = new Tables(source.memory);
  const table = tables.attach(device, 7, 3);
  for (const page of [1, 2, 3]) tables.map(table, 3, page * 4096, 0x9000 + page * 4096, R | W);
  const driver = new Driver(source);
  driver.enable(tables.root);
  driver.set64(IQA, BigInt(queue));
  driver.command(QIE);
  const put = (memory: TestMemory, at: number, low: bigint, high: bigint) => {
    memory.set64(queue + 16 * at, low);
    memory.set64(queue + 16 * at + 8, high);
  };
  put(source.memory, 0, 0x12n, 0n);
  put(source.memory, 1, 0x5_0000_0025n, 0x8000n);
  driver.set(IQT, 32);
  const dma = source.iommu.dmaFor(device);
  dma.write(0x1000, Uint8Array.of(1, 2, 3));
  expect(() => dma.read(0x7000, 1)).toThrow(expect.objectContaining({ code: "TRANSLATION_FAULT" }));
  return { source, tables, table, put };
}

function copyOf({ memory }: Machine): TestMemory {
  const copy = new TestMemory(memory.bytes.length);
  copy.bytes.set(memory.bytes);
  return copy;
}

const allRegisters = (of: Machine) => Array.from({ length: 0x230 / 4 }, (_, i) => new Driver(of).get(4 * i));

/** The plugin in a kernel that only keeps what the unit registered. */
function captured(ram: Ram) {
  let init: DeviceInit<VtdState> | undefined;
  const { kernel } = machine();
  const offer = vtdIommu({ memory: ram }).setup({
    clock: kernel.clock,
    iterable: kernel.iterable,
    kind: kernel.kind,
    retired: kernel.retired,
    split: kernel.split,
    merged: kernel.merged,
    device: (_, given) => {
      init = given as unknown as DeviceInit<VtdState>;
      return { idstr: "iommu-intel", instance: 3, sectionId: 9, remove() {} };
    },
  });
  return { offer, init: init as unknown as DeviceInit<VtdState> };
}

describe("save and load", () => {
  it("go on where the guest was: translation, queue, fault record", () => {
    const { source, put } = working();
    const target = machine({}, copyOf(source));
    target.kernel.restore(source.kernel.snapshot());
    expect(allRegisters(target)).toEqual(allRegisters(source));
    const driver = new Driver(target);
    expect(driver.get(GSTS)).toBe(0xc400_0000);
    expect([driver.get(IQH), driver.get(FSTS), driver.get(FRCD + 8)]).toEqual([32, 2, device]);
    expect(target.iommu.dmaFor(device).read(0x1000, 3)).toEqual(Uint8Array.of(1, 2, 3));

    put(target.memory, 2, 0x9_0000_0025n, 0x8000n);
    driver.set(IQT, 48);
    expect([driver.get(IQH), target.memory.get32(0x8000)]).toEqual([48, 9]);
    driver.set(FECTL, 0);
    expect(target.messages.length).toBe(1);
    driver.set(FRCD + 12, 0x8000_0000);
    expect(driver.get(FSTS)).toBe(0);
    expect(source.messages).toEqual([]);
    expect(new Driver(source).get(FSTS)).toBe(2);
  });

  it("leave the caches behind, on both sides", () => {
    const { source, tables, table } = working();
    const dma = source.iommu.dmaFor(device);
    dma.read(0x2000, 1);
    expect(source.iommu.statistics()).toMatchObject({ iotlbEntries: 2, contextEntries: 1 });
    const bytes = source.kernel.snapshot();
    // The entry changes without an invalidation: the source may still use the old one, a target never saw it.
    source.memory.bytes[0xb000] = 11;
    source.memory.bytes[0xf000] = 15;
    tables.map(table, 3, 0x2000, 0xf000);
    expect(dma.read(0x2000, 1)).toEqual(Uint8Array.of(11));
    const target = machine({}, copyOf(source));
    target.kernel.restore(bytes);
    expect(target.iommu.statistics()).toMatchObject({ iotlbEntries: 0, contextEntries: 0, hits: 0 });
    expect(target.iommu.dmaFor(device).read(0x2000, 1)).toEqual(Uint8Array.of(15));
    source.kernel.restore(bytes);
    expect(source.iommu.statistics()).toMatchObject({ iotlbEntries: 0, contextEntries: 0 });
    expect(dma.read(0x2000, 1)).toEqual(Uint8Array.of(15));
  });

  it("refuse a unit that can do other things, and change nothing", () => {
    const { source } = working();
    const bytes = source.kernel.snapshot();
    for (const [options, path, found] of [
      [{ addressWidth: 48 }, `csr[${CAP}]`, "0x22260206"],
      [{ cachingMode: true }, `csr[${CAP}]`, "0x22260206"],
      [{ passThrough: false }, `csr[${ECAP}]`, "0xf42"],
    ] as const) {
      const target = machine(options);
      const before = allRegisters(target);
      expect(() => target.kernel.restore(bytes)).toThrow(
        expect.objectContaining({
          code: "DEVICE_CHECK",
          found,
          location: expect.objectContaining({ section: "iommu-intel/0", path }),
        }),
      );
      expect(allRegisters(target)).toEqual(before);
    }
  });
});

describe("the check of a state", () => {
  const set32 = (state: VtdState, offset: number, value: number) =>
    new DataView(state.csr.buffer, state.csr.byteOffset).setUint32(offset, value, true);

  /** A state with translation and queue on, as the guest of these tests has it. */
  const base = (): VtdState => {
    const state = { ...stateAt(0x10_0000, { cap: 0x00d2_008c_2226_0206n }), qi_enabled: true };
    set32(state, 0x1c, 0xc400_0000);
    set32(state, 0x80, 0x20);
    set32(state, 0x88, 0x30);
    set32(state, 0x90, queue);
    return { ...state, iq: BigInt(queue), iq_size: 256, iq_head: 2, iq_tail: 3, iq_last_desc_type: 5 };
  };

  it("takes what a unit saves, new or at work", () => {
    expect(() => checkVtdState(captured(machine().ram).init.save())).not.toThrow();
    expect(() => checkVtdState(base())).not.toThrow();
  });

  it("takes what a guest may do: registers written again, a tail outside with its error", () => {
    const state = base();
    set32(state, 0x20, 0x77_7000);
    set32(state, 0x90, 0x7);
    expect(() => checkVtdState(state)).not.toThrow();
    const stuck = { ...base(), iq_tail: 300 };
    set32(stuck, 0x88, 300 * 16);
    set32(stuck, 0x34, 0x10);
    expect(() => checkVtdState(stuck)).not.toThrow();
    // The guest has cleared IQE, and QEMU's unit does not look at the tail again before the guest moves it.
    set32(stuck, 0x34, 0);
    expect(() => checkVtdState(stuck)).not.toThrow();
  });

  it.each<[string, (state: VtdState) => Partial<VtdState> | undefined, string, string]>([
    ["dmar_enabled", () => ({ dmar_enabled: false }), "true", "false"],
    ["qi_enabled", () => ({ qi_enabled: false }), "true", "false"],
    ["intr_enabled", () => ({ intr_enabled: true }), "false", "true"],
    ["root", () => ({ root: 0x1234n }), "a page's address below 2^52", "0x1234"],
    ["root", () => ({ root: 1n << 52n }), "a page's address below 2^52", "0x10000000000000"],
    ["root", (state) => void set32(state, 0x1c, 0x8400_0000), "0x0", "0x100000"],
    ["intr_root", () => ({ intr_root: 0x5000n }), "0x0", "0x5000"],
    ["intr_size", () => ({ intr_size: 2 }), "0 before SIRTP has set a table", "2"],
    ["iq", () => ({ iq: 0x10n }), "a page's address below 2^52", "0x10"],
    ["iq_size", () => ({ iq_size: 200 }), "a power of two from 256 to 32768", "200"],
    ["iq_size", () => ({ iq_size: 0 }), "a power of two from 256 to 32768", "0"],
    ["iq_size", () => ({ iq_size: 128 }), "a power of two from 256 to 32768", "128"],
    ["iq_head", (state) => Object.assign(state, { iq_head: 256 }, set32(state, 0x80, 0x1000)), "0 to 255", "256"],
    ["iq_head", () => ({ iq_head: 5 }), "2", "5"],
    ["iq_tail", () => ({ iq_tail: 5 }), "3", "5"],
    ["iq_last_desc_type", () => ({ iq_last_desc_type: 0x80 }), "a type of at most 7 bits", "128"],
    ["csr[28]", (state) => void set32(state, 0x1c, 0xc408_0000), "bits of 0xc7800000", "0xc4080000"],
    ["next_frcd_reg", () => ({ next_frcd_reg: 1 }), "0 to 0", "1"],
    ["csr[8]", (state) => void set32(state, CAP, 0x2326_0206), "an end of at most 0x230", "1 from 0x230 on"],
  ])("refuses a wrong %s", (path, damage, expected, found) => {
    const state = base();
    const wrong = { ...state, ...damage(state) };
    expect(() => checkVtdState(wrong)).toThrow(
      expect.objectContaining({ code: "DEVICE_CHECK", expected, found, location: expect.objectContaining({ path }) }),
    );
  });

  it("is run before a load", () => {
    const { source } = working();
    const bytes = source.kernel.snapshot();
    const idstr = Uint8Array.from("\x0biommu-intel", (c) => c.charCodeAt(0));
    const at = bytes.findIndex((_, i) => idstr.every((byte, j) => bytes[i + j] === byte)) + idstr.length + 8;
    bytes[at + 29] = 99; // iq_head
    const target = machine({}, copyOf(source));
    expect(() => target.kernel.restore(bytes)).toThrow(
      expect.objectContaining({ code: "DEVICE_CHECK", location: expect.objectContaining({ path: "iq_head" }) }),
    );
    expect(new Driver(target).get(GSTS)).toBe(0);
  });

  it("keeps a queue that passes inside its memory", () => {
    let passed = 0;
    const queueFields = fc.record({
      iq_size: fc.constantFrom(0, 128, 256, 300, 512),
      iq_head: fc.nat(300),
      iq_tail: fc.nat(300),
    });
    fc.assert(
      fc.property(queueFields, fc.boolean(), fc.nat(0x7fff), (fields, error, tail) => {
        const memory = new TestMemory(page2M);
        const fetched: number[] = [];
        const read = (gpa: number, length: number) => {
          fetched.push(gpa);
          return memory.read(gpa, length);
        };
        // A queue of waits without effect.
        for (let at = 0; at < 256; at++) memory.set64(queue + 16 * at, 5n);
        const { init, offer } = captured({ memory: { read, write: () => {} }, after: [], staged: () => memory });
        const state = { ...base(), ...fields };
        set32(state, 0x80, fields.iq_head * 16);
        set32(state, 0x88, fields.iq_tail * 16);
        if (error) set32(state, 0x34, 0x10);
        try {
          init.check?.(state, { offer: () => undefined as never });
        } catch (refusal) {
          expect(refusal).toMatchObject({ code: "DEVICE_CHECK" });
          return;
        }
        passed++;
        init.load(state);
        offer.mmio.write(FSTS, 4, 0x10);
        offer.mmio.write(IQT, 4, 16 * tail);
        for (const gpa of fetched) {
          expect(gpa).toBeGreaterThanOrEqual(queue);
          expect(gpa).toBeLessThan(queue + 16 * fields.iq_size);
        }
        const ended = offer.mmio.read(IQH, 4) / 16;
        expect(ended === tail || offer.mmio.read(FSTS, 4) === 0x10).toBe(true);
      }),
      { seed: 20263, numRuns: 200 },
    );
    expect(passed).toBeGreaterThan(20);
  });
});

describe("a device behind the unit", () => {
  const probe = vmstate({ name: "probe", version: 1, fields: { ring: u64n, magic: u32 } });
  const magic = 0x600d_cafe;
  const ring = 0x5000;

  /** A machine with a device whose check reads its ring through the incoming unit. */
  function assemble(wrongOrder: boolean, memory = new TestMemory(4 * page2M), arrived = memory) {
    const path = "0000:00:02.0";
    const made = machine(wrongOrder ? { after: [`${path}/probe`] } : {}, memory, arrived);
    const dma = made.iommu.dmaFor(device, { ordered: !wrongOrder });
    const loads: unknown[] = [];
    made.kernel.device(probe, {
      path,
      after: dma.after,
      save: () => ({ ring, magic }),
      check: (state, view) => {
        const bytes = dma.staged(view).read(state.ring, 4);
        const found = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
        if (found === state.magic) return undefined;
        throw new MigrationError("DEVICE_CHECK", "this is not the ring", { path: "ring", found: String(found) });
      },
      load: (state) => loads.push(state),
    });
    return { ...made, loads };
  }

  function sourceWith(translation: boolean) {
    const source = assemble(false);
    const tables = new Tables(source.memory);
    tables.map(tables.attach(device, 7, 3), 3, ring, 0x9000);
    source.memory.set64(translation ? 0x9000 : ring, BigInt(magic));
    if (translation) new Driver(source).enable(tables.root);
    return source;
  }

  it("is checked against the incoming unit's tables and the memory that arrived, not the local ones", () => {
    const source = sourceWith(true);
    const target = assemble(false, new TestMemory(4 * page2M), copyOf(source));
    const report = target.kernel.restore(source.kernel.snapshot());
    expect(target.loads).toEqual([{ ring, magic }]);
    const order = report.loadOrder;
    expect(order.indexOf("iommu-intel/0")).toBeLessThan(order.indexOf("0000:00:02.0/probe/0"));
  });

  it("finds no ring where the unit is loaded after it", () => {
    const source = sourceWith(true);
    const bytes = source.kernel.snapshot();
    const target = assemble(true, new TestMemory(4 * page2M), copyOf(source));
    expect(() => target.kernel.restore(bytes)).toThrow(
      expect.objectContaining({
        code: "DEVICE_CHECK",
        found: "0",
        location: expect.objectContaining({ section: "0000:00:02.0/probe/0", path: "ring" }),
      }),
    );
    expect([target.loads, new Driver(target).get(GSTS)]).toEqual([[], 0]);
    const ordered = assemble(false, new TestMemory(4 * page2M), copyOf(source));
    ordered.kernel.restore(bytes);
    expect(ordered.loads.length).toBe(1);
  });

  it("finds its ring in the wrong order, too, while the guest has translation off", () => {
    const source = sourceWith(false);
    const target = assemble(true, new TestMemory(4 * page2M), copyOf(source));
    const { loadOrder } = target.kernel.restore(source.kernel.snapshot());
    expect(target.loads.length).toBe(1);
    expect(loadOrder.indexOf("0000:00:02.0/probe/0")).toBeLessThan(loadOrder.indexOf("iommu-intel/0"));
  });

  it("is refused where a table is missing, with the walk's own words", () => {
    const source = sourceWith(true);
    const arrived = copyOf(source);
    const tables = new Tables(arrived);
    arrived.bytes.fill(0, tables.root, tables.root + 16);
    const target = assemble(false, new TestMemory(4 * page2M), arrived);
    expect(() => target.kernel.restore(source.kernel.snapshot())).toThrow(
      expect.objectContaining({
        code: "TRANSLATION_FAULT",
        detail: "device 00:02.0 reads 0x5000: the root entry of bus 0 at 0x100000 is not present",
        location: expect.objectContaining({ section: "0000:00:02.0/probe/0" }),
      }),
    );
    expect(target.iommu.statistics().faults).toBe(0);
  });

  it("waits for memory and for the unit, or for memory alone", () => {
    const memory = new TestMemory(page2M);
    const { offer, init } = captured({ memory, after: [{ idstr: "ram", instance: 0 }], staged: () => memory });
    expect(init.after).toEqual([{ idstr: "ram", instance: 0 }]);
    expect(offer.dmaFor("00:02.0").after).toEqual([
      { idstr: "iommu-intel", instance: 3 },
      { idstr: "ram", instance: 0 },
    ]);
    expect(offer.dmaFor("00:02.0", { ordered: false }).after).toEqual([{ idstr: "ram", instance: 0 }]);
  });
});

describe("the plugin", () => {
  it("says which it is", () => {
    const { name, version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
    const plugin = vtdIommu({ memory: machine().ram });
    expect(plugin).toMatchObject({ name, version, contract: 2 });
  });
});
