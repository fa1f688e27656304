// The sections of pseries machines that QEMU wrote: decoded with parameters that are found, and encoded to the same bytes.
import {
  type DescriptionFamily,
  decodeRecord,
  decodeState,
  encodeRecord,
  encodeState,
  listState,
  type SectionSample,
  Writer,
} from "@godwit/core";
import { haveStreams } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { spaprFamilies, spaprFamily } from "../src/index.ts";
import { familyName, fullSections, pseriesStreams, vmdescDevices } from "./support/sections.ts";

const families = new Map(
  (spaprFamilies as readonly unknown[] as readonly DescriptionFamily<unknown>[]).map((one) => [one.name, one]),
);

const described = {
  "pseries-bare-7.2.stream": 12,
  "pseries-hotplug-net-7.2.stream": 14,
  "pseries-hotplug-net-cpu-dimm-7.2.stream": 18,
};

/** The section named, of one stream. */
function sectionOf(raw: string, idstr: string, instance = 0): SectionSample {
  const found = fullSections(raw).find((one) => one.idstr === idstr && one.instance === instance);
  if (found === undefined) throw new Error(`${raw} has no ${idstr}/${instance}`);
  return found;
}

describe.skipIf(!haveStreams())("the sections of a pseries machine from QEMU", () => {
  it.each(pseriesStreams)("%s: decoded and encoded, the same bytes", (raw) => {
    const sections = fullSections(raw).filter(({ idstr }) => families.has(familyName(idstr)));
    expect(sections).toHaveLength(described[raw]);
    for (const sample of sections) {
      const family = families.get(familyName(sample.idstr)) as DescriptionFamily<unknown>;
      const description = family.build(family.infer(sample));
      const name = `${sample.idstr}/${sample.instance}`;
      expect([name, sample.version]).toEqual([name, description.version]);
      const record = decodeRecord(description, sample.bytes);
      expect([name, Buffer.compare(encodeRecord(description, record), sample.bytes)]).toEqual([name, 0]);
      const state = decodeState(description, sample.bytes);
      expect([name, Buffer.compare(encodeState(description, state as never), sample.bytes)]).toEqual([name, 0]);
      // The footer behind it says where it ends; nothing else has to.
      const behind = { ...sample, bytes: Uint8Array.from([...sample.bytes, 0x7e, 0, 0, 0, 9, 4]) };
      expect([name, family.infer(behind)]).toEqual([name, family.infer(sample)]);
    }
  });

  it.each(pseriesStreams)("%s: a vmdesc like QEMU's own", (raw) => {
    const devices = vmdescDevices(raw);
    let compared = 0;
    for (const sample of fullSections(raw)) {
      const family = families.get(familyName(sample.idstr));
      const own = devices.find(({ name, instance_id }) => name === sample.idstr && instance_id === sample.instance);
      if (family === undefined || own === undefined) continue;
      const description = family.build(family.infer({ ...sample, vmdesc: own }));
      const state = decodeState(description, sample.bytes) as never;
      const { name: _n, instance_id: _i, ...members } = own;
      // Four interrupts with a value each are one array here, which a check of the whole array compares.
      const text = JSON.stringify(members);
      const expected =
        sample.idstr === "spapr_pci" ? text.replace('"irq","type":"uint32 equal"', '"irq","type":"uint32"') : text;
      expect(listState(new Writer(), description, state, "7.2")).toEqual(JSON.parse(expected));
      compared++;
    }
    expect(compared).toBe(described[raw]);
  });

  it("reads what the command lines say", () => {
    const raw = "pseries-hotplug-net-cpu-dimm-7.2.stream";
    const sample = sectionOf(raw, "spapr");
    const parameters = spaprFamily.infer(sample);
    expect(parameters).toEqual({
      dialect: "7.2",
      irqMapBits: 0,
      optionVector: true,
      capabilities: ["hpt_maxpagesize"],
      ccs: false,
    });
    const state = decodeState(spaprFamily.build(parameters), sample.bytes);
    // cap-cfpc=broken, cap-sbbc=broken, cap-ibs=broken; the rest as the machine type has it.
    expect([state.capCfpc.value, state.capSbbc.value, state.capIbs.value, state.capHtm.value]).toEqual([0, 0, 0, 0]);
    expect([state.capVsx.value, state.capHptMaxpagesize.value, state.capFwnmi.value]).toEqual([1, 16, 1]);
    expect(state.dtb.fdt_size).toBe(state.dtb.fdt_initial_size);
    expect(new DataView(state.dtb.fdt_blob.buffer, state.dtb.fdt_blob.byteOffset).getUint32(0)).toBe(0xd00dfeed);
    expect(state.tb.guest_timebase).toBeGreaterThan(0n);
    const hotplug = state.pendingEvents.pending_events.map(({ extended_log }) => [...extended_log.slice(96)]);
    // A PCI device and a CPU by their connectors' indexes, memory by the number of its connectors.
    expect(hotplug).toEqual([
      [5, 1, 2, 0, 0x40, 0, 0, 0x10, 0, 0, 0, 0],
      [1, 1, 2, 0, 0x10, 0, 0, 0x01, 0, 0, 0, 0],
      [2, 1, 3, 0, 0, 0, 0, 1, 0, 0, 0, 0],
    ]);
  });
});
