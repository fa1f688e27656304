// The device as a PCI function in machines of the real kernel: driven by its registers, saved, and gone on with.
import { decodeRecord, encodeRecord, toState } from "@godwit/core";
import { pciMachine, sectionOf } from "@godwit/virtio-testkit";
import { describe, expect, it } from "vitest";
import { virtioRngPci, virtioRngPciFamily } from "../src/pci.ts";
import { counting, RngDriver, waiting } from "./support/rng-driver.ts";

const slot = "00:03.0";

describe("virtioRngPci", () => {
  it("goes from one machine to another with a request that waits", async () => {
    const slow = waiting();
    const here = pciMachine((wiring) => virtioRngPci({ slot, ...wiring, backend: slow }));
    const driver = new RngDriver<typeof here>(here);
    const requests = [driver.ask(2), driver.ask(3)];
    await slow.give(1, 2);
    expect([driver.take(requests), here.messages]).toEqual([[[1, 2]], [1]]);
    const stream = await here.save();

    const there = pciMachine((wiring) => virtioRngPci({ slot, ...wiring, backend: counting() }));
    there.kernel.pause();
    await there.kernel.load(stream);
    driver.machine = there;
    expect(driver.take(requests)).toEqual([]);
    there.kernel.resume();
    expect([driver.take(requests), there.messages]).toEqual([[[1, 2, 3]], [1]]);
  });

  it("writes a section that the family reads without being told anything", async () => {
    const here = pciMachine((wiring) =>
      virtioRngPci({ slot, ...wiring, backend: waiting(), queueSize: 64, msixVectors: 5, dialect: "7.2" }),
    );
    const driver = new RngDriver<typeof here>(here);
    driver.ask(3);
    const sample = sectionOf(await here.save(), "0000:00:03.0/virtio-rng");
    const parameters = virtioRngPciFamily.infer(sample);
    expect(parameters).toMatchObject({ msixVectors: 5, modern: true, configBytes: 256 });
    const description = virtioRngPciFamily.build(parameters);
    const record = decodeRecord(description, sample.bytes);
    expect(Buffer.compare(encodeRecord(description, record), sample.bytes)).toBe(0);
    expect(toState(description, record)).toMatchObject({ vqs: [{ num: 64, last_avail_idx: 0 }], device: {} });
  });
});
