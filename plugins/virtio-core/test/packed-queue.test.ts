// A packed queue at work: laps, chains, interrupts asked for and not, and drivers that do the impossible.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { feature, readPackedRing, status, type Virtqueue, type VirtqueueElement } from "../src/index.ts";
import { TestMemory } from "./support/memory.ts";
import { packedFeatures, rig } from "./support/rig.ts";

const withoutEvents = packedFeatures & ~feature.RING_EVENT_IDX;
const piece = (at: number, length: number) => ({ address: 0x6000 + at, length });
const into = (at: number, length: number) => ({ address: 0x7000 + at, length, write: true });

function started(features = packedFeatures) {
  const all = rig({ parameters: { hostFeatures: packedFeatures } });
  all.start(features);
  const [queue] = all.device.queues as [Virtqueue];
  const [driver] = all.packedRings;
  if (driver === undefined) throw new Error("the rig has a ring");
  return { ...all, queue, driver };
}

const taken = ({ queue }: { queue: Virtqueue }): VirtqueueElement => {
  const element = queue.pop();
  if (element === undefined) throw new Error("the driver has added something");
  return element;
};

describe("pop and push", () => {
  it("take chains of slots under the id of the last, and give back one descriptor for each, in any order", () => {
    const all = started();
    const { queue, driver } = all;
    driver.add(41, piece(0, 3), into(0, 4), into(16, 8));
    driver.add(7, piece(8, 5));
    const [first, second] = [taken(all), taken(all)];
    expect(first).toEqual({
      index: 41,
      out: [{ address: 0x6000, length: 3 }],
      in: [
        { address: 0x7000, length: 4 },
        { address: 0x7010, length: 8 },
      ],
      ndescs: 3,
    });
    expect(second).toEqual({ index: 7, out: [{ address: 0x6008, length: 5 }], in: [], ndescs: 1 });
    expect([queue.inuse, queue.pop()]).toEqual([4, undefined]);
    queue.push(second, 0);
    expect(queue.inuse).toBe(3);
    queue.push(first, 6);
    expect([driver.reap(), driver.reap(), driver.reap()]).toEqual([
      { id: 7, length: 0, writes: false },
      { id: 41, length: 6, writes: true },
      undefined,
    ]);
    expect(queue.inuse).toBe(0);
  });

  it("write the used descriptor where the ring stands, the flags of the lap in it", () => {
    const all = started();
    const { queue, driver, memory } = all;
    driver.add(3, piece(0, 3), into(0, 4));
    queue.push(taken(all), 4);
    const { descriptors } = readPackedRing(memory, driver.addresses);
    expect(descriptors[0]).toEqual({ address: 0x6000n, length: 4, id: 3, flags: 0x8082 });
    expect(descriptors[1]).toEqual({ address: 0x7000n, length: 4, id: 3, flags: 0x82 });
  });

  it("read an indirect table, which takes one slot", () => {
    const all = started();
    all.driver.addIndirect(5, 0x5000, piece(0, 3), piece(8, 1), into(0, 4));
    expect(taken(all)).toEqual({
      index: 5,
      out: [
        { address: 0x6000, length: 3 },
        { address: 0x6008, length: 1 },
      ],
      in: [{ address: 0x7000, length: 4 }],
      ndescs: 1,
    });
  });

  it("go round the end of the ring in the middle of a chain", () => {
    const all = started();
    const { queue, driver, state } = all;
    for (const slots of [3, 3]) {
      driver.add(slots, ...Array.from({ length: slots }, (_, i) => piece(i, 1)));
      queue.push(taken(all), 0);
      driver.reap();
    }
    driver.add(9, piece(0, 1), piece(1, 2), piece(2, 3), into(3, 4));
    const element = taken(all);
    expect([element.index, element.ndescs, element.out.map(({ length }) => length)]).toEqual([9, 4, [1, 2, 3]]);
    expect(state()["virtio"].packed_virtqueues.vq[0]).toEqual({
      last_avail_idx: 2,
      last_avail_wrap_counter: false,
      used_idx: 6,
      used_wrap_counter: true,
      inuse: 4,
    });
    queue.push(element, 1);
    expect(driver.reap()).toEqual({ id: 9, length: 1, writes: true });
    // The next lap's descriptors are not there yet: those of the last one do not count.
    expect(queue.pop()).toBeUndefined();
    expect(state()["virtio"].packed_virtqueues.vq[0]).toMatchObject({
      used_idx: 2,
      used_wrap_counter: false,
      inuse: 0,
    });
  });

  it("can be undone, over the end of the ring as well", () => {
    const all = started();
    const { queue, driver, device } = all;
    for (let i = 0; i < 7; i++) {
      driver.add(i, piece(i, 1));
      queue.push(taken(all), 0);
      driver.reap();
    }
    driver.add(7, piece(0, 1), piece(1, 1));
    const element = taken(all);
    queue.unpop(element);
    expect(queue.inuse).toBe(0);
    expect(taken(all)).toEqual(element);
    queue.unpop(element);
    expect(() => queue.unpop(element)).toThrow("no element is taken");
    expect(() => queue.push(element, 0)).toThrow("no element is taken");
    expect(device.broken).toBe(false);
  });

  it("lose nothing and repeat nothing, whatever the chains and the order", () => {
    const step = fc.record({ slots: fc.integer({ min: 1, max: 4 }), indirect: fc.boolean(), pick: fc.nat(7) });
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 60 }), (steps) => {
        const all = started();
        const { queue, driver } = all;
        const held: VirtqueueElement[] = [];
        const underWay: number[] = [];
        const reaped: number[] = [];
        let free = driver.num;
        steps.forEach(({ slots, indirect, pick }, id) => {
          const needed = indirect ? 1 : slots;
          if (needed <= free) {
            const pieces = Array.from({ length: slots }, (_, i) => piece(16 * i, id + 1));
            if (indirect) driver.addIndirect(id, 0x5000 + 64 * (id % 16), ...pieces);
            else driver.add(id, ...pieces);
            free -= needed;
            underWay.push(id);
            const element = taken(all);
            expect([element.index, element.ndescs, element.out.length]).toEqual([id, needed, slots]);
            expect(element.out[0]?.length).toBe(id + 1);
            held.push(element);
          }
          if (pick % 2 === 0 || free < 4) {
            const [element] = held.splice(pick % Math.max(held.length, 1), 1);
            if (element === undefined) return;
            queue.push(element, 0);
            reaped.push(driver.reap()?.id ?? -1);
            expect(reaped.at(-1)).toBe(element.index);
            free += element.ndescs ?? 0;
          }
          expect(queue.inuse).toBe(driver.num - free);
        });
        expect(new Set([...reaped, ...held.map(({ index }) => index)])).toEqual(new Set(underWay));
        expect(queue.pop()).toBeUndefined();
      }),
      { seed: 28, numRuns: 40 },
    );
  });
});

