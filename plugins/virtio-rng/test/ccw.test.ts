// The device behind a subchannel, in machines of the real kernel: driven by channel programs, saved, and gone on with.
import { decodeRecord, encodeRecord, toState } from "@godwit/core";
import { ccwMachine, sectionOf } from "@godwit/virtio-testkit";
import { describe, expect, it } from "vitest";
import { virtioRngCcw, virtioRngCcwFamily } from "../src/ccw.ts";
import { counting, RngDriver, waiting } from "./support/rng-driver.ts";

const busId = "fe.0.0003";

describe("virtioRngCcw", () => {
  it("goes from one machine to another with a request that waits", async () => {
    const slow = waiting();
    const here = ccwMachine((wiring) => virtioRngCcw({ busId, ...wiring, backend: slow, queueSize: 16 }));
    const driver = new RngDriver<typeof here>(here);
    const requests = [driver.ask(2), driver.ask(3)];
    await slow.give(1, 2);
    expect([driver.take(requests), here.messages]).toEqual([[[1, 2]], [1]]);
    const stream = await here.save();

    const sample = sectionOf(stream, "/fe.0.0003/virtio-rng");
    const description = virtioRngCcwFamily.build(virtioRngCcwFamily.infer(sample));
    const record = decodeRecord(description, sample.bytes);
    expect(Buffer.compare(encodeRecord(description, record), sample.bytes)).toBe(0);
    expect(toState(description, record)).toMatchObject({ vqs: [{ num: 16, last_avail_idx: 1 }], device: {} });

    const there = ccwMachine((wiring) => virtioRngCcw({ busId, ...wiring, backend: counting(), queueSize: 16 }));
    there.kernel.pause();
    await there.kernel.load(stream);
    driver.machine = there;
    there.kernel.resume();
    expect([driver.take(requests), there.messages]).toEqual([[[1, 2, 3]], [1]]);
  });
});
