// The device at work: what a driver asks for, and what it gets.

import { machine } from "@godwit/virtio-testkit";
import { describe, expect, it } from "vitest";
import { virtioBlk } from "../src/model.ts";
import { DiskDriver, image, sectorOf, slowImage } from "./support/disk.ts";

const tick = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

describe("requests", () => {
  it("writes, reads, flushes, and says its name", () => {
    const disk = image(64);
    const driver = new DiskDriver(machine(virtioBlk({ backend: disk, serial: "godwit-0001" })));
    const write = driver.send(0, 1, 3n, sectorOf(7));
    expect(driver.status(write)).toBe(0);
    expect(disk.bytes.subarray(3 * 512, 4 * 512)).toEqual(sectorOf(7));
    const read = driver.send(0, 0, 2n, 1024);
    expect(driver.status(read)).toBe(0);
    expect(driver.data(read)).toEqual(Uint8Array.of(...sectorOf(0), ...sectorOf(7)));
    const flush = driver.send(0, 4, 0n, 0);
    const name = driver.send(0, 8, 0n, 20);
    expect([driver.status(flush), driver.status(name)]).toEqual([0, 0]);
    expect(String.fromCharCode(...driver.data(name))).toBe("godwit-0001\0\0\0\0\0\0\0\0\0");
    expect(disk.log).toEqual(["write 3", "read 2", "flush"]);
    // Bytes written: the status alone for what goes out, with the data for what comes in.
    expect(
      driver
        .ring(0)
        .reap()
        .map(({ length }) => length),
    ).toEqual([1, 1025, 1, 21]);
    expect(driver.machine.interrupts).toEqual([0, 0, 0, 0]);
  });

  it("answers a batch with one interrupt, in order", () => {
    const driver = new DiskDriver(machine(virtioBlk({ backend: image(8) })));
    const requests = [0, 1, 2].map((n) => driver.put(0, 1, BigInt(n), sectorOf(n + 1)));
    driver.ring(0).kick();
    expect(
      driver
        .ring(0)
        .reap()
        .map(({ head }) => head),
    ).toEqual(requests.map(({ head }) => head));
    expect(driver.machine.interrupts).toEqual([0]);
  });

  it("refuses what is not on the disk, not whole sectors, or not known", () => {
    const disk = image(8);
    const driver = new DiskDriver(machine(virtioBlk({ backend: disk })));
    const status = (type: number, sector: bigint, data: Uint8Array | number): number =>
      driver.status(driver.send(0, type, sector, data));
    expect(status(0, 8n, 512)).toBe(1);
    expect(status(0, 7n, 1024)).toBe(1);
    expect(status(1, 0xffff_ffff_ffff_ffffn, sectorOf(1))).toBe(1);
    expect(status(0, 0n, 511)).toBe(1);
    expect(status(1, 0n, new Uint8Array(100))).toBe(1);
    expect(status(11, 0n, 512)).toBe(2);
    expect(status(0xffff_ffff, 0n, 0)).toBe(2);
    expect(disk.log).toEqual([]);
    expect(status(0, 7n, 512)).toBe(0);
    expect(driver.machine.device.broken).toBe(false);
  });

  it("does not write a disk that is read-only, and says so", () => {
    const disk = image(8);
    const driver = new DiskDriver(machine(virtioBlk({ backend: disk, readOnly: true })));
    expect(driver.machine.device.features & (1n << 5n)).not.toBe(0n);
    expect(driver.status(driver.send(0, 1, 0n, sectorOf(1)))).toBe(1);
    expect(disk.log).toEqual([]);
  });

  it("gives an I/O error where the back end throws or rejects, and tells its owner", async () => {
    const errors: unknown[] = [];
    const failing = {
      sizeBytes: 4096,
      read() {
        throw new Error("at once");
      },
      write: () => Promise.reject(new Error("later")),
      flush() {},
    };
    const driver = new DiskDriver(machine(virtioBlk({ backend: failing, onError: (error) => errors.push(error) })));
    const read = driver.send(0, 0, 0n, 512);
    const write = driver.send(0, 1, 0n, sectorOf(1));
    expect([driver.status(read), driver.status(write)]).toEqual([1, 0xee]);
    await tick();
    expect(driver.status(write)).toBe(1);
    expect(errors.map(String)).toEqual(["Error: at once", "Error: later"]);
    expect(driver.ring(0).reap()).toHaveLength(2);
  });

  it("is broken by a request without header or status, and works again after a reset", () => {
    const disk = image(8);
    const to = machine(virtioBlk({ backend: disk }));
    const driver = new DiskDriver(to);
    driver.ring(0).add([{ at: 0x8000, length: 8 }], [{ at: 0x8100, length: 1 }]);
    driver.ring(0).kick();
    expect(to.device.broken).toBe(true);
    expect(to.device.status & 64).toBe(64);
    expect(to.device.failure).toContain("header");
    to.device.setStatus(0);
    const again = new DiskDriver(to);
    expect(again.status(again.send(0, 1, 1n, sectorOf(9)))).toBe(0);
    expect(disk.bytes[512]).toBe(9);
  });

  it("has its configuration space", () => {
    const { device } = machine(virtioBlk({ backend: image(0x1234), queues: 3, queueSize: 128 }));
    const config = device.readConfig(0, device.configLength);
    const view = new DataView(config.buffer);
    expect(view.getBigUint64(0, true)).toBe(0x1234n);
    expect(view.getUint32(12, true)).toBe(126);
    expect(view.getUint32(20, true)).toBe(512);
    expect(view.getUint16(34, true)).toBe(3);
    expect(device.queues).toHaveLength(3);
    expect(device.hostFeatures & (1n << 12n)).not.toBe(0n);
  });

  it("serves several queues, and answers out of order", async () => {
    const disk = image(16);
    const slow = slowImage(disk);
    const driver = new DiskDriver(machine(virtioBlk({ backend: slow, queues: 2 })));
    const first = driver.send(0, 1, 1n, sectorOf(1));
    const second = driver.send(1, 1, 2n, sectorOf(2));
    const third = driver.send(0, 1, 3n, sectorOf(3));
    expect(slow.held.map(({ what }) => what)).toEqual(["write 1", "write 2", "write 3"]);
    slow.held[2]?.finish();
    slow.held[1]?.finish();
    await tick();
    expect([first, second, third].map((one) => driver.status(one))).toEqual([0xee, 0, 0]);
    expect(driver.machine.interrupts).toEqual([0, 1]);
    expect(driver.ring(0).reap()).toEqual([{ head: third.head, length: 1 }]);
    slow.held[0]?.finish();
    await tick();
    expect(driver.ring(0).reap()).toEqual([{ head: first.head, length: 1 }]);
    expect(driver.ring(1).reap()).toEqual([{ head: second.head, length: 1 }]);
  });
});

