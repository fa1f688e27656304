// Sections that QEMU wrote, loaded into disks of ours with the guest's memory and its IOMMU: what is saved again is the
// same, and the guest's driver is served.
import { decodeState } from "@godwit/core";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { type RingAddresses, ringOf } from "@godwit/virtio-core";
import { type CutStream, cutStream, FoundRing, type QemuMachine, qemuMachine } from "@godwit/virtio-testkit";
import { beforeAll, describe, expect, it } from "vitest";
import { type VirtioBlkPciOffer, virtioBlkPci, virtioBlkPciFamily } from "../src/pci.ts";
import { image } from "./support/disk.ts";
import { realDiskBytes, realDisks } from "./support/real.ts";

/** The first difference: of large arrays, an assertion library is slow to tell. */
function difference(a: Uint8Array, b: Uint8Array): string {
  const at = a.findIndex((byte, i) => byte !== b[i]);
  if (at >= 0) return `byte ${at}: ${a[at]} and ${b[at]}`;
  return a.length === b.length ? "none" : `${a.length} and ${b.length} bytes`;
}

function header(type: number, sector: number): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes[0] = type;
  bytes[8] = sector;
  return bytes;
}

describe.skipIf(!haveStreams()).each(realDisks)("$raw", ({ raw, idstr, ...options }) => {
  let cut: CutStream;
  let machine: QemuMachine<VirtioBlkPciOffer>;
  let ring: FoundRing;
  let message: readonly [number, number];
  const backend = image(realDiskBytes / 512);

  beforeAll(async () => {
    cut = cutStream(readStream(raw), idstr);
    machine = await qemuMachine(cut, options.slot, (wiring) => virtioBlkPci({ ...wiring, ...options, backend }));
    const state = decodeState(virtioBlkPciFamily.build(virtioBlkPciFamily.infer(cut.section)), cut.section.bytes);
    ring = new FoundRing(machine.dma, ringOf(state, 0) as RingAddresses);
    const { buffer, byteOffset } = state.transport.msix_table;
    const table = new DataView(buffer, byteOffset);
    message = [table.getUint32(16, true), table.getUint32(24, true)];
  });

  it("saves the same section again", async () => {
    expect(difference(await machine.section(), cut.section.bytes)).toBe("none");
  });

  it("serves the request that the guest's driver adds next", () => {
    machine.kernel.resume();
    expect([backend.log, machine.messages]).toEqual([[], []]);
    backend.bytes.fill(0xa7, 512 * 9, 512 * 10);
    const { places } = ring.add([{ out: header(0, 9) }, { room: 512 }, { room: 1 }]);
    machine.offer.disk.kick(machine.offer.device.queues[0] as never, 0);
    expect(ring.reap()).toEqual([{ head: 0, length: 513 }]);
    expect(new Set(ring.bytes(places[1] as number, 512))).toEqual(new Set([0xa7]));
    expect([...ring.bytes(places[2] as number, 1)]).toEqual([0]);
    expect(backend.log).toEqual(["read 9"]);
    expect(machine.messages).toEqual([message]);
  });

  it("knows what the driver negotiated: a write may stay in the cache, and a range be zeroed", () => {
    const range = new DataView(new ArrayBuffer(16));
    range.setBigUint64(0, 9n, true);
    range.setUint32(8, 1, true);
    const zero = ring.add([{ out: header(13, 0) }, { out: new Uint8Array(range.buffer) }, { room: 1 }]);
    machine.offer.disk.kick(machine.offer.device.queues[0] as never, 0);
    expect([...ring.bytes(zero.places[2] as number, 1)]).toEqual([0]);
    expect(backend.bytes.subarray(512 * 9, 512 * 10).every((byte) => byte === 0)).toBe(true);
    expect(backend.log).toEqual(["read 9", "write 9"]);
  });
});
