// Sections that QEMU wrote, loaded into devices of ours with the guest's memory and its IOMMU: what is saved again is the
// same, and the guest's driver is served.
import { decodeState } from "@godwit/core";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { type RingAddresses, ringOf } from "@godwit/virtio-core";
import { type CutStream, cutStream, FoundRing, type QemuMachine, qemuMachine } from "@godwit/virtio-testkit";
import { beforeAll, describe, expect, it } from "vitest";
import { type VirtioRngPciOffer, virtioRngPci, virtioRngPciFamily } from "../src/pci.ts";
import { counting } from "./support/rng-driver.ts";

const q35 = { slot: "00:03.0" } as const;
const i440fx = { slot: "00:04.0", dialect: "7.2" } as const;
const cases = [
  { raw: "q35-vtd-virtio-7.2.stream", ...q35, dialect: "7.2" },
  { raw: "q35-vtd-virtio-10.0.stream", ...q35 },
  { raw: "q35-retarget-10.0.stream", ...q35 },
  { raw: "i440fx-transitional-virtio-7.2.stream", ...i440fx, mode: "transitional" },
  { raw: "i440fx-legacy-virtio-7.2.stream", ...i440fx, mode: "legacy" },
] as const;

describe.skipIf(!haveStreams()).each(cases)("$raw", ({ raw, ...options }) => {
  let cut: CutStream;
  let machine: QemuMachine<VirtioRngPciOffer>;
  const backend = counting();

  beforeAll(async () => {
    cut = cutStream(readStream(raw), `0000:${options.slot}/virtio-rng`);
    machine = await qemuMachine(cut, options.slot, (wiring) => virtioRngPci({ ...wiring, ...options, backend }));
  });

  it("saves the same section again", async () => {
    expect(Buffer.compare(await machine.section(), cut.section.bytes)).toBe(0);
  });

  it("answers what the guest's driver asks next, and nothing before", () => {
    const state = decodeState(virtioRngPciFamily.build(virtioRngPciFamily.infer(cut.section)), cut.section.bytes);
    const ring = new FoundRing(machine.dma, ringOf(state, 0) as RingAddresses);
    machine.kernel.resume();
    expect([backend.asked, machine.messages, machine.offer.device.failure]).toEqual([[], [], undefined]);
    const { head, places } = ring.add([{ room: 64 }]);
    machine.offer.rng.retry();
    expect([backend.asked, ring.reap()]).toEqual([[64], [{ head, length: 64 }]]);
    expect(ring.bytes(places[0] as number, 64)).toEqual(Uint8Array.from({ length: 64 }, (_, i) => i + 1));
    const { buffer, byteOffset } = state.transport.msix_table;
    const table = new DataView(buffer, byteOffset);
    expect(machine.messages).toEqual([[table.getUint32(16, true), table.getUint32(24, true)]]);
  });
});
