// Sections with instance parameters that no supplied stream has: written, read, inferred, and refused.
import {
  type Description,
  type DescriptionFamily,
  decodeRecord,
  decodeState,
  encodeRecord,
  encodeState,
  isMigrationError,
  listState,
  type StateOf,
  type VmdescDialect,
  Writer,
} from "@godwit/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  hotplugLog,
  icsFamily,
  type PlatformState,
  phbFamily,
  platformState,
  type SpaprParameters,
  type SpaprState,
  spaprFamily,
  spaprSection,
  spaprStandard,
  spaprXiveFamily,
  tceTableFamily,
  vtyFamily,
} from "../src/index.ts";
import { pci } from "./support/machine.ts";

function refusal(run: () => unknown): unknown[] {
  try {
    run();
  } catch (error) {
    if (isMigrationError(error)) return [error.code, error.location.path];
    throw error;
  }
  throw new Error("nothing was thrown");
}

const vmdescDialect: VmdescDialect = "7.2";

/** Through a family: the parameters come back from the bytes, with a footer behind them and without, and the bytes too. */
function roundTrip<P, D extends Description>(
  family: DescriptionFamily<P, D>,
  parameters: P,
  state: StateOf<D>,
  { version = family.build(parameters).version, found = parameters }: { version?: number; found?: P } = {},
): Uint8Array {
  const description = family.build(parameters);
  const bytes = encodeState(description, state as never).slice();
  const sample = { idstr: family.name, instance: 0, version, bytes };
  expect(family.infer(sample)).toEqual(found);
  expect(family.infer({ ...sample, bytes: Uint8Array.of(...bytes, 0x7e, 0, 0, 0, 1, 4, 0) })).toEqual(found);
  const inferred = family.build(family.infer(sample));
  expect(encodeRecord(inferred, decodeRecord(inferred, bytes))).toEqual(bytes);
  expect(encodeState(inferred, decodeState(inferred, bytes) as never)).toEqual(bytes);
  expect(decodeState(inferred, bytes)).toEqual(state);
  return bytes;
}

const event = hotplugLog({ action: "add", target: { index: pci }, logId: 0, time: 0n });
function stateWith(more: Partial<PlatformState & SpaprState>, parameters: Partial<SpaprParameters> = {}): SpaprState {
  return { ...platformState(parameters), pendingEvents: { pending_events: [] }, ...more };
}

