// Save and load: that a queue goes on after a load with nothing lost and nothing repeated.
import { describe, expect, it } from "vitest";
import { feature, status, type Virtqueue, type VirtqueueElement } from "../src/index.ts";
import { TestMemory } from "./support/memory.ts";
import { rig } from "./support/rig.ts";

/** A machine of memory and one device, moved as a kernel moves it: memory first, then the section. */
function move(source: ReturnType<typeof rig>) {
  const memory = new TestMemory();
  memory.bytes.set(source.memory.bytes);
  const target = rig({ memory });
  const note = target.load(source.save());
  target.rings.forEach((ring, i) => {
    expect(ring.addresses).toEqual(source.rings[i]?.addresses);
  });
  return { target, note };
}

describe("a queue goes on", () => {
  it("with nothing lost, nothing repeated, and what was in use given back there", () => {
    const source = rig();
    source.start();
    const [ring] = source.rings;
    const put = (memory: TestMemory, driver: typeof ring, i: number) => {
      memory.bytes[0x6000 + i] = i;
      driver?.add({ address: 0x6000 + i, length: 1 }, { address: 0x7000 + i, length: 1, write: true });
    };
    for (let i = 0; i < 3; i++) put(source.memory, ring, i);
    source.device.kick(0);
    for (let i = 3; i < 5; i++) put(source.memory, ring, i);
    const [queue] = source.device.queues as [Virtqueue];
    const held = queue.pop() as VirtqueueElement;

    const { target, note } = move(source);
    expect(note).toBeUndefined();
    expect([target.model.served, target.model.mark]).toEqual([3, 7]);
    expect(target.state()).toEqual(source.state());
    const [there] = target.device.queues as [Virtqueue];
    expect(there.inuse).toBe(1);
    there.push(held, there.write(held, 0, Uint8Array.of(77)));
    target.calls.length = 0;
    target.resume();
    const [driver] = target.rings;
    expect(driver?.usedIdx).toBe(5);
    expect(target.model.served).toBe(4);
    expect(Array.from(target.memory.bytes.subarray(0x7000, 0x7005))).toEqual([1, 2, 3, 77, 5]);
    expect(target.calls).toContainEqual(["notifyQueue", 0]);
    // The source has not moved on.
    expect(ring?.usedIdx).toBe(3);
    put(target.memory, driver, 5);
    target.device.kick(0);
    expect([driver?.usedIdx, target.model.served]).toEqual([6, 5]);
  });

  it("where memory was out of reach at the load: the indices are taken from the rings at the first use", () => {
    const source = rig();
    source.start();
    source.rings[0]?.add({ address: 0x6000, length: 1 });
    source.device.kick(0);
    source.rings[0]?.add({ address: 0x6000, length: 1 });
    (source.device.queues[0] as Virtqueue).pop();
    source.transport.dma = 0;
    const bytes = source.save();
    const away = new TestMemory();
    const target = rig({ memory: away });
    // This one would look at its queues.
    Object.assign(target.model, { afterSubsections: undefined });
    target.load(bytes);
    away.bytes.set(source.memory.bytes);
    expect((target.device.queues[0] as Virtqueue).inuse).toBe(1);
    expect(target.device.broken).toBe(false);
  });

  it("and a ring that came broken is told to the driver once the machine runs", () => {
    const source = rig();
    source.start();
    const [ring] = source.rings;
    if (ring) ring.availIdx = 99;
    const { target, note } = move(source);
    expect(note).toContain("VQ 0 size 0x8 Guest index 0x63");
    expect([target.device.broken, target.device.failure]).toEqual([true, "it came broken"]);
    expect(target.device.queues.map(({ inuse }) => inuse)).toEqual([0, 0]);
    expect(target.calls).not.toContain("notifyConfig");
    target.resume();
    target.resume();
    expect(target.calls.filter((call) => call === "notifyConfig")).toHaveLength(1);
    expect([target.device.isr, target.device.status & status.NEEDS_RESET]).toEqual([3, status.NEEDS_RESET]);
  });
});

describe("a load", () => {
  it("into a device that was at work leaves nothing of that", () => {
    const fresh = rig();
    const busy = rig();
    busy.start();
    busy.device.queueSelect = 1;
    busy.rings[1]?.add({ address: 0x6000, length: 1 });
    busy.device.kick(1);
    busy.device.fail("why");
    busy.load(fresh.save());
    expect(busy.state()).toEqual(fresh.state());
    expect(busy.device.queues.map(({ ready, inuse }) => [ready, inuse])).toEqual([
      [false, 0],
      [false, 0],
    ]);
  });

  it("brings smaller rings, and a reset there gives the sizes of the source back", () => {
    const source = rig({ queueSizes: [16, 4] });
    source.device.setRingSize(0, 2);
    source.device.setRingSize(0, 32);
    source.device.setRingSize(1, 0);
    expect([source.device.ringSize(0), source.device.ringSize(1), source.device.ringSize(2)]).toEqual([2, 4, 0]);
    const target = rig({ queueSizes: [8, 4] });
    target.load(source.save());
    expect(target.device.ringSize(0)).toBe(2);
    target.device.reset();
    expect(target.device.ringSize(0)).toBe(16);
  });
});

