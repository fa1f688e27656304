// Drivers from before virtio 1.0, of either byte order; and a queue that its driver resets.
import { pciMachine } from "@godwit/virtio-testkit";
import { describe, expect, it } from "vitest";
import { virtioScsiPci } from "../src/pci.ts";
import { answerRequest, readRequest } from "../src/request.ts";
import { cdb, ScsiDriver, tick } from "./support/driver.ts";
import { image, sectorOf, slowImage } from "./support/images.ts";

describe("a legacy driver", () => {
  it.each(["legacy", "transitional"] as const)("is served by a %s adapter, and carried on", async (mode) => {
    const disk = image(16);
    const slow = slowImage(disk);
    const make = () =>
      pciMachine(
        (wiring) =>
          virtioScsiPci({
            ...{ slot: "00:06.0", mode, queueSize: 16, queues: 1, carryInFlight: true },
            ...wiring,
            disks: [{ backend: slow }],
          }),
        { legacy: true },
      );
    const here = make();
    const driver = new ScsiDriver<typeof here>(here);
    driver.greet();
    const write = driver.send(cdb.write10(5, 1), sectorOf(5));
    here.kernel.pause();
    const there = make();
    there.kernel.pause();
    await there.kernel.load(await here.save());
    expect(there.offer.adapter.inFlight).toBe(1);
    driver.machine = there;
    there.kernel.resume();
    slow.held[0]?.finish();
    await tick();
    expect([driver.got(write), disk.log]).toMatchObject([{ response: 0, status: 0 }, ["write 5"]]);
  });

  it("of a big-endian CPU has its id and its answer's numbers that way round", () => {
    const header = new Uint8Array(51);
    header.set([1, 2, 0, 3], 0);
    header.set([0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88], 8);
    const answers: Uint8Array[] = [];
    const queue = {
      read: (_: unknown, at: number, length: number) => header.slice(at, at + length),
      write: (_: unknown, at: number, bytes: Uint8Array) => {
        answers[at] = bytes;
        return bytes.length;
      },
      push() {},
    } as never;
    const element = { index: 0, out: [{ address: 0, length: 51 }], in: [{ address: 0, length: 108 }] };
    const form = { cdbSize: 32, senseSize: 96, littleEndian: false };
    expect(readRequest(queue, element, form)).toMatchObject({
      id: 0x1122_3344_5566_7788n,
      unit: { target: 2, lun: 3 },
      inBytes: 0,
      outBytes: 0,
    });
    expect(readRequest(queue, element, { ...form, littleEndian: true })?.id).toBe(0x8877_6655_4433_2211n);
    answerRequest(queue, element, form, { sense: new Uint8Array(18), residual: 512 });
    expect([...(answers[0] as Uint8Array).subarray(0, 8)]).toEqual([0, 0, 0, 18, 0, 0, 2, 0]);
  });
});

describe("one queue that its driver resets", () => {
  it("forgets its requests alone; nothing new overtakes what the back end still has", async () => {
    const disk = image(16);
    const slow = slowImage(disk);
    const here = pciMachine((wiring) =>
      virtioScsiPci({ slot: "00:06.0", queues: 2, queueSize: 16, ...wiring, disks: [{ backend: slow }] }),
    );
    const driver = new ScsiDriver<typeof here>(here);
    driver.greet();
    const lost = driver.send(cdb.write10(1, 1), sectorOf(1));
    const kept = driver.send(cdb.write10(2, 1), sectorOf(2), { queue: 1 });
    here.offer.adapter.resetQueue?.(2);
    expect(here.offer.adapter.inFlight).toBe(1);
    const late = driver.send(cdb.write10(1, 1), sectorOf(3), { queue: 1 });
    expect(slow.held.map(({ what }) => what)).toEqual(["write 1", "write 2"]);
    while (slow.held.length > 0) {
      slow.held[0]?.finish();
      await tick();
    }
    expect([driver.got(lost), driver.got(kept), driver.got(late)]).toMatchObject([
      undefined,
      { status: 0 },
      { status: 0 },
    ]);
    expect([disk.log, disk.bytes[512]]).toEqual([["write 1", "write 2", "write 1"], 3]);
  });
});
