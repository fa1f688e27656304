// Legacy drivers of big-endian guests: rings and configuration space in the CPU's order, at work and through a
// migration; and virtio/device_endian, which travels where it is not what a reader would take.
import { decodeRecord } from "@godwit/core";
import { describe, expect, it } from "vitest";
import { fieldsAround, inGuestOrder } from "../src/config-order.ts";
import { feature, legacyRing, status, type Virtqueue } from "../src/index.ts";
import { DriverRing } from "./support/driver-ring.ts";
import { TestMemory } from "./support/memory.ts";
import { hostFeatures, type RigOptions, rig } from "./support/rig.ts";

const legacyFeatures = hostFeatures & 0xffff_ffffn;

/** Four rings' worth of room; a legacy ring has its used part on the next page. */
function legacyRig(options: RigOptions = {}) {
  const memory = options.memory ?? new TestMemory();
  const config = Uint8Array.of(1, 2, 3, 4, 5, 6, 7);
  const all = rig({ queueSizes: [8], driverLittleEndian: false, ...options, memory, config });
  const { avail, used } = legacyRing(0x1000n, 8, 4096);
  const ring = Object.assign(new DriverRing(memory, 0x1000, 8, options.driverLittleEndian ?? false), {
    avail: Number(avail),
    used: Number(used),
  });
  Object.assign(all.model, { configWidths: [2, 4] });
  return {
    ...all,
    ring,
    begin(features = legacyFeatures): void {
      all.device.setStatus(status.ACKNOWLEDGE | status.DRIVER);
      all.device.setFeatures(features);
      all.device.setRings(0, 0x1000n, avail, used);
      all.device.setStatus(status.ACKNOWLEDGE | status.DRIVER | status.DRIVER_OK);
    },
    put(i: number): void {
      memory.bytes[0x6000 + i] = i;
      ring.add({ address: 0x6000 + i, length: 1 }, { address: 0x7000 + i, length: 1, write: true });
    },
  };
}

const big: RigOptions = { parameters: { targetEndian: "big" } };

function moved(source: ReturnType<typeof legacyRig>, options: RigOptions) {
  const memory = new TestMemory();
  memory.bytes.set(source.memory.bytes);
  const target = legacyRig({ ...options, memory });
  const note = target.load(source.save());
  return { target, note };
}

const subsectionsOf = ({ registered, save }: ReturnType<typeof legacyRig>): string[] =>
  Object.keys(decodeRecord(registered().description, save())["virtio"] as object);

