// The device at work: frames out, frames in, and what the driver wants of those.

import { machine } from "@godwit/virtio-testkit";
import { describe, expect, it } from "vitest";
import { controlAck, controlClass, macCommand, mqCommand, rxCommand, vlanCommand } from "../src/constants.ts";
import { type VirtioNetModel, type VirtioNetOptions, virtioNet } from "../src/model.ts";
import { frame, mac, NetDriver, numberOf, own } from "./support/net-driver.ts";

interface Rig {
  readonly net: VirtioNetModel;
  readonly driver: NetDriver;
  readonly sent: Uint8Array[];
}

function rig(options: Partial<VirtioNetOptions> = {}): Rig {
  const sent: Uint8Array[] = [];
  const net = virtioNet({ mac: own, send: (one) => sent.push(one), ...options });
  return { net, driver: new NetDriver(machine(net)), sent };
}

const broadcast = "ff:ff:ff:ff:ff:ff";
const { OK, ERR } = controlAck;

describe("transmit", () => {
  it("sends frames in order, without the header", () => {
    const { driver, sent } = rig();
    for (const n of [1, 2, 3]) driver.put(frame(broadcast, n));
    driver.ring(1).kick();
    expect(sent).toEqual([1, 2, 3].map((n) => frame(broadcast, n)));
    expect(
      driver
        .ring(1)
        .reap()
        .map(({ length }) => length),
    ).toEqual([0, 0, 0]);
    expect(driver.machine.interrupts).toEqual([1]);
  });

  it("is broken by a buffer that is shorter than a header, or to be written to", () => {
    for (const into of [[], [{ at: 0x8100, length: 8 }]]) {
      const { driver } = rig();
      driver.ring(1).add([{ at: 0x8000, length: into.length === 0 ? 11 : 80 }], into);
      driver.ring(1).kick();
      expect(driver.machine.device.broken).toBe(true);
    }
  });

  it("drops what is no frame, and sends nothing while the link is down", () => {
    const { net, driver, sent } = rig();
    driver.send(new Uint8Array(13));
    net.setLink(false);
    driver.send(frame(broadcast, 1));
    net.setLink(true);
    driver.send(frame(broadcast, 2));
    expect(sent.map(numberOf)).toEqual([2]);
    expect(driver.ring(1).reap()).toHaveLength(3);
  });
});

describe("receive", () => {
  it("fills buffers, queues what finds none, and drops what the backlog cannot hold", () => {
    const { net, driver } = rig({ backlogFrames: 2 });
    driver.give();
    expect([1, 2, 3, 4].map((n) => net.receive(frame(own, n)))).toEqual(["delivered", "queued", "queued", "dropped"]);
    expect(driver.take().map(numberOf)).toEqual([1]);
    driver.give();
    driver.give();
    driver.give();
    expect(driver.take().map(numberOf)).toEqual([2, 3]);
    expect(net.receive(frame(own, 5))).toBe("delivered");
    expect(driver.take()).toEqual([frame(own, 5)]);
    expect(driver.machine.interrupts).toEqual([0, 0, 0, 0]);
  });

  it("keeps the buffer where a frame does not fit into it", () => {
    const { net, driver } = rig({ mergedBuffers: false });
    driver.give(12 + 64);
    const long = new Uint8Array(65);
    long.set(mac(own));
    expect(net.receive(long)).toBe("dropped");
    expect(net.receive(frame(own, 7))).toBe("delivered");
    expect(driver.take().map(numberOf)).toEqual([7]);
  });

  it("takes nothing before the driver is there, after a reset, or with the link down", () => {
    const net = virtioNet({ mac: own, send: () => {} });
    const to = machine(net);
    expect(net.receive(frame(own, 1))).toBe("dropped");
    const driver = new NetDriver(to);
    expect(net.receive(frame(own, 2))).toBe("queued");
    net.setLink(false);
    expect([net.receive(frame(own, 3)), to.interrupts]).toEqual(["dropped", [-1]]);
    net.setLink(true);
    driver.give();
    expect(driver.take().map(numberOf)).toEqual([2]);
    net.receive(frame(own, 4));
    to.device.setStatus(0);
    new NetDriver(to).give();
    expect(net.takeBacklog()).toEqual([]);
  });

  it("hands its backlog out, in order", () => {
    const { net } = rig();
    for (const n of [1, 2, 3]) net.receive(frame(own, n));
    expect(net.takeBacklog().map(({ frame: one }) => numberOf(one))).toEqual([1, 2, 3]);
    expect(net.takeBacklog()).toEqual([]);
  });
});

