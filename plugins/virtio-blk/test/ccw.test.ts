// The device on a channel: in machines of the real kernel, driven by channel programs, and with sections that QEMU wrote
// on s390x.
import { decodeRecord, decodeState, encodeRecord, encodeState, toState } from "@godwit/core";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { feature, type RingAddresses, ringOf } from "@godwit/virtio-core";
import { ccwMachine, cutStream, FoundRing, qemuCcwMachine, sectionOf } from "@godwit/virtio-testkit";
import { describe, expect, it } from "vitest";
import { virtioBlkCcw, virtioBlkCcwFamily } from "../src/ccw.ts";
import { DiskDriver, image, sectorOf, slowImage } from "./support/disk.ts";

const busId = "fe.0.0002";
const tick = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

describe("virtioBlkCcw", () => {
  it.each([true, false])("goes from one machine to another with requests in flight (adapter: %s)", async (adapter) => {
    const disk = image(16);
    const slow = slowImage(disk);
    const here = ccwMachine(
      (wiring) => virtioBlkCcw({ busId, schid: 1, ...wiring, backend: slow, queues: 2, carryInFlight: true }),
      { adapter },
    );
    const driver = new DiskDriver<typeof here>(here);
    const done = driver.send(0, 1, 1n, sectorOf(1));
    slow.held[0]?.finish();
    await tick();
    expect([driver.status(done), here.messages]).toEqual([0, [1]]);
    const carried = [driver.send(1, 1, 2n, sectorOf(2)), driver.send(0, 1, 3n, sectorOf(3))];
    const stream = await here.save();

    const there = ccwMachine((wiring) => virtioBlkCcw({ busId, schid: 4, ...wiring, backend: disk, queues: 2 }), {
      adapter,
    });
    there.kernel.pause();
    await there.kernel.load(stream);
    expect([there.offer.disk.inFlight, disk.log, there.messages, there.offer.subchannel.schid]).toEqual([
      2,
      ["write 1"],
      [],
      1,
    ]);
    driver.machine = there;
    there.kernel.resume();
    expect(disk.log).toEqual(["write 1", "write 2", "write 3"]);
    expect([done, ...carried].map((one) => driver.status(one))).toEqual([0, 0, 0]);
    const read = driver.send(1, 0, 1n, 3 * 512);
    expect(driver.data(read)).toEqual(Uint8Array.of(...sectorOf(1), ...sectorOf(2), ...sectorOf(3)));
    expect(new Set(there.messages)).toEqual(new Set([1, 2]));
    expect(driver.ring(0).reap()).toHaveLength(2);
    expect(driver.ring(1).reap()).toHaveLength(2);
  });

  it("writes a section that the family reads without being told anything", async () => {
    const slow = slowImage(image(16));
    const here = ccwMachine((wiring) =>
      virtioBlkCcw({ busId, ...wiring, backend: slow, queues: 3, carryInFlight: true }),
    );
    const driver = new DiskDriver<typeof here>(here);
    for (const queue of [0, 2, 2]) driver.send(queue, 0, 1n, 512);
    const sample = sectionOf(await here.save(), "/fe.0.0002/virtio-blk");
    const parameters = virtioBlkCcwFamily.infer(sample);
    expect(parameters).toMatchObject({ queues: 3, packed: false });
    const description = virtioBlkCcwFamily.build(parameters);
    const record = decodeRecord(description, sample.bytes);
    expect(Buffer.compare(encodeRecord(description, record), sample.bytes)).toBe(0);
    expect(toState(description, record).legacy.map(({ queue }) => queue)).toEqual([0, 2, 2]);
  });
});

const streams = [
  { raw: "s390-ccw-virtio-7.2.stream", dialect: "7.2", last: 21, isc: 3 },
  { raw: "s390-ccw-5dev-10.0.stream", dialect: "10.0", last: 21, isc: 3 },
] as const;

describe.skipIf(!haveStreams()).each(streams)("$raw", ({ raw, dialect, last, isc }) => {
  const idstr = "/fe.0.0002/virtio-blk";

  it("comes back to the same bytes", () => {
    const { section } = cutStream(readStream(raw), idstr);
    const parameters = virtioBlkCcwFamily.infer(section);
    expect(parameters).toMatchObject({ queues: 1, packed: false });
    const description = virtioBlkCcwFamily.build(parameters);
    const record = decodeRecord(description, section.bytes);
    expect(Buffer.compare(encodeRecord(description, record), section.bytes)).toBe(0);
    const state = toState(description, record);
    expect(Buffer.compare(encodeState(description, state), section.bytes)).toBe(0);
    expect(state).toMatchObject({
      config_len: 57,
      legacy: [],
      vqs: [{ num: 256, last_avail_idx: last, transport: { vector: 0 } }],
      virtio: { device_endian: { device_endian: 2 }, features64: { guest_features: 0x1_3000_6e54n } },
      transport: {
        parent_obj: { sch: { cssid: 0xfe, devno: 2, migrated_schid: 1, id: { cu_model: 2 } } },
        routes: { adapter: { ind_offset: 3n } },
        thinint_isc: isc,
        revision: 2,
      },
    });
  });

  it("is loaded into a device of ours, serves the guest's driver, and is saved the same", async () => {
    const cut = cutStream(readStream(raw), idstr);
    const disk = image(16777216 / 512);
    disk.bytes.set(sectorOf(0x5a), 512 * 7);
    const machine = await qemuCcwMachine(cut, (wiring) =>
      virtioBlkCcw({
        busId,
        ...wiring,
        backend: disk,
        dialect,
        ringFeatures: feature.RING_INDIRECT_DESC | feature.RING_EVENT_IDX | feature.RING_RESET,
      }),
    );
    expect(machine.offer.subchannel.schid).toBe(1);
    const state = decodeState(virtioBlkCcwFamily.build(virtioBlkCcwFamily.infer(cut.section)), cut.section.bytes);
    expect(Buffer.compare(await machine.section(), cut.section.bytes)).toBe(0);

    machine.kernel.resume();
    const ring = new FoundRing(machine.dma, ringOf(state, 0) as RingAddresses);
    const header = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0);
    const { head, places } = ring.add([{ out: header }, { room: 512 }, { room: 1 }]);
    expect(machine.offer.subchannel.kick(0)).toBe(true);
    expect(ring.reap()).toEqual([{ head, length: 513 }]);
    expect(ring.bytes(places[2] as number, 1)).toEqual(Uint8Array.of(0));
    expect(ring.bytes(places[1] as number, 512)).toEqual(sectorOf(0x5a));
    // Bit 3 of the guest's bit field, the summary, and one adapter interruption of the guest's subclass.
    const { indicators, summary_indicator } = state.transport;
    expect((machine.dma.read(Number(indicators.addr), 1)[0] as number) & 0x10).toBe(0x10);
    expect([machine.dma.read(Number(summary_indicator.addr), 1)[0], machine.adapterInterrupts]).toEqual([1, [isc]]);
    expect(machine.ioInterrupts).toEqual([]);
  });
});
