// The device behind a subchannel, in machines of the real kernel: driven by channel programs, saved, and gone on with.
import { decodeRecord, encodeRecord, toState } from "@godwit/core";
import { ccwMachine, sectionOf } from "@godwit/virtio-testkit";
import { describe, expect, it } from "vitest";
import { virtioBalloonCcw, virtioBalloonCcwFamily } from "../src/ccw.ts";
import { BalloonDriver, ledger } from "./support/balloon-driver.ts";

const busId = "fe.0.0004";

describe("virtioBalloonCcw", () => {
  it("goes from one machine to another, its buffer for statistics with it", async () => {
    const told: unknown[] = [];
    const { log, ...memory } = ledger();
    const make = () =>
      ccwMachine((wiring) =>
        virtioBalloonCcw({ busId, ...wiring, ...memory, reporting: true, onStatistics: (one) => told.push(one) }),
      );
    const here = make();
    const driver = new BalloonDriver<typeof here>(here);
    driver.statistics([4, 7n]);
    here.offer.balloon.setTarget(9);
    expect(here.messages).toEqual([0]);
    const stream = await here.save();

    const sample = sectionOf(stream, "/fe.0.0004/virtio-balloon");
    const description = virtioBalloonCcwFamily.build(virtioBalloonCcwFamily.infer(sample));
    const record = decodeRecord(description, sample.bytes);
    expect(Buffer.compare(encodeRecord(description, record), sample.bytes)).toBe(0);
    expect(toState(description, record)).toMatchObject({
      queue_count: 5,
      device: { num_pages: 9, free_page_report: { free_page_hint_cmd_id: 0x80000000 } },
    });

    const there = make();
    there.kernel.pause();
    await there.kernel.load(stream);
    driver.machine = there;
    there.kernel.resume();
    expect([told, there.offer.balloon.target]).toEqual([[{ freeMemory: 7n }, { freeMemory: 7n }], 9]);
    driver.pages(1, 5);
    expect([log, there.messages]).toEqual([["populate 0x5000+0x1000"], [2]]);
  });
});
