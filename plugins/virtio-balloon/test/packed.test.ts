// Packed rings: the buffer for statistics, which the device keeps, is found again where it arrives.
import { feature } from "@godwit/virtio-core";
import { PackedDriver, pciMachine } from "@godwit/virtio-testkit";
import { expect, it } from "vitest";
import { virtioBalloonPci } from "../src/pci.ts";
import type { MemoryStatistics } from "../src/statistics.ts";
import { ledger } from "./support/balloon-driver.ts";

it("keeps the buffer for statistics, in packed rings as well", async () => {
  const told: MemoryStatistics[] = [];
  const { log, discard } = ledger();
  const make = () =>
    pciMachine((wiring) =>
      virtioBalloonPci({
        slot: "00:04.0",
        ...wiring,
        discard,
        onStatistics: (one) => told.push(one),
        ringFeatures: feature.RING_PACKED | feature.RING_EVENT_IDX,
      }),
    );
  const here = make();
  const driver = new PackedDriver<typeof here>(here);
  const at = driver.allocate(20);
  const { view } = driver;
  view.setUint16(at, 4, true);
  view.setBigUint64(at + 2, 1000n, true);
  view.setUint16(at + 10, 5, true);
  view.setBigUint64(at + 12, 2000n, true);
  const give = (): number => {
    const id = driver.ring(2).add(
      [
        { at, length: 10 },
        { at: at + 10, length: 10 },
      ],
      [],
    );
    driver.ring(2).kick();
    return id;
  };
  // A whole lap of two slots each: the buffer that travels has the other wrap counter.
  for (let i = 0; i < 64; i++) {
    const id = give();
    expect([here.offer.balloon.requestStatistics(), driver.ring(2).reap()]).toEqual([true, [{ head: id, length: 0 }]]);
  }
  const id = give();
  expect(told).toHaveLength(65);
  here.kernel.pause();
  const there = make();
  there.kernel.pause();
  await there.kernel.load(await here.save());
  driver.machine = there;
  expect(told).toHaveLength(65);
  there.kernel.resume();
  expect([told.length, told.at(-1)]).toEqual([66, { freeMemory: 1000n, totalMemory: 2000n }]);
  expect([there.offer.device.queues[2]?.inuse, driver.ring(2).reap()]).toEqual([2, []]);
  expect([there.offer.balloon.requestStatistics(), driver.ring(2).reap()]).toEqual([true, [{ head: id, length: 0 }]]);
  const page = driver.allocate(4);
  driver.view.setUint32(page, 7, true);
  const given = driver.ring(0).add([{ at: page, length: 4 }], []);
  driver.ring(0).kick();
  expect([log, driver.ring(0).reap()]).toEqual([["discard 0x7000+0x1000"], [{ head: given, length: 0 }]]);
});
