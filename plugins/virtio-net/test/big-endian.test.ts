// A legacy driver on a big-endian CPU: its rings, the headers before its frames, its commands and its configuration space
// are in the CPU's order (virtio 1.2, sections 2.7.3.1, 5.1.4.4 and 5.1.6.1).
import { decodeState } from "@godwit/core";
import { pciMachine, sectionOf } from "@godwit/virtio-testkit";
import { describe, expect, it } from "vitest";
import { controlClass, mqCommand, rxCommand, vlanCommand } from "../src/constants.ts";
import type { PacketHeader } from "../src/packet-header.ts";
import { virtioNetPci, virtioNetPciFamily } from "../src/pci.ts";
import { frame, mac, NetDriver, numberOf, own } from "./support/net-driver.ts";

const slot = "00:01.0";
const offloaded: PacketHeader = {
  flags: 1,
  gsoType: 1,
  headerLength: 0x0136,
  gsoSize: 0x05b4,
  csumStart: 0x0122,
  csumOffset: 0x0110,
};
/** As it is in memory, with the number of buffers. */
const asBytes = [1, 1, 0x01, 0x36, 0x05, 0xb4, 0x01, 0x22, 0x01, 0x10, 0x00, 0x01];

describe("a big-endian legacy driver", () => {
  it("is served, and goes on where it arrives", async () => {
    const sent: [number, PacketHeader][] = [];
    const make = () =>
      pciMachine(
        (wiring) =>
          virtioNetPci({
            slot,
            mode: "transitional",
            targetEndian: "big",
            mac: own,
            vnetHdr: true,
            queuePairs: 2,
            mtu: 0x1234,
            ...wiring,
            send: (bytes, header) => sent.push([numberOf(bytes), header]),
          }),
        { legacy: true, bigEndian: true },
      );
    const here = make();
    const driver = new NetDriver<typeof here>(here);
    driver.controlAt(4);
    const { function: pci } = here.offer;
    const config = (of: typeof pci) =>
      Array.from({ length: 12 }, (_, i) => of.bars.find(({ index }) => index === 0)?.read(0x18 + i, 1));
    // Link up, two queue pairs, MTU: the higher byte first.
    expect(config(pci)).toEqual([...mac(own), 0, 1, 0, 2, 0x12, 0x34]);

    const send = (number: number): void => {
      const bytes = Uint8Array.of(...asBytes, ...frame("ff:ff:ff:ff:ff:ff", number));
      const at = driver.allocate(bytes.length);
      driver.machine.ram.set(bytes, at);
      driver.ring(1).add([{ at, length: bytes.length }], []);
      driver.ring(1).kick();
    };
    const receive = (number: number): number[] => {
      const at = driver.allocate(1526);
      driver.ring(0).add([], [{ at, length: 1526 }]);
      expect(driver.machine.offer.net.receive(frame(own, number), offloaded)).toBe("delivered");
      const [done] = driver.ring(0).reap();
      expect(numberOf(driver.bytes(at + 12, 64))).toBe(number);
      return [done?.length as number, ...driver.bytes(at, 12)];
    };
    send(1);
    expect(sent.splice(0)).toEqual([[1, offloaded]]);
    expect(receive(2)).toEqual([76, ...asBytes]);
    // VLAN 0x0102; 0x0201 is another one. Two pairs; 0x0200 would be too many.
    expect(driver.command(controlClass.RX, rxCommand.PROMISC, [0])).toBe(0);
    expect(driver.command(controlClass.VLAN, vlanCommand.ADD, [0x01, 0x02])).toBe(0);
    expect(driver.command(controlClass.MQ, mqCommand.VQ_PAIRS_SET, [0, 2])).toBe(0);
    expect(driver.command(controlClass.MQ, mqCommand.VQ_PAIRS_SET, [2, 0])).not.toBe(0);
    driver.command(controlClass.MQ, mqCommand.VQ_PAIRS_SET, [0, 1]);
    here.kernel.pause();

    const stream = await here.save();
    const sample = sectionOf(stream, `0000:${slot}/virtio-net`);
    const state = decodeState(virtioNetPciFamily.build(virtioNetPciFamily.infer(sample)), sample.bytes);
    expect([...state.config]).toEqual([...mac(own), 0, 1, 0, 2, 0x12, 0x34]);
    const vlans = new DataView(state.device.vlans.buffer, state.device.vlans.byteOffset);
    // The table is in the host's order, whatever the guest's.
    expect(vlans.getUint32(4 * (0x0102 >> 5), true)).toBe(1 << (0x0102 & 31));
    const there = make();
    there.kernel.pause();
    await there.kernel.load(stream);
    driver.machine = there;
    there.kernel.resume();
    send(3);
    expect(sent).toEqual([[3, offloaded]]);
    expect(receive(4)).toEqual([76, ...asBytes]);
    // Asked to announce itself, beside the link.
    expect(config(there.offer.function).slice(6)).toEqual([0, 3, 0, 2, 0x12, 0x34]);
    expect(there.offer.net.receive(frame(own, 5, 0x0102), offloaded)).toBe("queued");
    expect(there.offer.net.receive(frame(own, 6, 0x0201), offloaded)).toBe("dropped");
  });
});