describe("interrupts", () => {
  const serve = (all: ReturnType<typeof started>, count = 1) => {
    for (let i = 0; i < count; i++) {
      all.driver.add(i, piece(i, 1));
      all.queue.push(taken(all), 0);
      all.driver.reap();
    }
    all.queue.notify();
    return all.calls.length;
  };

  it("come always, or never", () => {
    const all = started(withoutEvents);
    expect(serve(all)).toBe(1);
    all.driver.wantInterrupt(1);
    expect(serve(all)).toBe(1);
    all.driver.wantInterrupt(0);
    expect(serve(all)).toBe(2);
    expect(all.calls).toEqual([
      ["notifyQueue", 0],
      ["notifyQueue", 0],
    ]);
  });

  it("come with RING_EVENT_IDX when the slot that the driver named is used, over the end of the ring too", () => {
    const all = started();
    // The first always interrupts: nothing is known of the past.
    all.driver.wantInterrupt(2, 3, true);
    expect(serve(all)).toBe(1);
    expect([serve(all), serve(all)]).toEqual([1, 1]);
    expect(serve(all)).toBe(2);
    expect(serve(all, 2)).toBe(2);
    // Six are used; the third slot of the next lap is named.
    all.driver.wantInterrupt(2, 2, false);
    expect([serve(all, 2), serve(all, 2), serve(all), serve(all)]).toEqual([2, 2, 3, 3]);
    // Named already passed, in a batch that goes round the end.
    all.driver.wantInterrupt(2, 7, false);
    expect([serve(all, 3), serve(all, 2), serve(all)]).toEqual([3, 4, 4]);
  });

  it("count slots, not chains", () => {
    const all = started();
    expect(serve(all)).toBe(1);
    all.driver.wantInterrupt(2, 2, true);
    all.driver.add(1, piece(0, 1), piece(1, 1), piece(2, 1));
    all.queue.push(taken(all), 0);
    all.driver.reap();
    all.queue.notify();
    expect(all.calls).toHaveLength(2);
  });

  it("by slot are not asked for where RING_EVENT_IDX was not negotiated", () => {
    const all = started(withoutEvents);
    all.driver.wantInterrupt(2, 7, true);
    expect([serve(all), serve(all)]).toEqual([1, 2]);
  });

  it("are asked of the driver by flag, or by slot", () => {
    const flags = started(withoutEvents);
    flags.queue.setNotification(false);
    expect(flags.driver.deviceEvent.flags).toBe(1);
    flags.queue.setNotification(true);
    expect(flags.driver.deviceEvent.flags).toBe(0);
    const all = started();
    serve(all, 7);
    expect(all.driver.deviceEvent).toEqual({ offset: 7, wrap: true, flags: 2 });
    serve(all);
    expect(all.driver.deviceEvent).toEqual({ offset: 0, wrap: false, flags: 2 });
    all.queue.setNotification(false);
    expect(all.driver.deviceEvent.flags).toBe(1);
    serve(all);
    expect(all.driver.deviceEvent).toEqual({ offset: 0, wrap: false, flags: 1 });
    all.queue.setNotification(true);
    expect(all.driver.deviceEvent).toEqual({ offset: 1, wrap: false, flags: 2 });
  });
});