describe("a back end that gives a request back", () => {
  it("is asked again when its owner says so, for that request only", async () => {
    const disk = image(16);
    const slow = slowImage(disk);
    const model = virtioBlk({ backend: slow });
    const driver = new DiskDriver(machine(model));
    const [first, second] = [driver.send(0, 1, 1n, sectorOf(1)), driver.send(0, 1, 2n, sectorOf(2))];
    slow.held[0]?.giveBack();
    await tick();
    expect([model.inFlight, driver.status(first), slow.held.map(({ what }) => what)]).toEqual([2, 0xee, ["write 2"]]);
    model.retry();
    expect(slow.held.map(({ what }) => what)).toEqual(["write 2", "write 1"]);
    for (const held of [...slow.held]) held.finish();
    await tick();
    expect([driver.status(first), driver.status(second), disk.log]).toEqual([0, 0, ["write 2", "write 1"]]);
  });
});

describe("a reset while requests are under way", () => {
  it("answers none of them, and starts nothing new before the back end is done with them", async () => {
    const disk = image(16);
    const slow = slowImage(disk);
    const to = machine(virtioBlk({ backend: slow }));
    const before = new DiskDriver(to);
    before.send(0, 1, 1n, sectorOf(1));
    to.device.setStatus(0);
    const after = new DiskDriver(to);
    const write = after.send(0, 1, 1n, sectorOf(2));
    expect(slow.held.map(({ what }) => what)).toEqual(["write 1"]);
    slow.held[0]?.finish();
    await tick();
    expect(after.status(write)).toBe(0xee);
    expect(after.ring(0).usedIdx).toBe(0);
    expect(slow.held.map(({ what }) => what)).toEqual(["write 1"]);
    slow.held[0]?.finish();
    await tick();
    expect(after.status(write)).toBe(0);
    expect(disk.bytes[512]).toBe(2);
    expect(to.interrupts).toEqual([0]);
  });
});
