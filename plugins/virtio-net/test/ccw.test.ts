// The device on a channel: in machines of the real kernel, driven by channel programs, and with sections that QEMU wrote
// on s390x.
import { decodeRecord, decodeState, encodeRecord, encodeState, toState } from "@godwit/core";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { type RingAddresses, ringOf } from "@godwit/virtio-core";
import { ccwMachine, cutStream, FoundRing, qemuCcwMachine, sectionOf } from "@godwit/virtio-testkit";
import { describe, expect, it } from "vitest";
import { virtioNetCcw, virtioNetCcwFamily } from "../src/ccw.ts";
import { controlClass, rxCommand } from "../src/constants.ts";
import { frame, mac, NetDriver, numberOf, own } from "./support/net-driver.ts";

const busId = "fe.0.0001";

describe("virtioNetCcw", () => {
  it.each([true, false])("goes from one machine to another between frames (adapter: %s)", async (adapter) => {
    const wire: number[] = [];
    const send = (bytes: Uint8Array): void => {
      wire.push(numberOf(bytes));
    };
    const make = () => ccwMachine((wiring) => virtioNetCcw({ busId, ...wiring, mac: own, send }), { adapter });
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
    expect(wire).toEqual([1, 2]);
    expect(there.messages.filter((message) => message > 0)).toEqual([2, 1]);
    expect(there.offer.net.receive(frame("52:54:00:00:00:99", 12))).toBe("dropped");
  });

  it("writes a section that the family reads without being told anything", async () => {
    const here = ccwMachine((wiring) =>
      virtioNetCcw({ busId, ...wiring, mac: own, send: () => {}, queuePairs: 4, queueSize: 16 }),
    );
    const driver = new NetDriver<typeof here>(here);
    driver.controlAt(8);
    expect(driver.command(4, 0, [3, 0])).toBe(0);
    const sample = sectionOf(await here.save(), "/fe.0.0001/virtio-net");
    const parameters = virtioNetCcwFamily.infer(sample);
    expect(parameters).toMatchObject({ queuePairs: 4 });
    const description = virtioNetCcwFamily.build(parameters);
    const record = decodeRecord(description, sample.bytes);
    expect(Buffer.compare(encodeRecord(description, record), sample.bytes)).toBe(0);
    expect(toState(description, record).device).toMatchObject({ max_queue_pairs: 4, curr_queue_pairs: 3 });
  });
});

const guestMac = "52:54:00:12:34:58";
const streams = [
  { raw: "s390-ccw-virtio-7.2.stream", dialect: "7.2" },
  { raw: "s390-ccw-5dev-10.0.stream", dialect: "10.0" },
] as const;

describe.skipIf(!haveStreams()).each(streams)("$raw", ({ raw, dialect }) => {
  const idstr = "/fe.0.0001/virtio-net";

  it("comes back to the same bytes", () => {
    const { section } = cutStream(readStream(raw), idstr);
    const parameters = virtioNetCcwFamily.infer(section);
    expect(parameters).toMatchObject({ queuePairs: 1 });
    const description = virtioNetCcwFamily.build(parameters);
    const record = decodeRecord(description, section.bytes);
    expect(Buffer.compare(encodeRecord(description, record), section.bytes)).toBe(0);
    const state = toState(description, record);
    expect(Buffer.compare(encodeState(description, state), section.bytes)).toBe(0);
    expect(state).toMatchObject({
      vqs: [
        { num: 256, transport: { vector: 0 } },
        { num: 256, transport: { vector: 1 } },
        { num: 64, transport: { vector: 2 } },
      ],
      device: { mac: Uint8Array.from(mac(guestMac)) },
      virtio: { device_endian: { device_endian: 2 }, features64: { guest_features: 0x1_30af_8024n } },
      transport: {
        parent_obj: { sch: { cssid: 0xfe, devno: 1, migrated_schid: 0, id: { cu_model: 1 } } },
        routes: { adapter: { ind_offset: 0n } },
        revision: 2,
      },
    });
  });

  it("is loaded into a device of ours, which serves the guest's driver, and is saved the same", async () => {
    const cut = cutStream(readStream(raw), idstr);
    const sent: Uint8Array[] = [];
    const machine = await qemuCcwMachine(cut, (wiring) =>
      virtioNetCcw({ busId, ...wiring, mac: guestMac, send: (one) => sent.push(one), dialect }),
    );
    const description = virtioNetCcwFamily.build(virtioNetCcwFamily.infer(cut.section));
    const state = decodeState(description, cut.section.bytes);
    expect(Buffer.compare(await machine.section(), cut.section.bytes)).toBe(0);

    machine.kernel.resume();
    const [receive, transmit] = [0, 1].map((i) => new FoundRing(machine.dma, ringOf(state, i) as RingAddresses));
    expect(machine.offer.net.receive(frame(guestMac, 77))).toBe("delivered");
    const [done] = (receive as FoundRing).reap();
    const { at } = (receive as FoundRing).buffer(done?.head as number);
    expect(numberOf((receive as FoundRing).bytes(at, 12 + 64).subarray(12))).toBe(77);
    transmit?.add([{ out: Uint8Array.of(...new Array(12).fill(0), ...frame("ff:ff:ff:ff:ff:ff", 5)) }]);
    expect(machine.offer.subchannel.kick(1)).toBe(true);
    expect(sent.map(numberOf)).toEqual([5]);
    // The guest is asked to announce itself by its subchannel; its queues interrupt by the adapter.
    expect(machine.adapterInterrupts).toEqual([3]);
    const bits = machine.dma.read(Number(state.transport.indicators.addr), 1)[0] as number;
    expect(bits & 0x80).toBe(0x80);
  });
});
