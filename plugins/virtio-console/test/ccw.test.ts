// The device behind a subchannel, in machines of the real kernel: driven by channel programs, saved, and gone on with.
import { decodeRecord, encodeRecord, toState } from "@godwit/core";
import { ccwMachine, sectionOf } from "@godwit/virtio-testkit";
import { describe, expect, it } from "vitest";
import { virtioConsoleCcw, virtioConsoleCcwFamily } from "../src/ccw.ts";
import { SerialDriver, terminal } from "./support/serial-driver.ts";

const busId = "fe.0.0005";

describe("virtioConsoleCcw", () => {
  it("goes from one machine to another with output half taken", async () => {
    const [here, there] = [terminal({ id: 2, space: 4 }), terminal({ id: 2 })];
    const make = (end: typeof here) =>
      ccwMachine((wiring) => virtioConsoleCcw({ busId, ...wiring, ports: [end], maxPorts: 4 }));
    const from = make(here);
    const driver = new SerialDriver<typeof from>(from);
    driver.open(2);
    const heads = [driver.write(2, "ab", "cdef"), driver.write(2, "gh")];
    const stream = await from.save();

    const sample = sectionOf(stream, "/fe.0.0005/virtio-console");
    const parameters = virtioConsoleCcwFamily.infer(sample);
    expect(parameters).toMatchObject({ maxPorts: 4, packed: false });
    const description = virtioConsoleCcwFamily.build(parameters);
    const record = decodeRecord(description, sample.bytes);
    expect(Buffer.compare(encodeRecord(description, record), sample.bytes)).toBe(0);
    expect(toState(description, record).legacy.ports).toMatchObject([{ id: 2, iov_idx: 1, iov_offset: 2 }]);

    const to = make(there);
    to.kernel.pause();
    await to.kernel.load(stream);
    driver.machine = to;
    to.kernel.resume();
    expect([here.taken, there.taken, driver.written(2)]).toEqual(["abcd", "efgh", heads]);
    // Queue 7 takes the output of port 2.
    expect(to.messages).toEqual([8]);
  });
});