describe("a legacy driver of a big-endian guest", () => {
  it("is served from rings in its own order", () => {
    const all = legacyRig(big);
    all.begin();
    for (let i = 0; i < 3; i++) all.put(i);
    all.device.kick(0);
    expect(all.ring.usedIdx).toBe(3);
    expect(all.ring.usedElement(2)).toEqual({ id: 4, len: 1 });
    expect(Array.from(all.memory.bytes.subarray(0x7000, 0x7003))).toEqual([1, 2, 3]);
    expect(Array.from(all.memory.bytes.subarray(all.ring.used + 2, all.ring.used + 4))).toEqual([0, 3]);
    // Where to be kicked next, behind the used ring.
    expect(all.ring.availEvent).toBe(3);
  });

  it("goes on after a migration, without a word of endianness on the wire: it is the target's", () => {
    const source = legacyRig(big);
    source.begin();
    for (let i = 0; i < 3; i++) source.put(i);
    source.device.kick(0);
    source.put(3);
    (source.device.queues[0] as Virtqueue).pop();
    expect(subsectionsOf(source)).not.toContain("device_endian");
    const { target, note } = moved(source, big);
    expect([note, target.device.littleEndian, target.device.queues[0]?.inuse]).toEqual([undefined, false, 1]);
    expect(target.state()).toEqual(source.state());
    target.ring.add({ address: 0x6003, length: 1 }, { address: 0x7003, length: 1, write: true });
    target.resume();
    expect(target.ring.usedIdx).toBe(4);
  });

  it("of a target that is little-endian by default is told by virtio/device_endian", () => {
    const source = legacyRig({ cpuEndian: () => "big" });
    source.device.reset();
    source.begin();
    source.put(0);
    source.device.kick(0);
    expect(source.ring.usedIdx).toBe(1);
    expect(subsectionsOf(source)).toContain("device_endian");
    const { target, note } = moved(source, {});
    expect([note, target.device.littleEndian]).toEqual([undefined, false]);
    target.put(1);
    target.resume();
    expect(target.ring.usedIdx).toBe(2);
    // The next driver has the order of the CPU that it runs on.
    target.device.reset();
    expect(target.device.littleEndian).toBe(true);
  });

  it("and one of a little-endian guest on a target that is big-endian by default, likewise", () => {
    const little: RigOptions = { ...big, cpuEndian: () => "little", driverLittleEndian: true };
    const source = legacyRig(little);
    source.begin();
    source.put(0);
    source.device.kick(0);
    expect([source.ring.usedIdx, subsectionsOf(source).includes("device_endian")]).toEqual([1, true]);
    const { target } = moved(source, { ...big, driverLittleEndian: true });
    expect(target.device.littleEndian).toBe(true);
    target.put(1);
    target.resume();
    expect(target.ring.usedIdx).toBe(2);
  });

  it("has a load refused that would read its rings the wrong way round", () => {
    const source = legacyRig(big);
    source.begin();
    for (let i = 0; i < 2; i++) source.put(i);
    source.device.kick(0);
    const { note, target } = moved(source, {});
    expect(note).toContain("Guest index 0x200 inconsistent with Host index 0x2");
    expect(target.device.broken).toBe(true);
  });

  it("that accepts VERSION_1 has little-endian rings, whatever its CPU", () => {
    const all = legacyRig({ ...big, driverLittleEndian: true });
    all.begin(hostFeatures);
    all.put(0);
    all.device.kick(0);
    expect([all.device.littleEndian, all.ring.usedIdx]).toEqual([true, 1]);
    // QEMU sends it for s390x all the same: little-endian is not what the device was set to.
    expect(subsectionsOf(all)).toContain("device_endian");
  });
});

describe("a state that says nothing of endianness", () => {
  it.each([
    ["little", true],
    ["big", false],
  ] as const)("is taken for the target's, %s", (targetEndian, littleEndian) => {
    const all = legacyRig({ parameters: { targetEndian }, cpuEndian: () => (littleEndian ? "big" : "little") });
    expect(all.device.littleEndian).toBe(!littleEndian);
    const state = all.state();
    state["virtio"].device_endian.device_endian = 0;
    all.registered().init.load(state);
    expect(all.device.littleEndian).toBe(littleEndian);
  });
});

