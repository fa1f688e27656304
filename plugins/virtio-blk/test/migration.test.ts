// Requests under way when the device is saved: answered before, or carried and done where they arrive; never lost or
// done twice.
import { isMigrationError } from "@godwit/core";
import { machine, move } from "@godwit/virtio-testkit";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { virtioBlk } from "../src/model.ts";
import { DiskDriver, image, type Request, sectorOf, slowImage } from "./support/disk.ts";

const tick = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

describe("quiesce", () => {
  it("waits for what is under way, so that nothing is left to carry", async () => {
    const disk = image(16);
    const slow = slowImage(disk);
    const model = virtioBlk({ backend: slow });
    const driver = new DiskDriver(machine(model));
    const write = driver.send(0, 1, 5n, sectorOf(5));
    let quiet = false;
    const quiesced = driver.machine.quiesce().then(() => {
      quiet = true;
    });
    await tick();
    expect([quiet, model.inFlight, slow.recalls]).toEqual([false, 1, 0]);
    // The guest still runs, but nothing new is taken.
    const late = driver.send(0, 0, 5n, 512);
    expect([model.inFlight, slow.held.length]).toEqual([1, 1]);
    slow.held[0]?.finish();
    await quiesced;
    expect([driver.status(write), model.inFlight]).toEqual([0, 0]);

    const there = image(16);
    there.bytes.set(disk.bytes);
    move(driver, machine(virtioBlk({ backend: there })));
    expect(driver.data(late)).toEqual(sectorOf(5));
    const read = driver.send(0, 0, 5n, 512);
    expect(driver.data(read)).toEqual(sectorOf(5));
    expect(
      driver
        .ring(0)
        .reap()
        .map(({ head }) => head),
    ).toEqual([write.head, late.head, read.head]);
    expect(disk.log).toEqual(["write 5"]);
  });

  it("with carryInFlight takes back what was not begun, which then travels and is done there, once", async () => {
    const disk = image(16);
    const slow = slowImage(disk);
    const model = virtioBlk({ backend: slow, carryInFlight: true, queues: 2 });
    const driver = new DiskDriver(machine(model));
    const done = driver.send(0, 1, 1n, sectorOf(1));
    const carried = [driver.send(1, 1, 2n, sectorOf(2)), driver.send(0, 1, 3n, sectorOf(3)), driver.send(1, 4, 0n, 0)];
    slow.held[0]?.finish();
    await driver.machine.quiesce();
    expect(driver.status(done)).toBe(0);
    expect([model.inFlight, slow.held.length, slow.recalls]).toEqual([3, 0, 1]);
    // While it is held, what the driver adds stays in its ring.
    const late = driver.send(0, 1, 4n, sectorOf(4));
    expect(model.inFlight).toBe(3);

    const there = image(16);
    const arrived = virtioBlk({ backend: there, queues: 2 });
    const to = machine(arrived);
    to.ram.set(driver.machine.ram);
    expect(to.load(driver.machine.save())).toBeUndefined();
    expect([arrived.inFlight, there.log]).toEqual([3, []]);
    driver.machine = to;
    to.resume();
    expect(there.log).toEqual(["write 2", "write 3", "flush", "write 4"]);
    expect([done, ...carried, late].map((one) => driver.status(one))).toEqual([0, 0, 0, 0, 0]);
    expect(
      driver
        .ring(0)
        .reap()
        .map(({ head }) => head),
    ).toEqual([done.head, carried[1]?.head, late.head]);
    expect(
      driver
        .ring(1)
        .reap()
        .map(({ head }) => head),
    ).toEqual([carried[0]?.head, carried[2]?.head]);
    expect([...new Set(to.interrupts)].sort()).toEqual([0, 1]);
    expect(disk.log).toEqual(["write 1"]);
  });

  it("goes on at home where the migration fails", async () => {
    const disk = image(16);
    const slow = slowImage(disk);
    const driver = new DiskDriver(machine(virtioBlk({ backend: slow, carryInFlight: true })));
    const write = driver.send(0, 1, 2n, sectorOf(2));
    await driver.machine.quiesce();
    driver.machine.save();
    expect(slow.held).toEqual([]);
    driver.machine.resume();
    slow.held[0]?.finish();
    await tick();
    expect([driver.status(write), disk.log]).toEqual([0, ["write 2"]]);
  });
});

