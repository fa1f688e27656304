// The device moves between frames: what the guest set up goes with it, and no frame is lost or repeated.
import { isMigrationError } from "@godwit/core";
import { machine, move } from "@godwit/virtio-testkit";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { controlClass, macCommand, mqCommand, rxCommand, vlanCommand } from "../src/constants.ts";
import type { VirtioNetState } from "../src/device-state.ts";
import { virtioNet } from "../src/model.ts";
import { frame, mac, NetDriver, numberOf, own } from "./support/net-driver.ts";

describe("a move", () => {
  it("keeps the receive filter, the address, the link and the queue pairs in use", () => {
    const make = () => virtioNet({ mac: own, send: () => {}, queuePairs: 3 });
    const from = make();
    const driver = new NetDriver(machine(from));
    driver.controlAt(6);
    driver.command(controlClass.RX, rxCommand.PROMISC, [0]);
    driver.command(controlClass.RX, rxCommand.ALLUNI, [1]);
    driver.command(controlClass.MAC, macCommand.ADDR_SET, mac("52:54:00:aa:bb:cc"));
    driver.command(controlClass.MAC, macCommand.TABLE_SET, [0, 0, 0, 0, 1, 0, 0, 0, ...mac("33:33:00:00:00:01")]);
    driver.command(controlClass.VLAN, vlanCommand.ADD, [9, 1]);
    driver.command(controlClass.MQ, mqCommand.VQ_PAIRS_SET, [2, 0]);
    from.setLink(false);
    const before = from.save();
    const to = make();
    const there = machine(to);
    move(driver, there);
    // It runs there already, and has asked the driver to announce itself.
    expect(to.save()).toEqual({ ...before, status: 2 });
    expect(to.save()).toMatchObject({ promisc: 0, alluni: 1, mac_table_in_use: 1, curr_queue_pairs: 2 });
    expect([...there.device.readConfig(0, 10)]).toEqual([...mac("52:54:00:aa:bb:cc"), 2, 0, 3, 0]);
  });

  it("takes the filter as it was, though the destination would begin with another", () => {
    const from = virtioNet({ mac: own, send: () => {} });
    const driver = new NetDriver(machine(from));
    driver.command(controlClass.VLAN, vlanCommand.ADD, [1, 0]);
    const to = virtioNet({ mac: "02:00:00:00:00:09", send: () => {} });
    const there = machine(to);
    new NetDriver(there);
    move(driver, there);
    expect(to.save().vlans[0]).toBe(2);
    there.device.setStatus(0);
    expect([...to.configBytes().subarray(0, 6)]).toEqual(mac("02:00:00:00:00:09"));
  });

  it("sends what the driver had put into the ring without a kick", () => {
    const driver = new NetDriver(machine(virtioNet({ mac: own, send: () => {} })));
    driver.put(frame(own, 1));
    const sent: number[] = [];
    move(driver, machine(virtioNet({ mac: own, send: (one) => sent.push(numberOf(one)) })));
    expect(sent).toEqual([1]);
    expect(driver.ring(1).reap()).toHaveLength(1);
  });

  it("delivers nothing into memory that may have been sent: what arrives waits, here or for whoever takes it", async () => {
    const from = virtioNet({ mac: own, send: () => {} });
    const driver = new NetDriver(machine(from));
    for (let i = 0; i < 4; i++) driver.give();
    expect(from.receive(frame(own, 1))).toBe("delivered");
    await from.quiesce?.();
    const before = driver.machine.ram.slice();
    expect(from.receive(frame(own, 2))).toBe("queued");
    expect(Buffer.compare(driver.machine.ram, before)).toBe(0);
    const to = virtioNet({ mac: own, send: () => {} });
    const there = machine(to);
    move(driver, there);
    for (const waiting of from.takeBacklog()) expect(to.receive(waiting.frame, waiting.header)).toBe("delivered");
    expect(driver.take().map(numberOf)).toEqual([1, 2]);
  });

  it("is refused where the destination has another number of queue pairs", () => {
    const driver = new NetDriver(machine(virtioNet({ mac: own, send: () => {}, queuePairs: 2 })));
    const bytes = driver.machine.save();
    const load = (queuePairs: number): unknown => {
      const to = machine(virtioNet({ mac: own, send: () => {}, queuePairs }));
      to.ram.set(driver.machine.ram);
      try {
        return to.load(bytes);
      } catch (error) {
        return isMigrationError(error) ? [error.code, error.location.path] : error;
      }
    };
    expect(load(2)).toBeUndefined();
    expect(load(3)).toEqual(["FIELD_UNEQUAL", "device.max_queue_pairs"]);
  });
});

describe("a state that another virtio-net had", () => {
  const net = virtioNet({ mac: own, send: () => {} });
  const refusal = (change: Partial<VirtioNetState>): unknown => {
    try {
      return net.check?.({ ...net.save(), ...change }, undefined as never);
    } catch (error) {
      return isMigrationError(error) ? [error.code, error.location.path] : error;
    }
  };

  it("is refused where this one could not go on with it", () => {
    expect(refusal({})).toBeUndefined();
    expect(refusal({ has_vnet_hdr: 1 })).toEqual(["DEVICE_CHECK", "device.has_vnet_hdr"]);
    expect(refusal({ has_ufo: 1 })).toEqual(["DEVICE_CHECK", "device.has_ufo"]);
    expect(refusal({ mergeable_rx_bufs: 1 })).toBeUndefined();
    expect(refusal({ curr_guest_offloads: 2n })).toEqual(["DEVICE_CHECK", "device.curr_guest_offloads"]);
    expect(refusal({ rss: { ...net.save().rss, enabled: true } })).toEqual(["DEVICE_CHECK", "device.rss.enabled"]);
    expect(refusal({ backend: { chunks: [Uint8Array.of(1)] } })).toEqual(["DEVICE_CHECK", "device.backend.chunks"]);
  });
});

describe("any run of frames", () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("send" as const), kick: fc.boolean() }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("receive" as const) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("give" as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("move" as const) }) },
  );

  it("arrives in order, each frame once, both ways, through any number of moves", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const sent: number[] = [];
        const make = () => virtioNet({ mac: own, send: (one) => sent.push(numberOf(one)), backlogFrames: 100 });
        let net = make();
        const driver = new NetDriver(machine(net, new Uint8Array(1 << 19)));
        const [out, into]: [number[], number[]] = [[], []];
        const received: number[] = [];
        const drain = (): void => {
          received.push(...driver.take().map(numberOf));
          driver.ring(1).reap();
        };
        for (const one of steps) {
          if (one.kind === "send") {
            out.push(out.length);
            driver.put(frame(own, out.length - 1));
            if (one.kick) driver.ring(1).kick();
          } else if (one.kind === "receive") {
            into.push(into.length);
            net.receive(frame(own, into.length - 1));
          } else if (one.kind === "give") driver.give(200);
          else {
            const from = net;
            net = make();
            move(driver, machine(net, new Uint8Array(1 << 19)));
            for (const waiting of from.takeBacklog()) net.receive(waiting.frame, waiting.header);
          }
          drain();
        }
        driver.ring(1).kick();
        for (let i = received.length; i < into.length; i++) driver.give(200);
        drain();
        expect(sent).toEqual(out);
        expect(received).toEqual(into);
      }),
      { seed: 20261121, numRuns: 80 },
    );
  });
});
