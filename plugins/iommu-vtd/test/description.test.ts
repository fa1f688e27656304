// The description against the sections that QEMU 7.2 and 10.0 wrote, byte for byte and name for name.
import { decodeRecord, decodeState, encodeRecord, encodeState, listRecord, Writer } from "@godwit/core";
import { haveStreams } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { checkVtdState, optionsFor, vtd, vtdFamily } from "../src/index.ts";
import { realStream } from "./real.ts";
import { CAP, Driver, ECAP, machine } from "./support.ts";

describe.skipIf(!haveStreams()).each(["7.2", "10.0"] as const)("the section of QEMU %s", (release) => {
  it("has 602 bytes, which decode and encode to themselves", () => {
    const { section } = realStream(release);
    expect(section.length).toBe(602);
    expect(encodeRecord(vtd, decodeRecord(vtd, section))).toEqual(section);
    expect(encodeState(vtd, decodeState(vtd, section))).toEqual(section);
  });

  it("decodes to what the guest had programmed", () => {
    const { section } = realStream(release);
    const expected = {
      "7.2": { root: 0x557_9000n, iq_head: 40, iq_tail: 40 },
      "10.0": { root: 0x557_a000n, iq_head: 48, iq_tail: 48 },
    };
    expect(decodeState(vtd, section)).toMatchObject({
      ...expected[release],
      intr_root: 0x3e0_0000n,
      intr_size: 65536,
      iq: 0x3db_6000n,
      iq_size: 256,
      next_frcd_reg: 0,
      iq_last_desc_type: 5,
      dmar_enabled: true,
      qi_enabled: true,
      intr_enabled: true,
      intr_eime: false,
    });
  });

  it("is listed as QEMU's own vmdesc lists it", () => {
    const { section, vmdesc } = realStream(release);
    const out = new Writer();
    const listed = listRecord(out, vtd, decodeRecord(vtd, section), release);
    expect({ name: "iommu-intel", instance_id: 0, ...listed }).toEqual(vmdesc);
    expect(JSON.stringify(listed.fields)).toBe(JSON.stringify(vmdesc.fields));
    expect(out.written()).toEqual(section);
  });

  it("is a state that a unit can be in", () => {
    const { section } = realStream(release);
    expect(() => checkVtdState(decodeState(vtd, section))).not.toThrow();
  });

  it("has the capabilities of a unit that is made for it", () => {
    const state = decodeState(vtd, realStream(release).section);
    const options = optionsFor(state);
    expect(options).toEqual({
      addressWidth: release === "7.2" ? 39 : 48,
      cachingMode: true,
      dmaDrain: true,
      passThrough: true,
      snoopControl: false,
      deviceTlb: true,
      intremap: true,
      eim: false,
      scalableMode: false,
      pasid: false,
    });
    const real = new DataView(state.csr.buffer);
    const driver = new Driver(machine(options));
    expect(driver.get(0)).toBe(real.getUint32(0, true));
    expect(driver.get64(CAP)).toBe(real.getBigUint64(CAP, true));
    expect(driver.get64(ECAP)).toBe(real.getBigUint64(ECAP, true));
  });
});

describe("the description", () => {
  it("stands before PCI devices on the wire, and has no instance parameters", () => {
    expect(vtd).toMatchObject({ name: "iommu-intel", version: 1, minimumVersion: 1, priority: "iommu" });
    const sample = { idstr: "iommu-intel", instance: 0, version: 1, bytes: new Uint8Array(602) };
    expect(vtdFamily.build(vtdFamily.infer(sample))).toBe(vtd);
  });

  it("says where a section that is cut ends", () => {
    expect(() => decodeRecord(vtd, new Uint8Array(40))).toThrow(
      expect.objectContaining({
        code: "STREAM_TRUNCATED",
        location: expect.objectContaining({ path: "csr", offset: 36 }),
      }),
    );
  });
});
