// The device as a PCI function in machines of the real kernel: driven by its registers, saved, and gone on with.
import { decodeRecord, encodeRecord, toState } from "@godwit/core";
import { pciMachine, sectionOf } from "@godwit/virtio-testkit";
import { describe, expect, it } from "vitest";
import { controlClass, rxCommand } from "../src/constants.ts";
import { virtioNetPci, virtioNetPciFamily } from "../src/pci.ts";
import { frame, mac, NetDriver, numberOf, own } from "./support/net-driver.ts";

const slot = "00:01.0";

describe("virtioNetPci", () => {
  it("goes from one machine to another between frames", async () => {
    const wire: number[] = [];
    const send = (bytes: Uint8Array): void => {
      wire.push(numberOf(bytes));
    };
    const make = () => pciMachine((wiring) => virtioNetPci({ slot, ...wiring, mac: own, send }));
    const here = make();
    const driver = new NetDriver<typeof here>(here);
    expect(driver.command(controlClass.RX, rxCommand.PROMISC, [0])).toBe(0);
    driver.send(frame(own, 1));
    driver.give();
    here.offer.net.receive(frame(own, 10));
    here.offer.net.receive(frame(own, 11));
    driver.put(frame(own, 2));
    expect([wire, here.messages]).toEqual([[1], [3, 2, 1]]);
    here.kernel.pause();
    const stream = await here.save();

    const there = make();
    there.kernel.pause();
    await there.kernel.load(stream);
    driver.machine = there;
    there.kernel.resume();
    for (const late of here.offer.net.takeBacklog()) expect(there.offer.net.receive(late.frame)).toBe("queued");
    driver.give();
    expect(driver.take().map(numberOf)).toEqual([10, 11]);
    expect(driver.ring(1).reap()).toHaveLength(2);
    expect([wire, there.messages]).toEqual([
      [1, 2],
      // The first message asks the driver to announce itself.
      [0, 2, 1],
    ]);
    expect(there.offer.net.receive(frame("52:54:00:00:00:99", 12))).toBe("dropped");
  });

  it("writes a section that the family reads without being told anything", async () => {
    const make = () =>
      pciMachine((wiring) => virtioNetPci({ slot, ...wiring, mac: own, send: () => {}, queuePairs: 4, queueSize: 16 }));
    const here = make();
    const driver = new NetDriver<typeof here>(here);
    driver.controlAt(8);
    expect(driver.command(4, 0, [3, 0])).toBe(0);
    const sample = sectionOf(await here.save(), "0000:00:01.0/virtio-net");
    const parameters = virtioNetPciFamily.infer(sample);
    expect(parameters).toMatchObject({ queuePairs: 4, msixVectors: 10, modern: true });
    const description = virtioNetPciFamily.build(parameters);
    const record = decodeRecord(description, sample.bytes);
    expect(Buffer.compare(encodeRecord(description, record), sample.bytes)).toBe(0);
    expect(toState(description, record).device).toMatchObject({
      mac: Uint8Array.from(mac(own)),
      max_queue_pairs: 4,
      curr_queue_pairs: 3,
      more_tx_waiting: Uint32Array.of(0, 0),
    });
  });
});
