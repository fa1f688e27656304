// What a driver and a back end leave to each other: packet headers, merged buffers, scaling, announcement.
import { isMigrationError } from "@godwit/core";
import { feature } from "@godwit/virtio-core";
import { machine, move } from "@godwit/virtio-testkit";
import { describe, expect, it } from "vitest";
import { controlAck, controlClass, netFeature } from "../src/constants.ts";
import { type PacketHeader, plainHeader, type VirtioNetOptions, virtioNet } from "../src/index.ts";
import { frame, mac, NetDriver, own } from "./support/net-driver.ts";

const { OK, ERR } = controlAck;
const tso: PacketHeader = { flags: 1, gsoType: 1, headerLength: 54, gsoSize: 1448, csumStart: 34, csumOffset: 16 };

function rig(options: Partial<VirtioNetOptions> = {}, without = 0n) {
  const sent: [Uint8Array, PacketHeader][] = [];
  const net = virtioNet({ mac: own, send: (one, header) => sent.push([one, header]), ...options });
  const to = machine(net);
  const driver = new NetDriver(to, to.device.hostFeatures & ~without);
  return { net, driver, sent };
}

/** Gives a buffer of so many bytes; whoever reads it knows its place by the head. */
function give(driver: NetDriver, bytes: number): number {
  const at = driver.allocate(bytes);
  driver.ring(0).add([], [{ at, length: bytes }]);
  driver.ring(0).kick();
  return at;
}

const numbered = (length: number): Uint8Array => {
  const bytes = Uint8Array.from({ length }, (_, i) => i);
  bytes.set(mac(own));
  return bytes;
};

describe("the offered features", () => {
  const offered = (options: Partial<VirtioNetOptions> = {}): bigint =>
    virtioNet({ mac: own, send: () => {}, ...options }).features;
  it("are those of QEMU's network card, by what its back end can", () => {
    expect(offered()).toBe(0xbf_8024n);
    expect(offered({ queuePairs: 2, mtu: 1400 })).toBe(0xff_802cn);
    expect(offered({ vnetHdr: true })).toBe(0xbf_ffa7n);
    expect(offered({ vnetHdr: true, ufo: false })).toBe(0xbf_bba7n);
    expect(offered({ rss: true, announce: false }) & (netFeature.RSS | netFeature.GUEST_ANNOUNCE)).toBe(netFeature.RSS);
    expect(offered({ controlQueue: false, mergedBuffers: false })).toBe(0x1_0020n);
  });
});

describe("configuration space", () => {
  const config = (options: Partial<VirtioNetOptions>) =>
    Buffer.from(virtioNet({ mac: own, send: () => {}, ...options }).configBytes()).toString("hex");
  it("is as long as the last field that a feature brings, as in QEMU", () => {
    expect(config({})).toBe("5254001234560100");
    expect(config({ queuePairs: 3 })).toBe("52540012345601000300");
    expect(config({ mtu: 1400 })).toBe("525400123456010001007805");
    expect(config({ rss: true })).toBe("525400123456010001000000ffffffffff288000ff010000");
  });
});

describe("merged buffers", () => {
  it("take a frame across as many as it needs, each counted in the used ring", () => {
    const { net, driver } = rig();
    const places = [20, 30, 40].map((bytes) => give(driver, bytes));
    const one = numbered(60);
    expect(net.receive(one)).toBe("delivered");
    expect(
      driver
        .ring(0)
        .reap()
        .map(({ length }) => length),
    ).toEqual([20, 30, 22]);
    const bytes = places.flatMap((at, i) => [...driver.bytes(at, [20, 30, 22][i] as number)]);
    expect(bytes).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, ...one]);
    expect(driver.machine.interrupts).toEqual([0]);
  });

  it("wait for enough of them, and take none before", () => {
    const { net, driver } = rig();
    give(driver, 40);
    expect(net.receive(numbered(60))).toBe("queued");
    expect([driver.ring(0).reap(), driver.machine.device.queues[0]?.inuse]).toEqual([[], 0]);
    give(driver, 40);
    expect(
      driver
        .ring(0)
        .reap()
        .map(({ length }) => length),
    ).toEqual([40, 32]);
    give(driver, 8);
    expect(net.receive(frame(own, 1))).toBe("queued");
    give(driver, 200);
    // The first of them has no room for a header, which is never split.
    expect([driver.ring(0).reap(), net.takeBacklog()]).toEqual([[], []]);
  });

  it("give a legacy driver that takes them the longer header, and others the shorter one", () => {
    const header = (without: bigint) => {
      const { net, driver } = rig({}, feature.VERSION_1 | without);
      const at = give(driver, 100);
      expect(net.receive(frame(own, 0x0102_0304))).toBe("delivered");
      return [driver.ring(0).reap()[0]?.length, ...driver.bytes(at + 10, 2)];
    };
    expect(header(0n)).toEqual([76, 1, 0]);
    expect(header(netFeature.MRG_RXBUF)).toEqual([74, 0x52, 0x54]);
  });

  it("travel as the driver chose", () => {
    const to = virtioNet({ mac: own, send: () => {} });
    const { net, driver } = rig();
    expect([net.save().mergeable_rx_bufs, rig({}, netFeature.MRG_RXBUF).net.save().mergeable_rx_bufs]).toEqual([1, 0]);
    give(driver, 20);
    give(driver, 90);
    move(driver, machine(to));
    expect(to.receive(frame(own, 4))).toBe("delivered");
    expect(
      driver
        .ring(0)
        .reap()
        .map(({ length }) => length),
    ).toEqual([20, 56]);
  });
});

