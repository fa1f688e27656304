// The plugin's promises, by the conformance suite: a guest that has translation, the invalidation queue and the interrupt
// table at work, with faults that it has not looked at; in legacy mode, with interrupt remapping, and in scalable mode.
import { decodeState, isMigrationError } from "@godwit/core";
import { describePlugin } from "@godwit/testkit/vitest";
import fc from "fast-check";
import { describe } from "vitest";
import { type CapabilityOptions, type VtdState, vtd } from "../src/index.ts";
import {
  Driver,
  ECAP,
  FECTL,
  FSTS,
  GSTS,
  IECTL,
  IQA,
  IQH,
  IQT,
  IRE,
  IRTA,
  machine,
  machineIn,
  QIE,
  SIRTP,
  sectionOf,
  Tables,
  TestMemory,
} from "./support.ts";

const device = 0x0010;
const queue = 0x1000;
const interrupts = 0x2000;
const [waitAndTell, everyContext, everyPage, noSuchType] = [0x35n, 0x11n, 0x12n, 0x0fn];

const page = fc.bigInt({ min: 0n, max: 2n ** 40n - 1n }).map((number) => number * 4096n);
const registersOf = ({ csr }: VtdState) => new DataView(csr.buffer, csr.byteOffset);

/** What the state says beside the registers, and what GSTS, IQH, IQT and IQA say of the same. */
function statesOf(unit: CapabilityOptions, base: fc.Arbitrary<VtdState>): fc.Arbitrary<VtdState> {
  const { intremap = false, scalableMode = false } = unit;
  const fresh = decodeState(vtd, sectionOf(machine(unit).kernel));
  const only = (offered: boolean) => (offered ? fc.boolean() : fc.constant(false));
  const choice = fc.record({
    state: base,
    root: fc.option(page),
    table: fc.option(fc.record({ at: page, bits: fc.integer({ min: 1, max: 16 }), eime: fc.boolean() })),
    translates: fc.boolean(),
    remaps: only(intremap),
    cfi: only(intremap),
    queue: fc.record({ at: page, on: fc.boolean(), wide: only(scalableMode), bits: fc.nat(7), head: fc.nat(127) }),
    tail: fc.nat(0x3fff),
    type: fc.nat(0x7f),
  });
  return choice.map(
    ({ state, root, table, translates, remaps, cfi, queue: { at, on, wide, bits, head }, tail, type }) => {
      const csr = state.csr.slice();
      csr.set(fresh.csr.subarray(0, ECAP + 8));
      const view = registersOf({ ...state, csr });
      const set = (...flags: readonly (readonly [boolean, number])[]) =>
        flags.reduce((bits, [on, bit]) => (on ? bits | bit : bits), 0) >>> 0;
      const pointers = set([root !== null, 0x4000_0000], [table !== null, SIRTP]);
      view.setUint32(
        GSTS,
        pointers | set([translates, 0x8000_0000], [on, QIE], [remaps, IRE], [cfi, 0x0080_0000]),
        true,
      );
      view.setUint32(IQH, head * (wide ? 32 : 16), true);
      view.setUint32(IQT, tail * (wide ? 32 : 16), true);
      view.setUint32(IQA, (view.getUint32(IQA, true) & ~0x800) | (wide ? 0x800 : 0), true);
      return {
        ...state,
        csr,
        root: root ?? 0n,
        intr_root: table?.at ?? 0n,
        intr_size: table ? 2 ** table.bits : 0,
        intr_eime: table?.eime ?? false,
        iq: at,
        iq_size: 2 ** (bits + (wide ? 7 : 8)),
        iq_head: head,
        iq_tail: tail,
        iq_last_desc_type: type,
        next_frcd_reg: 0,
        dmar_enabled: translates,
        qi_enabled: on,
        intr_enabled: remaps,
      };
    },
  );
}

function expectFault(work: () => unknown): void {
  try {
    work();
  } catch (error) {
    if (!isMigrationError(error) || error.code !== "TRANSLATION_FAULT") throw error;
  }
}

describe.each<[string, CapabilityOptions]>([
  ["legacy", {}],
  ["remapping", { addressWidth: 48, cachingMode: true, deviceTlb: true, intremap: true, eim: true }],
  ["scalable", { intremap: true, scalableMode: true, pasid: true }],
])("%s", (name, unit) => {
  describePlugin({
    setup: (bench) => machineIn(bench, unit, new TestMemory(0x1_0000)),
    exercise(made, random) {
      const { memory, iommu } = made;
      const driver = new Driver(made);
      const tables = new Tables(memory, 0x4000);
      const table = tables.attach(device, random.int(0x100), 3);
      for (const at of [1, 2, 3]) tables.map(table, 3, at * 4096, 0x3000, BigInt(random.int(4)));
      driver.enable(tables.root);
      const isWide = unit.scalableMode === true && random.bool();
      driver.set64(IQA, BigInt(queue | (isWide ? 0x800 : 0)));
      driver.command(QIE);
      const descriptors = 1 + random.int(8);
      for (let at = 0; at < descriptors; at++) {
        const low = random.pick([waitAndTell, everyContext, everyPage, random.bool() ? everyPage : noSuchType]);
        memory.set64(queue + at * (isWide ? 32 : 16), low);
        memory.set64(queue + at * (isWide ? 32 : 16) + 8, low === waitAndTell ? 0x3800n : 0n);
      }
      driver.set(IQT, descriptors * (isWide ? 32 : 16));
      if (unit.intremap) {
        driver.set64(IRTA, BigInt(interrupts | random.int(8) | (random.bool() ? 0x800 : 0)));
        driver.command(SIRTP);
        driver.command(IRE);
        iommu.msiFor(device)(0xfee0_0010, random.int(0x100));
      }
      driver.set(FECTL, random.bool() ? 0 : 0x8000_0000);
      driver.set(IECTL, random.bool() ? 0 : 0x8000_0000);
      const dma = iommu.dmaFor(device);
      for (let accesses = random.int(5); accesses > 0; accesses--) {
        expectFault(() => dma.read(random.int(5) * 4096, 4));
        expectFault(() => dma.write(random.int(5) * 4096, random.bytes(4)));
      }
      if (random.int(4) === 0) driver.set(FSTS, 0x11);
    },
    arbitrary: { "iommu-intel": (base: fc.Arbitrary<VtdState>) => statesOf(unit, base) },
    states: 30,
    goldens: new URL(`../goldens/${name}/`, import.meta.url),
    sources: new URL("../src/", import.meta.url),
  });
});