describe("the section spapr", () => {
  it("has every subsection, in QEMU's order", () => {
    const parameters: SpaprParameters = {
      dialect: "10.0",
      irqMapBits: 3328,
      optionVector: true,
      capabilities: [],
      ccs: true,
    };
    const cap = (value: number) => ({ value });
    const ov5 = new Uint8Array(256);
    ov5[5] = 0x24;
    const irq_map = new Uint8Array(416);
    // Interrupts 0, 1, 2 and 65 are taken.
    irq_map[0] = 7;
    irq_map[8] = 2;
    const state: SpaprState = {
      rtc_offset: 0n,
      tb: { guest_timebase: 0x0000_32e8_413a_cae9n, time_of_the_day_ns: 1_795_266_732_123_456_789n },
      optionVector: { ov5_cas: { bitmap: ov5 } },
      patb: { patb_entry: 0x8000_0000_0123_0004n },
      pendingEvents: { pending_events: [event, { summary: 1, extended_length: 0, extended_log: new Uint8Array(0) }] },
      capHtm: cap(1),
      capVsx: cap(0),
      capDfp: cap(0),
      capCfpc: cap(2),
      capSbbc: cap(2),
      capIbs: cap(4),
      capHptMaxpagesize: cap(24),
      irqMap: { irq_map },
      capNestedKvmHv: cap(1),
      dtb: { fdt_initial_size: 5, fdt_size: 3, fdt_blob: Uint8Array.of(5, 0x7e, 5) },
      capLargeDecr: cap(0),
      capCcfAssist: cap(0),
      capFwnmi: cap(0),
      fwnmi: {
        fwnmi_system_reset_addr: 0x5000n,
        fwnmi_machine_check_addr: 0x6000n,
        fwnmi_machine_check_interlock: 1,
      },
      capRptInvalidate: cap(1),
      capAilMode3: cap(1),
      capNestedPapr: cap(1),
      capDawr1: cap(1),
      spaprccslist: { ccs_list: [{ drc_index: pci, fdt_offset: 24, fdt_depth: 1 }] },
    };
    const bytes = roundTrip(spaprFamily, parameters, state);
    const { subsections = [] } = listState(new Writer(), spaprSection(parameters), state, vmdescDialect);
    expect(subsections.map(({ vmsd_name }) => vmsd_name)).toEqual([
      "spapr_option_vector_ov5_cas",
      "spapr_patb_entry",
      "spapr_pending_events",
      "spapr/cap/htm",
      "spapr/cap/vsx",
      "spapr/cap/dfp",
      "spapr/cap/cfpc",
      "spapr/cap/sbbc",
      "spapr/cap/ibs",
      "spapr/cap/hpt_maxpagesize",
      "spapr_irq_map",
      "spapr/cap/nested_kvm_hv",
      "spapr_dtb",
      "spapr/cap/large_decr",
      "spapr/cap/ccf_assist",
      "spapr/cap/fwnmi",
      "spapr_fwnmi",
      "spapr/cap/rpt_invalidate",
      "spapr/cap/ail_mode_3",
      "spapr/cap/nested_papr",
      "spapr/cap/dawr1",
      "spaprccslist",
    ]);
    const at = Buffer.from(bytes).indexOf("spaprccslist") + 12;
    expect([...bytes.subarray(at)]).toEqual([0, 0, 0, 1, 1, 0x40, 0, 0, 0x10, 0, 0, 0, 24, 0, 0, 0, 1, 0]);
    const map = Buffer.from(bytes).indexOf("spapr_irq_map") + 17;
    expect([...bytes.subarray(map, map + 16)]).toEqual([0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 2]);
    const sizes = Object.fromEntries(subsections.map(({ vmsd_name, fields }) => [vmsd_name, fields]));
    expect(sizes["spapr_irq_map"]).toEqual([{ name: "irq_map", type: "bitmap", size: 416 }]);
    expect(sizes["spapr/cap/fwnmi"]).toEqual([{ name: "mig.caps[0x0A]", type: "uint8", size: 1 }]);
    expect(sizes["spaprccslist"]).toMatchObject([
      { name: "ccs_list", type: "qtailq", vmsd_name: "spaprconfigureconnectorstate", version: 1, size: 14 },
    ]);
    const unknown = refusal(() => decodeRecord(spaprSection({ ...parameters, dialect: "7.2" }), bytes));
    expect(unknown[0]).toBe("SUBSECTION_UNKNOWN");
  });

  it("has none of them where nothing asks for one", () => {
    const parameters: SpaprParameters = { ...spaprStandard, optionVector: false, capabilities: [] };
    const bytes = roundTrip(spaprFamily, parameters, stateWith({}));
    expect([...bytes]).toEqual(new Array(16).fill(0));
  });

  it("of versions 1 and 2 has an offset of the clock, and from 2 on a time base", () => {
    const one = Uint8Array.of(9, 9, 9, 9, 0, 0, 0, 0, 0, 0, 1, 0);
    const two = Uint8Array.of(...one, ...new Array(15).fill(0), 7);
    for (const [version, bytes] of [
      [1, one],
      [2, two],
    ] as const) {
      const description = spaprFamily.build(spaprFamily.infer({ idstr: "spapr", instance: 0, version, bytes }));
      const state = decodeState(description, bytes, { version });
      expect([state.rtc_offset, state.tb.time_of_the_day_ns]).toEqual([256n, version === 2 ? 7n : 0n]);
      const record = decodeRecord(description, bytes, { version });
      expect(encodeRecord(description, record, version)).toEqual(bytes);
    }
  });

  it("finds its parameters whatever they are", () => {
    const names = ["htm", "vsx", "hpt_maxpagesize", "large_decr"] as const;
    const parameters = fc.record({
      dialect: fc.constant("7.2" as const),
      words: fc.integer({ min: 1, max: 70 }),
      optionVector: fc.boolean(),
      capabilities: fc.subarray([...names]),
      ccs: fc.boolean(),
      events: fc.nat(3),
      walks: fc.nat(3),
      dtb: fc.uint8Array({ maxLength: 40 }),
    });
    fc.assert(
      fc.property(parameters, ({ words, events, walks, dtb, ...rest }) => {
        const irqMapBits = 64 * words;
        const irq_map = new Uint8Array(8 * words);
        irq_map[8 * words - 1] = 0x80;
        const ccs = rest.ccs && walks > 0;
        const state = stateWith({
          irqMap: { irq_map },
          dtb: { fdt_initial_size: 1, fdt_size: dtb.length, fdt_blob: dtb },
          pendingEvents: { pending_events: Array.from({ length: events }, () => event) },
          ...(ccs && {
            spaprccslist: {
              ccs_list: Array.from({ length: walks }, (_, i) => ({ drc_index: i, fdt_offset: 5, fdt_depth: 1 })),
            },
          }),
        });
        if (dtb.length === 0) state.dtb.fdt_initial_size = 0;
        roundTrip(spaprFamily, { ...rest, ccs, irqMapBits }, state);
      }),
      { seed: 4, numRuns: 20 },
    );
  });

  it("says where its parameters cannot be found", () => {
    const parameters = { ...spaprStandard, irqMapBits: 640 };
    const irq_map = new Uint8Array(80).fill(0xff);
    const bytes = encodeState(spaprSection(parameters), stateWith({ irqMap: { irq_map } })).slice();
    const infer = (of: Uint8Array) =>
      refusal(() => spaprFamily.infer({ idstr: "spapr", instance: 0, version: 3, bytes: of }));
    const map = Buffer.from(bytes).indexOf("spapr_irq_map") + 17;
    // A word of the map that looks like a footer, and no vmdesc.
    expect(infer(Uint8Array.of(...bytes.with(map + 16, 0x7e), 0x7e, 0))).toEqual([
      "PARAMETER_AMBIGUOUS",
      "spapr_irq_map",
    ]);
    const vmdesc = {
      name: "spapr",
      instance_id: 0,
      ...listState(new Writer(), spaprSection(parameters), stateWith({ irqMap: { irq_map } }), vmdescDialect),
    };
    const told = { idstr: "spapr", instance: 0, version: 3, bytes: bytes.with(map + 16, 0x7e), vmdesc };
    expect(spaprFamily.infer(told as never)).toEqual(parameters);
    expect(infer(bytes.subarray(0, bytes.length - 4))).toEqual(["PARAMETER_WRONG", "spapr_irq_map"]);
    expect(infer(bytes.with(Buffer.from(bytes).indexOf("spapr_irq_map") + 6, 0x78))[0]).toBe("PARAMETER_WRONG");
  });
});