describe("packet headers", () => {
  it("go to a back end that takes them, both ways", () => {
    const { net, driver, sent } = rig({ vnetHdr: true });
    const at = driver.allocate(12 + 64);
    driver.machine.ram.set([1, 1, 54, 0, 0xa8, 5, 34, 0, 16, 0, 0, 0, ...frame(own, 9)], at);
    driver.ring(1).add([{ at, length: 76 }], []);
    driver.ring(1).kick();
    expect(sent).toEqual([[frame(own, 9), tso]]);
    const into = give(driver, 200);
    expect(net.receive(frame(own, 3), tso)).toBe("delivered");
    expect([...driver.bytes(into, 12)]).toEqual([1, 1, 54, 0, 0xa8, 5, 34, 0, 16, 0, 1, 0]);
  });

  it("of a driver are not looked at by a back end that takes frames", () => {
    const { driver, sent } = rig();
    const at = driver.allocate(12 + 64);
    driver.machine.ram.set([1, 1, 54, 0], at);
    driver.ring(1).add([{ at, length: 76 }], []);
    driver.ring(1).kick();
    expect(sent.map(([, header]) => header)).toEqual([plainHeader]);
  });

  it("drop what the driver cannot finish, and hide what it did not ask for", () => {
    const { net, driver } = rig({ vnetHdr: true }, netFeature.GUEST_TSO4 | netFeature.GUEST_ECN);
    const at = give(driver, 200);
    const results = [tso, { ...tso, gsoType: 0x84 }, { ...tso, gsoType: 7 }, { ...tso, gsoType: 3 }].map((header) =>
      net.receive(frame(own, 3), header),
    );
    expect(results).toEqual(["dropped", "dropped", "dropped", "delivered"]);
    expect(driver.bytes(at, 2)).toEqual(Uint8Array.of(1, 3));
    const plain = rig({ vnetHdr: true }, netFeature.GUEST_CSUM);
    const place = give(plain.driver, 200);
    expect(plain.net.receive(frame(own, 3), { ...plainHeader, flags: 2 })).toBe("delivered");
    expect(plain.driver.bytes(place, 1)).toEqual(Uint8Array.of(0));
    expect(rig().net.receive(frame(own, 3), tso)).toBe("dropped");
  });

  it("are switched by the driver, as far as it has agreed to them; the choice travels", () => {
    const set = (driver: NetDriver, bits: bigint) => {
      const data = new DataView(new ArrayBuffer(8));
      data.setBigUint64(0, bits, true);
      return driver.command(controlClass.GUEST_OFFLOADS, 0, new Uint8Array(data.buffer));
    };
    const { net, driver } = rig({ vnetHdr: true }, netFeature.GUEST_UFO);
    expect(net.guestOffloads).toBe(0x382n);
    expect([set(driver, 0x402n), set(driver, 0x82n), net.guestOffloads]).toEqual([ERR, OK, 0x82n]);
    const to = virtioNet({ mac: own, send: () => {}, vnetHdr: true });
    move(driver, machine(to));
    expect([to.guestOffloads, to.save().has_vnet_hdr, to.save().has_ufo]).toEqual([0x82n, 1, 1]);
    const none = rig();
    expect([set(none.driver, 0n), none.net.guestOffloads]).toEqual([ERR, 0n]);
    // A driver that has no choice has all that it agreed to.
    const fixed = rig({ vnetHdr: true }, netFeature.CTRL_GUEST_OFFLOADS);
    const there = virtioNet({ mac: own, send: () => {}, vnetHdr: true });
    move(fixed.driver, machine(there));
    expect(there.guestOffloads).toBe(0x782n);
  });
});

describe("announcement", () => {
  it("is asked for where a guest arrives, once, and again when the machine wants it", () => {
    const { net, driver } = rig();
    const to = virtioNet({ mac: own, send: () => {} });
    const there = machine(to);
    move(driver, there);
    expect([there.interrupts, there.device.readConfig(6, 2)]).toEqual([[-1], Uint8Array.of(3, 0)]);
    const ack = () => driver.command(controlClass.ANNOUNCE, 0, []);
    expect([ack(), ack(), to.save().status]).toEqual([OK, ERR, 1]);
    there.resume();
    expect([to.save().status, to.announce(), to.save().status, net.save().status]).toEqual([1, true, 3, 1]);
    expect(rig({}, netFeature.GUEST_ANNOUNCE).net.announce()).toBe(false);
  });
});