describe("an instant snapshot", () => {
  it("carries what is under way, and later answers of the past touch nothing", async () => {
    const disk = image(16);
    const slow = slowImage(disk);
    const model = virtioBlk({ backend: slow });
    const driver = new DiskDriver(machine(model));
    const write = driver.send(0, 1, 2n, sectorOf(2));
    const slot = driver.machine.save();
    const ram = driver.machine.ram.slice();
    const past = slow.held[0];
    driver.machine.ram.set(ram);
    driver.machine.load(slot);
    driver.machine.resume();
    // The back end still has the first one; the second must not overtake it.
    expect(slow.held).toHaveLength(1);
    past?.finish();
    await tick();
    expect([driver.status(write), slow.held.length]).toEqual([0xee, 1]);
    slow.held[0]?.finish();
    await tick();
    expect(driver.status(write)).toBe(0);
    expect(driver.ring(0).reap()).toEqual([{ head: write.head, length: 1 }]);
    expect(model.inFlight).toBe(0);
  });

  it("is submitted when the machine runs, not when the past happens to be over", async () => {
    const slow = slowImage(image(16));
    const to = machine(virtioBlk({ backend: slow }));
    const driver = new DiskDriver(to);
    driver.send(0, 1, 2n, sectorOf(2));
    const [slot, ram] = [to.save(), to.ram.slice()];
    to.device.setStatus(0);
    new DiskDriver(to).send(0, 1, 3n, sectorOf(3));
    to.ram.set(ram);
    to.load(slot);
    slow.held[0]?.finish();
    await tick();
    expect([slow.held.length, to.interrupts]).toEqual([0, []]);
    to.resume();
    expect(slow.held.map(({ what }) => what)).toEqual(["write 2"]);
  });
});

describe("a state that cannot be", () => {
  const saved = async (): Promise<{ driver: DiskDriver; bytes: Uint8Array }> => {
    const driver = new DiskDriver(machine(virtioBlk({ backend: slowImage(image(16)), carryInFlight: true })));
    driver.send(0, 1, 1n, sectorOf(1));
    driver.send(0, 1, 2n, sectorOf(2));
    await driver.machine.quiesce();
    return { driver, bytes: driver.machine.save() };
  };
  const codeOf = (work: () => unknown): unknown => {
    try {
      work();
    } catch (error) {
      return isMigrationError(error) ? [error.code, error.location.path] : error;
    }
    return undefined;
  };
  /** Where the first element's blob begins: behind status, isr, selector, features, config, one queue, and the 1. */
  const blobAt = 1 + 1 + 2 + 4 + 4 + 57 + 4 + (4 + 8 + 2) + 1;

  it("is refused: a request twice, or one that is no entry of its ring", async () => {
    const { driver, bytes } = await saved();
    const second = blobAt + 49168 + 1;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const load = (): unknown => {
      const to = machine(virtioBlk({ backend: image(16) }));
      to.ram.set(driver.machine.ram);
      return to.load(bytes);
    };
    expect(codeOf(load)).toBeUndefined();
    const heads = [view.getUint32(blobAt, true), view.getUint32(second, true)];
    view.setUint32(second, heads[0] as number, true);
    expect(codeOf(load)).toEqual(["DEVICE_CHECK", "legacy[1]"]);
    view.setUint32(second, 256, true);
    expect(codeOf(load)).toEqual(["DEVICE_CHECK", "legacy[1]"]);
    view.setUint32(second, heads[1] as number, true);
    view.setUint32(second + 4, 1025, true);
    expect(codeOf(load)).toEqual(["FIELD_CHECK", "legacy[1].element.blob"]);
  });

  it("is refused: a disk that is smaller here", async () => {
    const { driver } = await saved();
    driver.machine.device.readConfig(0, 8);
    const bytes = driver.machine.save();
    const to = machine(virtioBlk({ backend: image(8) }));
    to.ram.set(driver.machine.ram);
    expect(codeOf(() => to.load(bytes))).toEqual(["DEVICE_CHECK", "config"]);
  });

  it("breaks the device where more requests came than its ring has lost", async () => {
    const { driver, bytes } = await saved();
    const disk = image(16);
    const to = machine(virtioBlk({ backend: disk }));
    to.ram.set(driver.machine.ram);
    // The guest's used index says that one of the two was answered.
    new DataView(to.ram.buffer).setUint16(driver.ring(0).used + 2, 1, true);
    to.load(bytes);
    to.resume();
    expect(to.device.broken).toBe(true);
    expect(disk.log).toEqual([]);
  });
});

