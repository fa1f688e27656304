// Rings that QEMU 7.2 left behind, cut out of streams that it saved: of Linux over a packed ring in its second lap
// (virtio-blk-pci, packed=on), of SeaBIOS, which takes split rings where packed ones are offered, of a balloon that holds
// its statistics buffer, and of SLOF, a big-endian legacy driver (virtio-blk-pci, disable-modern=on, pseries).
import { decodeState, vmstate } from "@godwit/core";
import { describe, expect, it } from "vitest";
import {
  checkQueues,
  isAvailable,
  legacyRing,
  noData,
  type PackedVirtqueueState,
  readPackedRing,
  readRing,
  type VirtioState,
  type Virtqueue,
  virtioSection,
} from "../src/index.ts";
import { TestMemory } from "./support/memory.ts";
import { packedFeatures, rig } from "./support/rig.ts";

const bytesOf = (hex: string): Uint8Array =>
  Uint8Array.from(hex.replaceAll(" ", "").match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

/** Entries 0 to 2 of virtio/packed_virtqueues, decoded by the section's own description. */
function indicesOf(hex: string): readonly PackedVirtqueueState[] {
  const section = virtioSection({
    name: "virtio-thing",
    version: 1,
    parameters: { hostFeatures: packedFeatures, dialect: "7.2" },
    transport: { config: noData, queue: noData },
    device: vmstate({ name: "virtio-thing-device", version: 1, fields: {} }),
  });
  // status, isr, queue_sel, features, config_len, number of queues
  const fields = new Uint8Array(4 + 4 + 4 + 4);
  const name = Array.from("virtio/packed_virtqueues", (c) => c.charCodeAt(0));
  const unused = bytesOf("0000 01 0000 01 00000000");
  const rest = Array.from({ length: 1021 }, () => Array.from(unused)).flat();
  const bytes = Uint8Array.from([...fields, 5, name.length, ...name, 0, 0, 0, 1, ...bytesOf(hex), ...rest]);
  const state = decodeState(section, bytes) as VirtioState<unknown, unknown, unknown, unknown, unknown>;
  return state.virtio.packed_virtqueues.vq.slice(0, 3);
}

const unused = { last_avail_idx: 0, last_avail_wrap_counter: true, used_idx: 0, used_wrap_counter: true, inuse: 0 };

describe("virtio/packed_virtqueues of QEMU", () => {
  it("of a queue in its second lap", () => {
    expect(indicesOf("0043 00 0043 00 00000000  0000 01 0000 01 00000000  0000 01 0000 01 00000000")).toEqual([
      { last_avail_idx: 67, last_avail_wrap_counter: false, used_idx: 67, used_wrap_counter: false, inuse: 0 },
      unused,
      unused,
    ]);
  });

  it("of a balloon that holds an element", () => {
    expect(indicesOf("0000 01 0000 01 00000000  0000 01 0000 01 00000000  0001 01 0000 01 00000001")).toEqual([
      unused,
      unused,
      { ...unused, last_avail_idx: 1, inuse: 1 },
    ]);
  });

  it("has the indices of split rings, too: a driver that did not accept packed ones, after one request", () => {
    const [qemu] = indicesOf("0001 01 0001 01 00000000  0000 01 0000 01 00000000  0000 01 0000 01 00000000");
    const all = rig({ parameters: { hostFeatures: packedFeatures } });
    all.start(packedFeatures & 0x3_ffff_ffffn);
    all.rings[0]?.add({ address: 0x6000, length: 4 });
    all.device.kick(0);
    expect(all.state()["virtio"].packed_virtqueues.vq[0]).toEqual(qemu);
  });
});

/** Slots 60 to 68 of 256, and the event structures of driver and device. */
const secondLap = [
  "20947405000000000100000000000280",
  "90957405000000000110000000000000",
  "00e08202000000000010000000000380",
  "a0957405000000000100000000000280",
  "10977405000000000110000000000000",
  "00e08202000000000010000000000380",
  "20977405000000000100000000000280",
  "90807405000000000100000000008080",
  "00907e05000000000010000000008100",
];
const events = "43000200";

describe("a packed ring that QEMU served", () => {
  const base = 0x1000;
  const memory = new TestMemory();
  for (const [i, hex] of secondLap.entries()) memory.bytes.set(bytesOf(hex), base + 16 * (60 + i));
  memory.bytes.set(bytesOf(events), base + 16 * 256);
  memory.bytes.set(bytesOf(events), base + 16 * 256 + 4);
  const all = rig({ memory, queueSizes: [256], parameters: { hostFeatures: packedFeatures } });
  all.start(packedFeatures);
  const state = all.state();
  state["virtio"].packed_virtqueues.vq[0] = { ...unused, last_avail_idx: 67, last_avail_wrap_counter: false };
  Object.assign(state["virtio"].packed_virtqueues.vq[0], { used_idx: 67, used_wrap_counter: false });

  it("agrees with its indices: used up to there, of the lap before from there on", () => {
    expect(checkQueues(state as never, memory)).toEqual([]);
    const { descriptors, driverEvent, deviceEvent } = readPackedRing(memory, {
      num: 256,
      desc: BigInt(base),
      avail: BigInt(base + 16 * 256),
      used: BigInt(base + 16 * 256 + 4),
    });
    expect([driverEvent, deviceEvent]).toEqual(new Array(2).fill({ offset: 67, wrap: false, flags: 2 }));
    // Three slots a request; the first says that it is used, and how much QEMU has written.
    expect(descriptors.slice(61, 67).map(({ flags }) => flags)).toEqual([0, 0x8003, 0x8002, 0, 0x8003, 0x8002]);
    expect(descriptors.slice(61, 65).map(({ length }) => length)).toEqual([4097, 4096, 1, 4097]);
    expect(isAvailable(descriptors[67]?.flags ?? 0, false)).toBe(false);
  });

  it("is gone on with: the next request is found in slot 67, and given back there", () => {
    all.registered().init.load(state);
    const [queue] = all.device.queues as [Virtqueue];
    expect(queue.pop()).toBeUndefined();
    const [driver] = all.packedRings;
    if (driver === undefined) throw new Error("the rig has a ring");
    const slot = (index: number, length: number, flags: number) =>
      driver.descriptor(base + 16 * index, 0x6000, length, 0, flags);
    slot(68, 4096, 0x8003);
    slot(69, 1, 0x8002);
    slot(67, 16, 0x8001);
    const element = queue.pop();
    expect(element).toMatchObject({
      index: 0,
      ndescs: 3,
      out: [{ length: 16 }],
      in: [{ length: 4096 }, { length: 1 }],
    });
    if (element === undefined) throw new Error("a request is there");
    queue.push(element, 4097);
    all.calls.length = 0;
    queue.notify();
    expect(all.calls).toEqual([["notifyQueue", 0]]);
    const flagsAt = (index: number) => memory.view.getUint16(base + 16 * index + 14, true);
    // As QEMU's, but for the bit that says that something was written, which QEMU leaves out.
    expect([flagsAt(67), memory.view.getUint32(base + 16 * 67 + 8, true)]).toEqual([2, 4097]);
    expect(all.state()["virtio"].packed_virtqueues.vq[0]).toMatchObject({ used_idx: 70, last_avail_idx: 70, inuse: 0 });
  });
});

/** Requests of three descriptors each, as SLOF reads blocks. */
const slof = {
  descriptors:
    "000000001e5820280000001000010001 000000001e3730000000080000030002 000000001e581d900000000100020000" +
    "000000001e5820280000001000010004 000000001e3730000000020000030005 000000001e581d900000000100020000",
  avail: "0001 000a 0000 0003 0006 0009 000c 000f 0012 0015 0018 001b",
  used:
    "0000 000a 00000000 00000801 00000003 00000201 00000006 00000201 00000009 00000201 0000000c 00000201" +
    "0000000f 00000801 00000012 00000201 00000015 00000201 00000018 00000201 0000001b 00000201",
};

describe("a legacy ring of SLOF, which is big-endian", () => {
  const memory = new TestMemory();
  const ring = legacyRing(0x1000n, 256, 4096);
  memory.bytes.set(bytesOf(slof.descriptors), 0x1000);
  memory.bytes.set(bytesOf(slof.avail), Number(ring.avail));
  memory.bytes.set(bytesOf(slof.used), Number(ring.used));
  const legacy = (targetEndian: "little" | "big") => {
    const all = rig({ memory, queueSizes: [256], parameters: { hostFeatures: 0x71000044n, targetEndian } });
    all.device.setFeatures(0x40n);
    all.device.setRings(0, ring.desc, ring.avail, ring.used);
    const state = all.state();
    state["vqs"][0].last_avail_idx = 10;
    return { ...all, state };
  };

  it("lies where a legacy ring does, and says what QEMU's indices say", () => {
    expect([ring.avail - ring.desc, ring.used - ring.desc]).toEqual([0x1000n, 0x2000n]);
    const content = readRing(memory, ring, { littleEndian: false, eventIdx: false });
    expect([content.availFlags, content.availIdx, content.usedIdx]).toEqual([1, 10, 10]);
    expect(content.usedRing[9]).toEqual({ id: 27, len: 513 });
    const { check, state } = legacy("big");
    expect(check(state)).toBeUndefined();
  });

  it("read as little-endian breaks the device", () => {
    const { check, state } = legacy("little");
    expect(check(state)).toMatchObject({
      note: "VQ 0 size 0x100 Guest index 0xa00 inconsistent with Host index 0xa: delta 0x9f6",
      amended: { virtio: { broken: { broken: true } } },
    });
  });

  it("is gone on with: its third head once more, and the chain behind it", () => {
    const all = legacy("big");
    memory.view.setUint16(Number(ring.avail) + 2, 11);
    memory.view.setUint16(Number(ring.avail) + 4 + 2 * 10, 3);
    all.registered().init.load(all.state);
    const element = (all.device.queues[0] as Virtqueue).pop();
    expect(element).toEqual({
      index: 3,
      out: [{ address: 0x1e582028, length: 16 }],
      in: [
        { address: 0x1e373000, length: 512 },
        { address: 0x1e581d90, length: 1 },
      ],
    });
  });
});