describe("the receive filter", () => {
  const wanted = (net: VirtioNetModel, to: string, vid?: number): boolean => {
    const result = net.receive(frame(to, 0, vid)) !== "dropped";
    net.takeBacklog();
    return result;
  };
  const other = "52:54:00:00:00:99";
  const group = "33:33:00:00:00:01";

  it("lets all pass until the driver says otherwise, then its own address and broadcasts", () => {
    const { net, driver } = rig();
    expect([own, other, group, broadcast].map((to) => wanted(net, to))).toEqual([true, true, true, true]);
    expect(driver.command(controlClass.RX, rxCommand.PROMISC, [0])).toBe(OK);
    expect([own, other, group, broadcast].map((to) => wanted(net, to))).toEqual([true, false, false, true]);
  });

  it("has each mode", () => {
    const { net, driver } = rig();
    const modes = (...list: [number, number][]): boolean[] => {
      driver.command(controlClass.RX, rxCommand.PROMISC, [0]);
      for (const [mode, on] of list) expect(driver.command(controlClass.RX, mode, [on])).toBe(OK);
      const result = [own, other, group, broadcast].map((to) => wanted(net, to));
      for (const [mode] of list) driver.command(controlClass.RX, mode, [0]);
      return result;
    };
    expect(modes([rxCommand.ALLMULTI, 1])).toEqual([true, false, true, true]);
    expect(modes([rxCommand.ALLUNI, 1])).toEqual([true, true, false, true]);
    expect(modes([rxCommand.NOUNI, 1])).toEqual([false, false, false, true]);
    expect(modes([rxCommand.ALLMULTI, 1], [rxCommand.NOMULTI, 1])).toEqual([true, false, false, true]);
    expect(modes([rxCommand.NOBCAST, 1])).toEqual([true, false, false, false]);
    expect(modes([rxCommand.NOUNI, 1], [rxCommand.PROMISC, 1])).toEqual([true, true, true, true]);
  });

  const table = (unicast: number[][], multicast: number[][]): number[] =>
    [unicast, multicast].flatMap((list) => [list.length & 0xff, list.length >> 8, 0, 0, ...list.flat()]);

  it("has a MAC table, which overflows into letting pass", () => {
    const { net, driver } = rig();
    driver.command(controlClass.RX, rxCommand.PROMISC, [0]);
    const set = (unicast: number[][], multicast: number[][]): number =>
      driver.command(controlClass.MAC, macCommand.TABLE_SET, table(unicast, multicast));
    expect(set([mac(other)], [mac(group)])).toBe(OK);
    expect([own, other, group, "52:54:00:00:00:98"].map((to) => wanted(net, to))).toEqual([true, true, true, false]);
    const saved = net.save();
    expect([saved.mac_table_in_use, [...saved.mac_table_macs]]).toEqual([2, [...mac(other), ...mac(group)]]);

    const many = Array.from({ length: 65 }, (_, i) => [0x33, 0x33, 0, 0, 1, i]);
    expect(set([mac(other)], many)).toBe(OK);
    expect([net.save().mac_table_in_use, net.save().mac_table_multi_overflow]).toEqual([1, 1]);
    expect(["33:33:ff:00:00:00", "52:54:00:00:00:98"].map((to) => wanted(net, to))).toEqual([true, false]);
    expect(
      set(
        many.map(([, ...rest]) => [0x02, ...rest]),
        [],
      ),
    ).toBe(OK);
    expect([net.save().mac_table_in_use, net.save().mac_table_uni_overflow]).toEqual([0, 1]);
    expect(wanted(net, "52:54:00:00:00:98")).toBe(true);
    expect(set([], [])).toBe(OK);
    expect([other, group].map((to) => wanted(net, to))).toEqual([false, false]);
  });

  it("has VLAN ids, of which none passes until it is added", () => {
    const { net, driver } = rig();
    driver.command(controlClass.RX, rxCommand.PROMISC, [0]);
    expect([undefined, 0, 5, 4095].map((vid) => wanted(net, own, vid))).toEqual([true, false, false, false]);
    expect(driver.command(controlClass.VLAN, vlanCommand.ADD, [0xff, 0x0f])).toBe(OK);
    expect(driver.command(controlClass.VLAN, vlanCommand.ADD, [5, 0])).toBe(OK);
    expect([0, 5, 4095].map((vid) => wanted(net, own, vid))).toEqual([false, true, true]);
    expect([net.save().vlans[0], net.save().vlans[511]]).toEqual([1 << 5, 0x80]);
    expect(driver.command(controlClass.VLAN, vlanCommand.DEL, [5, 0])).toBe(OK);
    expect(wanted(net, own, 5)).toBe(false);
    expect(driver.command(controlClass.VLAN, vlanCommand.ADD, [0, 0x10])).toBe(ERR);
  });

  it("lets every VLAN id pass for a driver without the filter", () => {
    const net = virtioNet({ mac: own, send: () => {} });
    const to = machine(net);
    const driver = new NetDriver(to, to.device.hostFeatures & ~(1n << 19n));
    driver.command(controlClass.RX, rxCommand.PROMISC, [0]);
    expect(wanted(net, own, 77)).toBe(true);
    expect(net.save().vlans.every((byte) => byte === 0xff)).toBe(true);
  });

  it("takes a new address, which configuration space shows and a reset forgets", () => {
    const { net, driver } = rig();
    const { device } = driver.machine;
    driver.command(controlClass.RX, rxCommand.PROMISC, [0]);
    expect(driver.command(controlClass.MAC, macCommand.ADDR_SET, mac(other))).toBe(OK);
    expect([own, other].map((to) => wanted(net, to))).toEqual([false, true]);
    expect([...device.readConfig(0, 8)]).toEqual([...mac(other), 1, 0]);
    device.setStatus(0);
    expect([...device.readConfig(0, 8)]).toEqual([...mac(own), 1, 0]);
  });

  it("answers commands that cannot be with an error, and stays as it was", () => {
    const { net, driver } = rig();
    const before = net.save();
    const bad: [number, number, number[]][] = [
      [controlClass.RX, 6, [1]],
      [controlClass.RX, rxCommand.PROMISC, [0, 0]],
      [controlClass.MAC, macCommand.ADDR_SET, [1, 2, 3]],
      [controlClass.MAC, 2, [0]],
      [controlClass.MAC, macCommand.TABLE_SET, [1, 0, 0, 0, 1, 2, 3]],
      [controlClass.MAC, macCommand.TABLE_SET, [...table([mac(other)], []), 9]],
      [controlClass.MAC, macCommand.TABLE_SET, [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]],
      [controlClass.VLAN, 2, [0, 0]],
      [controlClass.MQ, mqCommand.VQ_PAIRS_SET, [1, 0]],
      [7, 0, [0]],
    ];
    expect(bad.map(([kind, command, data]) => driver.command(kind, command, data))).toEqual(bad.map(() => ERR));
    expect(net.save()).toEqual(before);
    expect(driver.machine.device.broken).toBe(false);
  });
});