describe("a driver that does the impossible breaks its device", () => {
  const reason = (
    prepare: (all: ReturnType<typeof started>) => void,
    features = packedFeatures,
  ): string | undefined => {
    const all = started(features);
    prepare(all);
    expect(all.queue.pop()).toBeUndefined();
    expect([all.device.broken, all.device.status & status.NEEDS_RESET]).toEqual([true, status.NEEDS_RESET]);
    expect(all.calls).toEqual(["notifyConfig"]);
    const { failure } = all.device;
    all.device.setStatus(0);
    expect([all.device.broken, all.device.failure]).toEqual([false, undefined]);
    return failure;
  };

  it.each([
    ["a descriptor of no bytes", 0, 0],
    ["an indirect table of 20 bytes", 20, 4],
    ["an indirect descriptor with a next one", 16, 5],
  ])("%s", (text, length, flags) => {
    expect(reason(({ driver }) => driver.offer(1, 0x5000, length, flags))).toBe(`queue 0: ${text}`);
  });

  it("an indirect table that was not negotiated", () => {
    const features = packedFeatures & ~feature.RING_INDIRECT_DESC;
    const offer = ({ driver }: ReturnType<typeof started>) => driver.addIndirect(1, 0x5000, piece(0, 1));
    expect(reason(offer, features)).toBe("queue 0: an indirect descriptor that was not negotiated");
  });

  it("a table within a table, and a table within a chain", () => {
    const nested = ({ driver }: ReturnType<typeof started>) => {
      driver.addIndirect(1, 0x5000, piece(0, 1));
      driver.descriptor(0x5000, 0x5100, 16, 0, 4);
    };
    expect(reason(nested)).toBe("queue 0: an indirect descriptor within an indirect table");
    const late = ({ driver }: ReturnType<typeof started>) => {
      driver.add(1, piece(0, 1), piece(1, 1));
      driver.descriptor(driver.desc + 16, 0x5100, 16, 0, 0x84);
    };
    expect(reason(late)).toBe("queue 0: an indirect descriptor within a chain");
  });

  it("a chain that does not end", () => {
    const endless = ({ driver }: ReturnType<typeof started>) => {
      for (let i = 0; i < driver.num; i++) driver.offer(i, 0x6000, 1, 1);
    };
    expect(reason(endless)).toBe("queue 0: a chain that does not end");
  });

  it("a readable descriptor after a writable one", () => {
    expect(reason(({ driver }) => driver.add(1, into(0, 1), piece(0, 1)))).toBe(
      "queue 0: a readable descriptor after a writable one",
    );
  });

  it("more slots than there are", () => {
    const over = (all: ReturnType<typeof started>) => {
      all.driver.add(1, ...Array.from({ length: 7 }, (_, i) => piece(i, 1)));
      taken(all);
      all.driver.add(2, piece(0, 1), piece(1, 1));
    };
    expect(reason(over)).toBe("queue 0: of 8 slots, 7 are taken, and 2 more are offered");
  });

  it("a ring that is not in memory", () => {
    expect(reason(({ memory, driver }) => memory.hole(driver.desc, 16))).toBe("queue 0: nothing answers");
  });
});

/** Moved as a kernel moves it: memory first, then the section. */
function move(source: ReturnType<typeof started>) {
  const memory = new TestMemory();
  memory.bytes.set(source.memory.bytes);
  const target = rig({ memory, parameters: { hostFeatures: packedFeatures } });
  const note = target.load(source.save());
  const [queue] = target.device.queues as [Virtqueue];
  return { ...target, queue, note };
}

