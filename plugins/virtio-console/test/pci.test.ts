// The device as a PCI function in machines of the real kernel: driven by its registers, saved, and gone on with.
import { decodeRecord, encodeRecord, toState } from "@godwit/core";
import { pciMachine, sectionOf } from "@godwit/virtio-testkit";
import { describe, expect, it } from "vitest";
import { virtioConsolePci, virtioConsolePciFamily } from "../src/pci.ts";
import { bytesOf, SerialDriver, terminal } from "./support/serial-driver.ts";

const slot = "00:05.0";

describe("virtioConsolePci", () => {
  it("goes from one machine to another with output half taken", async () => {
    const [here, there] = [terminal({ id: 1, space: 4 }), terminal({ id: 1 })];
    const make = (end: typeof here) =>
      pciMachine((wiring) => virtioConsolePci({ slot, ...wiring, ports: [end], maxPorts: 3 }));
    const from = make(here);
    const driver = new SerialDriver<typeof from>(from);
    driver.open(1);
    const heads = [driver.write(1, "ab", "cdef"), driver.write(1, "gh")];
    const stream = await from.save();
    const to = make(there);
    to.kernel.pause();
    await to.kernel.load(stream);
    driver.machine = to;
    expect(there.taken).toBe("");
    to.kernel.resume();
    expect([here.taken, there.taken, driver.written(1)]).toEqual(["abcd", "efgh", heads]);
    driver.give(1, 9);
    expect([to.offer.serial.ports[0]?.send(bytesOf("in")), driver.read(1)]).toEqual([2, ["in"]]);
    // Queue q interrupts by message q + 1.
    expect(to.messages).toEqual([6, 5]);
  });

  it("writes a section that the family reads without being told anything", async () => {
    const end = terminal({ id: 33, space: 1 });
    const machineOf = () =>
      pciMachine((wiring) =>
        virtioConsolePci({ slot, ...wiring, ports: [end, terminal({ id: 2 })], maxPorts: 40, queueSize: 16 }),
      );
    const from = machineOf();
    const driver = new SerialDriver<typeof from>(from);
    driver.open(33);
    driver.write(33, "abc", "d");
    const sample = sectionOf(await from.save(), "0000:00:05.0/virtio-console");
    const parameters = virtioConsolePciFamily.infer(sample);
    expect(parameters).toMatchObject({ maxPorts: 40, packed: false, msixVectors: 83, modern: true });
    const description = virtioConsolePciFamily.build(parameters);
    const record = decodeRecord(description, sample.bytes);
    expect(Buffer.compare(encodeRecord(description, record), sample.bytes)).toBe(0);
    expect(toState(description, record).legacy).toMatchObject({
      ports_map: Uint32Array.of(5, 2),
      ports: [
        { id: 33, guest_connected: 1, elem_popped: 1, iov_idx: 0, iov_offset: 1, element: { out: [{}, {}] } },
        { id: 2, guest_connected: 0, elem_popped: 0 },
      ],
    });
  });
});
