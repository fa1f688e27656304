// The device as a PCI function in machines of the real kernel: driven by its registers, saved, and gone on with.
import { decodeRecord, encodeRecord, toState } from "@godwit/core";
import { pciMachine, sectionOf } from "@godwit/virtio-testkit";
import { describe, expect, it } from "vitest";
import { virtioBlkPci, virtioBlkPciFamily } from "../src/pci.ts";
import { DiskDriver, image, sectorOf, slowImage } from "./support/disk.ts";

const slot = "00:02.0";
const tick = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

describe("virtioBlkPci", () => {
  it("goes from one machine to another with requests in flight", async () => {
    const disk = image(16);
    const slow = slowImage(disk);
    const here = pciMachine((wiring) =>
      virtioBlkPci({ slot, ...wiring, backend: slow, queues: 2, carryInFlight: true }),
    );
    const driver = new DiskDriver<typeof here>(here);
    const done = driver.send(0, 1, 1n, sectorOf(1));
    slow.held[0]?.finish();
    await tick();
    expect([driver.status(done), here.messages]).toEqual([0, [1]]);
    const carried = [driver.send(1, 1, 2n, sectorOf(2)), driver.send(0, 1, 3n, sectorOf(3))];
    const stream = await here.save();
    // The source goes on, as after a failure: what it took back is at its back end again.
    expect(slow.held.map(({ what }) => what)).toEqual(["write 2", "write 3"]);

    const there = pciMachine((wiring) => virtioBlkPci({ slot, ...wiring, backend: disk, queues: 2 }));
    there.kernel.pause();
    const report = await there.kernel.load(stream);
    expect(report.loadOrder.indexOf("ram/0")).toBeLessThan(report.loadOrder.indexOf("0000:00:02.0/virtio-blk/0"));
    expect([there.offer.disk.inFlight, disk.log, there.messages]).toEqual([2, ["write 1"], []]);
    driver.machine = there;
    there.kernel.resume();
    expect(disk.log).toEqual(["write 1", "write 2", "write 3"]);
    expect([done, ...carried].map((one) => driver.status(one))).toEqual([0, 0, 0]);
    expect(there.messages.toSorted()).toEqual([1, 2]);
    const read = driver.send(1, 0, 1n, 3 * 512);
    expect(driver.data(read)).toEqual(Uint8Array.of(...sectorOf(1), ...sectorOf(2), ...sectorOf(3)));
    expect(
      driver
        .ring(0)
        .reap()
        .map(({ head }) => head),
    ).toEqual([done.head, carried[1]?.head]);
    expect(
      driver
        .ring(1)
        .reap()
        .map(({ head }) => head),
    ).toEqual([carried[0]?.head, read.head]);
  });

  it("goes back to a snapshot that was taken with a request in flight", async () => {
    const disk = image(16);
    const slow = slowImage(disk);
    const here = pciMachine((wiring) => virtioBlkPci({ slot, ...wiring, backend: slow }));
    const driver = new DiskDriver<typeof here>(here);
    const write = driver.send(0, 1, 4n, sectorOf(4));
    const slot1 = here.kernel.snapshot().slice();
    slow.held[0]?.finish();
    await tick();
    expect([driver.status(write), here.messages]).toEqual([0, [1]]);
    disk.bytes.fill(0);
    here.kernel.pause();
    here.kernel.restore(slot1);
    expect([driver.status(write), slow.held.length]).toEqual([0xee, 0]);
    here.kernel.resume();
    slow.held[0]?.finish();
    await tick();
    expect([driver.status(write), here.messages, disk.bytes[4 * 512]]).toEqual([0, [1, 1], 4]);
    expect(driver.ring(0).reap()).toEqual([{ head: write.head, length: 1 }]);
  });

  it("writes a section that the family reads without being told anything", async () => {
    const slow = slowImage(image(16));
    const here = pciMachine((wiring) =>
      virtioBlkPci({ slot, ...wiring, backend: slow, queues: 3, carryInFlight: true }),
    );
    const driver = new DiskDriver<typeof here>(here);
    for (const queue of [0, 2, 2]) driver.send(queue, 0, 1n, 512);
    const sample = sectionOf(await here.save(), "0000:00:02.0/virtio-blk");
    const parameters = virtioBlkPciFamily.infer(sample);
    expect(parameters).toMatchObject({ queues: 3, packed: false, msixVectors: 4, modern: true, configBytes: 256 });
    const description = virtioBlkPciFamily.build(parameters);
    const record = decodeRecord(description, sample.bytes);
    expect(Buffer.compare(encodeRecord(description, record), sample.bytes)).toBe(0);
    expect(toState(description, record).legacy.map(({ queue }) => queue)).toEqual([0, 2, 2]);
  });
});