describe("other sections of a pseries machine", () => {
  it("ics", () => {
    const irq = { server: 1, priority: 5, saved_priority: 255, status: 2, flags: 1 };
    const bytes = roundTrip(icsFamily, { irqs: 2 }, { nr_irqs: 2, irqs: [irq, { ...irq, server: 0x0102_0304 }] });
    expect([...bytes.subarray(0, 12)]).toEqual([0, 0, 0, 2, 0, 0, 0, 1, 5, 255, 2, 1]);
    expect(refusal(() => decodeState(icsFamily.build({ irqs: 3 }), bytes))).toEqual(["FIELD_UNEQUAL", "nr_irqs"]);
  });

  it("spapr_pci, whose bridge gave three interrupts to one device", () => {
    // The bytes that QEMU 7.2 wrote after ibm,change-msi of three vectors for the function at 01.0.
    const bytes = Buffer.from(
      "080000002000000000001200000012010000120200001203" + "00000001" + "000008000000130400000003",
      "hex",
    );
    const parameters = { buid: 0x0800_0000_2000_0000n, lsis: [0x1200, 0x1201, 0x1202, 0x1203] as const };
    const whole = roundTrip(
      phbFamily,
      { ...parameters, lsis: [...parameters.lsis] },
      {
        buid: parameters.buid,
        lsi_table: parameters.lsis.map((irq) => ({ irq })),
        msi_devs_num: 1,
        msi_devs: [{ key: 0x800, first_irq: 0x1304, num: 3 }],
      },
    );
    expect([...whole]).toEqual([...bytes]);
    const other = phbFamily.build({ ...parameters, lsis: [0x1200, 0x1201, 0x1202, 0x1204] });
    expect(refusal(() => decodeState(other, whole))).toEqual(["FIELD_CHECK", "lsi_table"]);
    const elsewhere = phbFamily.build({ ...parameters, buid: 1n });
    expect(refusal(() => decodeState(elsewhere, whole))).toEqual(["FIELD_UNEQUAL", "buid"]);
  });

  it("spapr_iommu with a window of its own, and of version 2", () => {
    const state = {
      liobn: 0x8000_0001,
      mig_nb_table: 2,
      bypass: true,
      mig_table: BigUint64Array.of(1n, 2n ** 64n - 1n),
      def_win: true,
      ex: { bus_offset: 0x0800_0000_0000_0000n, page_shift: 16 },
    };
    const bytes = roundTrip(tceTableFamily, { liobn: 0x8000_0001 }, state);
    expect(bytes.length).toBe(9 + 16 + 1 + (2 + 14 + 4 + 12));
    const description = tceTableFamily.build({ liobn: 7 });
    const old = Uint8Array.of(0, 0, 0, 7, 0, 0, 0, 0, 1);
    expect(decodeState(description, old, { version: 2 })).toMatchObject({
      bypass: true,
      def_win: false,
      ex: { page_shift: 12 },
    });
  });

  it("spapr-xive of one CPU", () => {
    const end = { w0: 1, w1: 2, w2: 3, w3: 4, w4: 5, w5: 6, w6: 7, w7: 8 };
    const state = { nr_irqs: 3, eat: [1n, 2n, 3n].map((w) => ({ w })), endt: Array.from({ length: 8 }, () => end) };
    const bytes = roundTrip(spaprXiveFamily, { irqs: 3, ends: 8 }, state);
    const sample = { idstr: "spapr-xive", instance: 0, version: 1, bytes };
    expect(refusal(() => spaprXiveFamily.infer({ ...sample, bytes: bytes.subarray(0, 100) }))).toEqual([
      "PARAMETER_WRONG",
      "ends",
    ]);
    const twice = Uint8Array.of(...bytes, 0x7e, ...new Array(255).fill(0), 0x7e);
    expect(refusal(() => spaprXiveFamily.infer({ ...sample, bytes: twice }))).toEqual(["PARAMETER_AMBIGUOUS", "ends"]);
  });

  it("spapr_vty at another address", () => {
    const sdev = { reg: 0x7100_0002, irq: 9, signal_state: 1n, crq_qladdr: 2n, crq_qsize: 3, crq_qnext: 4 };
    const state = { sdev, in: 5, out: 4, buf: new Uint8Array(16).fill(7) };
    roundTrip(vtyFamily, { reg: 0x7100_0002, irq: 9 }, state);
  });
});