describe("several queue pairs", () => {
  it("has its control queue behind them, uses as many as the driver says, and keeps a flow on one", () => {
    const { net, driver, sent } = rig({ queuePairs: 2 });
    const { device } = driver.machine;
    expect(device.queues.map(({ size }) => size)).toEqual([256, 256, 256, 256, 64]);
    expect([...device.readConfig(8, 2)]).toEqual([2, 0]);
    driver.controlAt(4);
    driver.send(frame(broadcast, 1), 1);
    expect(sent).toEqual([]);
    const pairs = (n: number): number => driver.command(controlClass.MQ, mqCommand.VQ_PAIRS_SET, [n, 0]);
    expect([0, 3].map(pairs)).toEqual([ERR, ERR]);
    for (const n of [1, 2]) net.receive(frame(own, n));
    expect(pairs(2)).toBe(OK);
    driver.ring(3).kick();
    expect(sent.map(numberOf)).toEqual([1]);
    // Eight flows of five frames each, told apart by the last byte of their source.
    const flows = 8;
    const flowOf = (n: number): number => n % flows;
    for (let n = 3; n < 40; n++) {
      net.receive(Uint8Array.from(frame(own, n), (byte, i) => (i === 11 ? 0x40 + flowOf(n) : byte)));
    }
    for (let i = 0; i < 40; i++) for (const pair of [0, 1]) driver.give(200, pair);
    const [first, second] = [0, 1].map((pair) => driver.take(pair).map(numberOf)) as [number[], number[]];
    expect([...first, ...second].toSorted((a, b) => a - b)).toEqual(Array.from({ length: 39 }, (_, i) => i + 1));
    const flowsOf = (list: number[]): Set<number> => new Set(list.filter((n) => n > 2).map(flowOf));
    expect(flowsOf(first).size + flowsOf(second).size).toBe(flows);
    for (const list of [first, second]) {
      expect(flowsOf(list).size).toBeGreaterThan(0);
      expect(list).toEqual(list.toSorted((a, b) => a - b));
    }
    expect(net.save()).toMatchObject({ max_queue_pairs: 2, curr_queue_pairs: 2 });
  });

  it("moves what waits to the pairs that are left", () => {
    const { net, driver } = rig({ queuePairs: 2 });
    driver.controlAt(4);
    driver.command(controlClass.MQ, mqCommand.VQ_PAIRS_SET, [2, 0]);
    for (let n = 0; n < 16; n++) net.receive(Uint8Array.from(frame(own, n), (byte, i) => (i === 11 ? n : byte)));
    expect(driver.command(controlClass.MQ, mqCommand.VQ_PAIRS_SET, [1, 0])).toBe(OK);
    for (let n = 0; n < 16; n++) driver.give(200);
    expect(
      driver
        .take()
        .map(numberOf)
        .toSorted((a, b) => a - b),
    ).toEqual(Array.from({ length: 16 }, (_, i) => i));
  });

  it("has its control queue at 2 for a driver that knows of one pair only", () => {
    const net = virtioNet({ mac: own, send: () => {}, queuePairs: 4 });
    const to = machine(net);
    const driver = new NetDriver(to, to.device.hostFeatures & ~(1n << 22n));
    expect(driver.command(controlClass.RX, rxCommand.PROMISC, [0])).toBe(OK);
    expect(net.save().promisc).toBe(0);
  });
});
