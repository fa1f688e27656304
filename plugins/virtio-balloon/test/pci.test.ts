// The device as a PCI function in machines of the real kernel: driven by its registers, saved, and gone on with.
import { decodeRecord, encodeRecord, toState } from "@godwit/core";
import { pciMachine, sectionOf } from "@godwit/virtio-testkit";
import { describe, expect, it } from "vitest";
import { virtioBalloonPci, virtioBalloonPciFamily } from "../src/pci.ts";
import { BalloonDriver, ledger } from "./support/balloon-driver.ts";

const slot = "00:04.0";

describe("virtioBalloonPci", () => {
  it("goes from one machine to another", async () => {
    const told: unknown[] = [];
    const { log, ...memory } = ledger();
    const make = () =>
      pciMachine((wiring) => virtioBalloonPci({ slot, ...wiring, ...memory, onStatistics: (one) => told.push(one) }));
    const here = make();
    const driver = new BalloonDriver<typeof here>(here);
    driver.statistics([4, 7n]);
    driver.pages(0, 5);
    here.offer.balloon.setTarget(9);
    const stream = await here.save();
    const there = make();
    there.kernel.pause();
    await there.kernel.load(stream);
    expect([told.length, there.offer.balloon.target]).toEqual([1, 9]);
    driver.machine = there;
    there.kernel.resume();
    expect(told).toEqual([{ freeMemory: 7n }, { freeMemory: 7n }]);
    driver.pages(1, 5);
    expect(log).toEqual(["discard 0x5000+0x1000", "populate 0x5000+0x1000"]);
    expect(there.offer.balloon.requestStatistics()).toBe(true);
    expect(there.messages).toEqual([2, 3]);
  });

  it("writes a section that the family reads without being told anything", async () => {
    const { log: _, ...memory } = ledger();
    const here = pciMachine((wiring) =>
      virtioBalloonPci({ slot, ...wiring, ...memory, reporting: true, msixVectors: 2, deflateOnOom: true }),
    );
    const driver = new BalloonDriver<typeof here>(here, here.device.hostFeatures);
    here.offer.balloon.startHints();
    driver.command(3, 0x80000001);
    here.offer.balloon.setTarget(0x01020304);
    const sample = sectionOf(await here.save(), "0000:00:04.0/virtio-balloon");
    const parameters = virtioBalloonPciFamily.infer(sample);
    expect(parameters).toMatchObject({ msixVectors: 2, modern: true });
    const description = virtioBalloonPciFamily.build(parameters);
    const record = decodeRecord(description, sample.bytes);
    expect(Buffer.compare(encodeRecord(description, record), sample.bytes)).toBe(0);
    expect(toState(description, record)).toMatchObject({
      queue_count: 5,
      device: {
        num_pages: 0x01020304,
        free_page_report: { free_page_hint_cmd_id: 0x80000001, free_page_hint_status: 2 },
      },
    });
  });
});