describe("receive-side scaling", () => {
  // Verification vectors of the RSS specification: key, addresses and ports, hash.
  const key = Uint8Array.from(
    "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa".match(/../g) ?? [],
    (pair) => Number.parseInt(pair, 16),
  );
  const tcp4 = (source: number[], target: number[], ports: [number, number]): Uint8Array => {
    const bytes = new Uint8Array(64);
    bytes.set(mac(own));
    bytes.set([0x08, 0x00, 0x45], 12);
    bytes[14 + 9] = 6;
    bytes.set([...source, ...target, ports[0] >> 8, ports[0] & 255, ports[1] >> 8, ports[1] & 255], 14 + 12);
    return bytes;
  };
  const first = tcp4([66, 9, 149, 187], [161, 142, 100, 80], [2794, 1766]);
  const command = (types: number, table: number[], fallback: number, pairs: number): number[] => [
    ...[types, 0, 0, 0, table.length - 1, 0, fallback, 0],
    ...table.flatMap((entry) => [entry, 0]),
    ...[pairs, 0, key.length, ...key],
  ];
  const scaled = (options: Partial<VirtioNetOptions> = {}) => {
    const all = rig({ queuePairs: 4, rss: true, queueSize: 8, ...options });
    all.driver.controlAt(8);
    return all;
  };

  it("picks the queue by the hash of addresses and ports", () => {
    const { net, driver } = scaled();
    // 0x51ccc178 with ports, 0x323e8fc2 without: the low bits are 0 and 2 of 8.
    const table = [1, 0, 3, 0, 0, 0, 0, 0];
    const queueFor = (types: number): number => {
      expect(driver.command(controlClass.MQ, 1, command(types, table, 2, 4))).toBe(OK);
      for (let pair = 0; pair < 4; pair++) driver.give(200, pair);
      expect(net.receive(first)).toBe("delivered");
      return [0, 1, 2, 3].find((pair) => driver.take(pair).length > 0) as number;
    };
    expect([queueFor(2), queueFor(1), queueFor(4)]).toEqual([1, 3, 2]);
  });

  it("travels, and is over when the driver chooses queue pairs again", () => {
    const { net, driver } = scaled();
    expect(driver.command(controlClass.MQ, 1, command(2, [3, 3], 0, 4))).toBe(OK);
    const to = virtioNet({ mac: own, send: () => {}, queuePairs: 4, rss: true, queueSize: 8 });
    move(driver, machine(to));
    expect(to.save().rss).toEqual(net.save().rss);
    expect(to.save()).toMatchObject({
      curr_queue_pairs: 4,
      rss: { enabled: true, indirections_len: 2, hash_types: 2 },
    });
    expect(driver.command(controlClass.MQ, 0, [2, 0])).toBe(OK);
    expect(to.save()).toMatchObject({ curr_queue_pairs: 2, rss: { enabled: false } });
  });

  it("is refused where it leads nowhere", () => {
    const { driver } = scaled();
    const answer = (data: number[]) => driver.command(controlClass.MQ, 1, data);
    expect(answer(command(2, [4, 0], 0, 4))).toBe(ERR);
    expect(answer(command(2, [0, 0], 4, 4))).toBe(ERR);
    expect(answer(command(2, [0, 0, 0], 0, 4))).toBe(ERR);
    expect(answer(command(2, [0, 0], 0, 5))).toBe(ERR);
    expect(answer(command(2, [0, 0], 0, 4).slice(0, -1))).toBe(ERR);
    const plain = scaled({ rss: false });
    expect(plain.driver.command(controlClass.MQ, 1, command(2, [0, 0], 0, 4))).toBe(ERR);
  });

  it("is refused on arrival where it leads nowhere", () => {
    const { net, driver } = scaled();
    driver.command(controlClass.MQ, 1, command(2, [3, 3], 0, 4));
    const refusal = (options: Partial<VirtioNetOptions>, change: object) => {
      const to = virtioNet({ mac: own, send: () => {}, queuePairs: 4, rss: true, ...options });
      const state = net.save();
      try {
        return to.check?.({ ...state, rss: { ...state.rss, ...change } }, undefined as never);
      } catch (error) {
        return isMigrationError(error) ? error.location.path : error;
      }
    };
    expect(refusal({}, {})).toBeUndefined();
    expect(refusal({ rss: false }, {})).toBe("device.rss.enabled");
    expect(refusal({ queuePairs: 3 }, {})).toBe("device.rss.indirections_table");
    expect(refusal({}, { populate_hash: true })).toBe("device.rss.populate_hash");
    expect(refusal({}, { indirections_len: 3 })).toBe("device.rss.indirections_len");
  });
});