describe("status and features", () => {
  it("take what is offered, until the driver has settled", () => {
    const { device, calls } = rig();
    expect(device.setFeatures(0b111n)).toBe(false);
    expect(device.features).toBe(0b101n);
    device.setStatus(status.ACKNOWLEDGE | status.DRIVER | status.FEATURES_OK);
    expect(device.setFeatures(0n)).toBe(false);
    expect(device.features).toBe(0b101n);
    expect(calls).toEqual([
      ["model.featuresChanged", "0x5"],
      ["model.statusChanged", 11],
    ]);
    device.setStatus(0);
    expect([device.features, device.status]).toEqual([0n, 0]);
    expect(calls.slice(2)).toEqual(["transport.reset", "model.reset", ["model.statusChanged", 0]]);
  });

  it("are not settled where the driver lacks what it must accept", () => {
    const { device } = rig({ requiredFeatures: feature.VERSION_1 });
    device.setFeatures(0b101n);
    device.setStatus(status.ACKNOWLEDGE | status.DRIVER | status.FEATURES_OK);
    expect(device.status).toBe(status.ACKNOWLEDGE | status.DRIVER);
    device.setFeatures(feature.VERSION_1);
    device.setStatus(device.status | status.FEATURES_OK);
    expect(device.status & status.FEATURES_OK).toBe(status.FEATURES_OK);
  });

  it("decide when a kick is heard", () => {
    const modern = rig();
    modern.start();
    modern.rings[0]?.add({ address: 0x6000, length: 1 });
    modern.device.setStatus(modern.device.status & ~status.DRIVER_OK);
    modern.device.kick(0);
    expect(modern.model.served).toBe(0);
    modern.device.setStatus(modern.device.status | status.DRIVER_OK);
    modern.device.kick(0);
    modern.device.kick(9);
    expect(modern.model.served).toBe(1);
    const legacy = rig();
    legacy.start(0n);
    legacy.rings[0]?.add({ address: 0x6000, length: 1 });
    legacy.device.setStatus(legacy.device.status & ~status.DRIVER_OK);
    legacy.device.kick(0);
    expect(legacy.model.served).toBe(1);
  });
});

describe("configuration space", () => {
  it("is read and written within its length, and counts its changes", () => {
    const { device, calls, start } = rig();
    start();
    expect(Array.from(device.readConfig(1, 2))).toEqual([2, 3]);
    expect(Array.from(device.readConfig(3, 2))).toEqual([0xff, 0xff]);
    device.writeConfig(2, Uint8Array.of(9));
    device.writeConfig(3, Uint8Array.of(8, 8));
    expect(Array.from(device.readConfig(0, 4))).toEqual([1, 2, 9, 4]);
    device.configChanged();
    expect([device.configGeneration, device.isr, calls]).toEqual([1, 3, ["notifyConfig"]]);
  });
});

describe("the image of configuration space", () => {
  const imageOf = (all: ReturnType<typeof rig>): number[] => Array.from(all.state()["config"] as Uint8Array);

  it("is what the driver read or wrote last, zeros before that, and outlives a reset; as in QEMU", () => {
    const all = rig();
    expect(imageOf(all)).toEqual([0, 0, 0, 0]);
    all.device.writeConfig(1, Uint8Array.of(9));
    expect(imageOf(all)).toEqual([0, 9, 0, 0]);
    expect([...all.device.readConfig(3, 1)]).toEqual([4]);
    all.model.config = Uint8Array.of(5, 6, 7, 8);
    expect(imageOf(all)).toEqual([1, 9, 3, 4]);
    // Neither reaches configuration space.
    all.device.readConfig(3, 2);
    all.device.writeConfig(3, Uint8Array.of(1, 1));
    all.device.reset();
    expect(imageOf(all)).toEqual([1, 9, 3, 4]);
    all.device.readConfig(0, 1);
    expect(imageOf(all)).toEqual([5, 6, 7, 8]);
  });

  it("stays what it was on the source, over any number of moves, until the driver looks here", () => {
    const source = rig();
    source.device.readConfig(0, 1);
    const target = rig({ config: Uint8Array.of(11, 12, 13, 14) });
    target.load(source.save());
    expect(imageOf(target)).toEqual([1, 2, 3, 4]);
    expect(target.save()).toEqual(source.save());
    target.device.readConfig(0, 1);
    expect(imageOf(target)).toEqual([11, 12, 13, 14]);
  });

  it("of a device with another length fills what there is, and leaves the rest", () => {
    const long = rig({ config: Uint8Array.of(1, 2, 3, 4, 5, 6) });
    const short = rig({ config: Uint8Array.of(7, 8) });
    for (const { device } of [long, short]) device.readConfig(0, 1);
    const [fromLong, fromShort] = [long.save(), short.save()];
    short.load(fromLong);
    expect(imageOf(short)).toEqual([1, 2]);
    long.load(fromShort);
    expect(imageOf(long)).toEqual([7, 8, 3, 4, 5, 6]);
  });
});