describe("configuration space", () => {
  it("is turned round field by field for a big-endian legacy driver, and nobody else", () => {
    const all = legacyRig(big);
    expect(Array.from(all.device.readConfig(0, 7))).toEqual([2, 1, 6, 5, 4, 3, 7]);
    expect(Array.from(all.state()["config"])).toEqual([2, 1, 6, 5, 4, 3, 7]);
    all.device.setFeatures(feature.VERSION_1);
    expect(Array.from(all.device.readConfig(0, 7))).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(Array.from(legacyRig().device.readConfig(0, 7))).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  it("is written by such a driver in its order", () => {
    const all = legacyRig(big);
    all.device.writeConfig(2, Uint8Array.of(0xa, 0xb, 0xc, 0xd));
    expect(Array.from(all.model.config)).toEqual([1, 2, 0xd, 0xc, 0xb, 0xa, 7]);
    // Half of a field is its higher half; the rest is what the driver saw last.
    all.device.readConfig(0, 1);
    all.device.writeConfig(2, Uint8Array.of(0x11, 0x22));
    expect(Array.from(all.model.config)).toEqual([1, 2, 0xd, 0xc, 0x22, 0x11, 7]);
    all.device.writeConfig(6, Uint8Array.of(0x77));
    all.device.writeConfig(6, Uint8Array.of(1, 2));
    expect(all.model.config[6]).toBe(0x77);
    const little = legacyRig();
    little.device.writeConfig(2, Uint8Array.of(9));
    expect(Array.from(little.model.config)).toEqual([1, 2, 9, 4, 5, 6, 7]);
  });

  it("comes to check, load and afterSubsections as the model has it", () => {
    const seen: number[][] = [];
    const source = legacyRig(big);
    const target = legacyRig(big);
    const look = (_: unknown, { config }: { config: Uint8Array }) => void seen.push(Array.from(config));
    Object.assign(target.model, { check: look, load: look, afterSubsections: look });
    source.device.readConfig(0, 1);
    target.load(source.save());
    expect(seen).toEqual(new Array(3).fill([1, 2, 3, 4, 5, 6, 7]));
  });

  it("without widths is single bytes", () => {
    const all = rig(big);
    expect(Array.from(all.device.readConfig(0, 4))).toEqual([1, 2, 3, 4]);
    all.device.writeConfig(1, Uint8Array.of(8, 9));
    expect(Array.from(all.model.config)).toEqual([1, 8, 9, 4]);
  });

  it("turned round twice is as before", () => {
    const image = Uint8Array.from({ length: 11 }, (_, i) => i);
    const widths = [1, 2, 4];
    expect(Array.from(inGuestOrder(image, widths, false))).toEqual([0, 2, 1, 6, 5, 4, 3, 7, 8, 9, 10]);
    expect(inGuestOrder(inGuestOrder(image, widths, false), widths, false)).toEqual(image);
    expect(fieldsAround(widths, 2, 2)).toEqual({ from: 1, to: 7 });
    expect(fieldsAround(widths, 7, 3)).toEqual({ from: 7, to: 10 });
  });
});

describe("a legacy driver that kicks before it says DRIVER_OK", () => {
  const kicked = (features: bigint) => {
    const all = legacyRig(big);
    all.device.setFeatures(features);
    all.device.setRings(0, 0x1000n, 0x1080n, 0x2000n);
    return all;
  };

  it("starts its device with the first kick, on the destination as well", () => {
    const all = kicked(legacyFeatures);
    expect(all.state()["virtio"].started.started).toBe(false);
    const { target } = moved(all, big);
    for (const one of [all, target]) {
      one.device.kick(0);
      expect(one.state()["virtio"].started.started).toBe(true);
    }
    // What the driver's status says then is not undone by a second kick.
    all.device.setStatus(status.ACKNOWLEDGE | status.DRIVER);
    all.device.kick(0);
    expect(all.state()["virtio"].started.started).toBe(false);
  });

  it("with VERSION_1 is not heard", () => {
    const all = kicked(hostFeatures);
    all.put(0);
    all.device.kick(0);
    expect([all.state()["virtio"].started.started, all.model.served]).toEqual([false, 0]);
  });
});

describe("a device that its transport has disabled", () => {
  it("does nothing, says so in its state, and goes on where it is enabled again", () => {
    const all = rig();
    all.start();
    all.rings[0]?.add({ address: 0x6000, length: 4 });
    all.device.disabled = true;
    const kick = all.model.kick.bind(all.model);
    let kicks = 0;
    all.model.kick = () => void kicks++;
    all.device.kick(0);
    all.model.kick = kick;
    expect([kicks, all.model.served, all.device.queues[0]?.pop()]).toEqual([0, 0, undefined]);
    const target = rig({ memory: all.memory });
    target.load(all.save());
    expect(target.device.disabled).toBe(true);
    target.resume();
    expect(target.model.served).toBe(0);
    target.device.disabled = false;
    target.device.kick(0);
    expect(target.model.served).toBe(1);
  });
});
