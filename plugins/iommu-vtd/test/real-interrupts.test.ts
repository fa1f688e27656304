// The interrupt-remapping table of Linux guests that QEMU saved: their devices' MSI-X messages, remapped.
import { createKernel, decodeState, encodeState, virtualClock } from "@godwit/core";
import { haveStreams } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { checkVtdState, interruptRemapper, optionsFor, type VtdState, vtd, vtdIommu } from "../src/index.ts";
import { realStream } from "./real.ts";
import { Driver, FRCD, FSTS, GSTS, machine, sectionOf, TestMemory } from "./support.ts";

/** A snapshot of a machine whose unit has this state. */
function snapshotOf(state: VtdState): Uint8Array {
  const clock = virtualClock(() => 0n);
  const kernel = createKernel({ machineType: "test", machine: { pause() {}, resume() {}, reset() {} }, clock });
  kernel.device(vtd, { save: () => state, load() {} });
  return kernel.snapshot();
}

const devices = ["0000:00:01.0/virtio-net", "0000:00:02.0/virtio-blk", "0000:00:03.0/virtio-rng"];

describe.skipIf(!haveStreams()).each(["7.2", "10.0", "10.0-retarget"] as const)("a guest of QEMU %s", (release) => {
  it("lets its devices interrupt through the table, each with vectors of its own", () => {
    const { section, ram, messages } = realStream(release);
    const { remap } = interruptRemapper(decodeState(vtd, section), ram);
    const vectors = new Set<number>();
    let count = 0;
    for (const idstr of devices) {
      const bdf = idstr.slice("0000:".length, "0000:00:00.0".length);
      const sent = messages(idstr);
      expect(sent.length).toBeGreaterThan(0);
      for (const { address, data } of sent) {
        const { data: delivered, address: where, upperAddress, index } = remap(bdf, address, data);
        expect(where & 0xfff0_0000).toBe(0xfee0_0000 | 0);
        expect([upperAddress, delivered >>> 8]).toEqual([0, 0x40]);
        expect(delivered & 0xff).toBeGreaterThanOrEqual(0x20);
        expect(index).toBeTypeOf("number");
        vectors.add(delivered & 0xff);
        count++;
        // The guest has Linux validate each source: the neighbour may not use the same message.
        expect(() => remap("00:1e.0", address, data)).toThrow(`expected device ${bdf}; found device 00:1e.0`);
      }
    }
    expect(vectors.size).toBe(count);
  });

  it("is taken by a unit with its capabilities, which goes on, and is saved as it was", () => {
    const { section, ram, messages } = realStream(release);
    const state = decodeState(vtd, section);
    expect(() => checkVtdState(state)).not.toThrow();
    const source = machine(optionsFor(state), ram);
    source.kernel.restore(snapshotOf(state));
    expect(source.kernel.snapshot()).toEqual(snapshotOf(state));
    expect(encodeState(vtd, state)).toEqual(section);

    const [message] = messages(devices[1] as string);
    const { address, data } = message as { address: number; data: number };
    source.iommu.msiFor("00:02.0")(address, data);
    expect(source.messages).toEqual([[expect.any(Number), expect.any(Number)]]);
    expect(source.iommu.statistics()).toMatchObject({ remapped: 1, blocked: 0, interruptEntries: 1 });
    source.iommu.msiFor("00:03.0")(address, data);
    // The neighbour's is blocked, and the guest is told so by the fault event that it had set up.
    expect(source.messages.slice(1)).toEqual([[0xfee0_1004, 0x21]]);
    const driver = new Driver(source);
    expect([driver.get(GSTS), driver.get(FSTS)]).toEqual([0xc700_0000, 0x02]);
    expect([driver.get(FRCD + 8), driver.get(FRCD + 12)]).toEqual([0x18, 0x8000_0026]);
  });

  it("is refused by a unit without them", () => {
    const { section, ram } = realStream(release);
    const state = decodeState(vtd, section);
    for (const change of [{ intremap: false }, { deviceTlb: false }, { cachingMode: false }]) {
      const { kernel } = machine({ ...optionsFor(state), ...change }, ram);
      expect(() => kernel.restore(snapshotOf(state))).toThrow(/the incoming unit has other capabilities/);
    }
  });
});

describe("the options for a state", () => {
  const at = (cap: bigint, ecap: bigint) => {
    const state = stateOf();
    new DataView(state.csr.buffer).setBigUint64(0x08, cap, true);
    new DataView(state.csr.buffer).setBigUint64(0x10, ecap, true);
    return () => optionsFor(state);
  };
  const stateOf = () => {
    const csr = new Uint8Array(0x230);
    csr[0] = 0x10;
    return { ...decodeState(vtd, new Uint8Array(602)), csr };
  };

  it("are refused where no unit has its capabilities", () => {
    expect(at(0x00d2_008c_2226_0206n, 0x4800_80f0_0f4an)()).toMatchObject({ scalableMode: true, intremap: true });
    // First-stage translation, as QEMU 10.0 has it with x-flts.
    expect(at(0x00d2_008c_2226_0206n, 0xc800_80f0_0f4an)).toThrow(
      expect.objectContaining({ code: "DEVICE_CHECK", location: expect.objectContaining({ path: "csr[20]" }) }),
    );
    expect(at(0x00d2_008c_2238_0206n, 0xf0_0f4an)).toThrow(
      expect.objectContaining({ code: "DEVICE_CHECK", location: expect.objectContaining({ path: "csr[8]" }) }),
    );
  });

  it("give a unit back that was made with them", () => {
    for (const options of [
      { addressWidth: 48, intremap: true, eim: true, snoopControl: true },
      { scalableMode: true, pasid: true, dmaDrain: false, passThrough: false },
      { deviceTlb: true, cachingMode: true },
    ] as const) {
      const { kernel } = machine(options);
      expect(optionsFor(decodeState(vtd, sectionOf(kernel)))).toMatchObject(options);
    }
  });

  it("need what they build on", () => {
    for (const options of [{ eim: true }, { pasid: true }]) {
      expect(() =>
        vtdIommu({ memory: { memory: new TestMemory(1), after: [], staged: () => new TestMemory(1) }, ...options }),
      ).toThrow(expect.objectContaining({ code: "DEFINITION_INVALID" }));
    }
  });
});