describe("a packed queue goes on after a load", () => {
  it("with nothing lost, nothing repeated, and what was in use given back there", () => {
    const all = started();
    const { driver, device, queue, memory } = all;
    for (let i = 0; i < 3; i++) driver.add(i, piece(i, 1), into(i, 1));
    device.kick(0);
    for (let i = 0; i < 3; i++) expect(driver.reap()?.id).toBe(i);
    memory.bytes.set([10, 20], 0x6000);
    driver.add(11, piece(0, 1), into(0, 1));
    driver.add(12, piece(1, 1), into(1, 1));
    const held = taken(all);
    expect(driver.position).toEqual({ index: 2, wrap: false });

    const target = move(all);
    expect(target.note).toBeUndefined();
    expect(target.state()).toEqual(all.state());
    expect([target.queue.inuse, target.model.served]).toEqual([2, 3]);
    // The driver's own counters are the guest's; here they go on over the other memory.
    Object.assign(driver, { memory: target.memory });
    target.queue.push(held, target.queue.write(held, 0, Uint8Array.of(77)));
    target.calls.length = 0;
    target.resume();
    expect([driver.reap(), driver.reap(), driver.reap()]).toEqual([
      { id: 11, length: 1, writes: true },
      { id: 12, length: 1, writes: true },
      undefined,
    ]);
    expect(Array.from(target.memory.bytes.subarray(0x7000, 0x7002))).toEqual([77, 21]);
    expect(target.calls).toContainEqual(["notifyQueue", 0]);
    expect(queue.inuse).toBe(2);
  });

  it("by the subsection, not by the queue's own index, which travels as well", () => {
    const all = started();
    all.driver.add(1, piece(0, 1));
    all.queue.push(taken(all), 0);
    const state = all.state();
    expect([state["vqs"][0].last_avail_idx, state["virtio"].packed_virtqueues.vq[0].last_avail_idx]).toEqual([1, 1]);
    state["vqs"][0].last_avail_idx = 5;
    all.registered().init.load(state);
    expect(all.state()["virtio"].packed_virtqueues.vq[0].last_avail_idx).toBe(1);
  });

  it("where memory was out of reach at the load", () => {
    const all = started();
    all.driver.add(1, piece(0, 1));
    taken(all);
    all.transport.dma = 0;
    const target = rig({ memory: new TestMemory(0), parameters: { hostFeatures: packedFeatures } });
    target.load(all.save());
    expect(target.state()).toEqual(all.state());
    expect((target.device.queues[0] as Virtqueue).inuse).toBe(1);
  });
});

describe("a device that offers packed rings to a driver that does not take them", () => {
  it("has split ones, whose indices travel in the subsection as well", () => {
    const all = rig({ parameters: { hostFeatures: packedFeatures } });
    all.start(packedFeatures & ~feature.RING_PACKED);
    const [ring] = all.rings;
    for (let i = 0; i < 2; i++) ring?.add({ address: 0x6000, length: 4 });
    const [queue] = all.device.queues as [Virtqueue];
    const [first] = [queue.pop() as VirtqueueElement, queue.pop()];
    queue.push(first, 0);
    expect(ring?.usedIdx).toBe(1);
    const saved = all.state();
    expect(saved["virtio"].packed_virtqueues.vq.slice(0, 2)).toEqual([
      { last_avail_idx: 2, last_avail_wrap_counter: true, used_idx: 1, used_wrap_counter: true, inuse: 1 },
      { last_avail_idx: 0, last_avail_wrap_counter: true, used_idx: 0, used_wrap_counter: true, inuse: 0 },
    ]);
    const target = rig({ memory: all.memory, parameters: { hostFeatures: packedFeatures } });
    target.load(all.save());
    expect(target.state()).toEqual(saved);
    expect((target.device.queues[0] as Virtqueue).inuse).toBe(1);
  });

  it("and that comes broken counts from zero, as QEMU's does", () => {
    const all = rig({ parameters: { hostFeatures: packedFeatures } });
    all.start(packedFeatures & ~feature.RING_PACKED);
    all.rings[0]?.add({ address: 0x6000, length: 4 });
    all.device.queues[0]?.pop();
    const saved = all.state();
    saved["virtio"].broken.broken = true;
    all.registered().init.load(saved);
    expect(all.state()["virtio"].packed_virtqueues.vq[0]).toMatchObject({ last_avail_idx: 1, used_idx: 0, inuse: 0 });
  });
});