describe("a machine that is saved while the requests of a driver that is gone are at the back end", () => {
  it("begins nothing, and what waits for them begins where it runs on", async () => {
    const slow = slowImage(image(16));
    const driver = new DiskDriver(machine(virtioBlk({ backend: slow, carryInFlight: true })));
    driver.send(0, 1, 1n, sectorOf(1));
    driver.machine.device.setStatus(0);
    const next = new DiskDriver(driver.machine);
    const write = next.send(0, 1, 2n, sectorOf(2));
    await next.machine.quiesce();
    expect([slow.held, next.status(write)]).toEqual([[], 0xee]);
    next.machine.resume();
    expect(slow.held.map(({ what }) => what)).toEqual(["write 2"]);
    slow.held[0]?.finish();
    await tick();
    expect(next.status(write)).toBe(0);
  });
});

describe("any run of requests", () => {
  /** Steps of a guest, its back end, and whoever moves it. */
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("write" as const), queue: fc.nat(1), sector: fc.nat(15) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("finish" as const), which: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("move" as const), carry: fc.boolean() }) },
  );

  it("is answered whole, each once, on one disk, through any number of moves", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const disk = image(16);
        const slow = slowImage(disk);
        const make = (carry: boolean) =>
          machine(virtioBlk({ backend: slow, queues: 2, carryInFlight: carry }), new Uint8Array(1 << 18));
        const settle = async (): Promise<void> => {
          while (slow.held.length > 0) {
            slow.held[0]?.finish();
            await tick();
          }
        };
        let carries = true;
        const driver = new DiskDriver(make(carries));
        const requests: Request[] = [];
        const answered: string[] = [];
        const reap = (): void => {
          for (const queue of [0, 1]) {
            for (const { head } of driver.ring(queue).reap()) answered.push(`${queue}/${head}`);
          }
        };
        const asked: string[] = [];
        let serial = 0;
        for (const one of steps) {
          if (one.kind === "write") {
            const request = driver.send(one.queue, 1, BigInt(one.sector), sectorOf(++serial % 256));
            requests.push(request);
            asked.push(`${one.queue}/${request.head}`);
          } else if (one.kind === "finish") {
            slow.held[one.which % Math.max(1, slow.held.length)]?.finish();
            await tick();
          } else {
            const quiet = driver.machine.quiesce();
            if (!carries) await settle();
            await quiet;
            move(driver, make(one.carry));
            carries = one.carry;
          }
          reap();
        }
        await settle();
        reap();
        expect(requests.map((request) => driver.status(request))).toEqual(requests.map(() => 0));
        expect(answered.toSorted()).toEqual(asked.toSorted());
        expect(disk.log).toHaveLength(requests.length);
      }),
      { seed: 20261121, numRuns: 60 },
    );
  });
});
