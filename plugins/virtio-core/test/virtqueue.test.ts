// A queue at work: order, wrap-around, interrupts asked for and not, and drivers that do the impossible.
import { describe, expect, it } from "vitest";
import { feature, status, type Virtqueue, type VirtqueueElement } from "../src/index.ts";
import { hostFeatures, rig } from "./support/rig.ts";

const withoutEvents = hostFeatures & ~feature.RING_EVENT_IDX;

function started(features = hostFeatures) {
  const all = rig();
  all.start(features);
  const [queue, other] = all.device.queues as [Virtqueue, Virtqueue];
  const [ring] = all.rings;
  if (ring === undefined) throw new Error("the rig has no ring");
  const request = (text: string, room = 16): void => {
    const at = 0x6000 + 64 * (ring.availIdx % 8);
    all.memory.bytes.set(
      Array.from(text, (c) => c.charCodeAt(0)),
      at,
    );
    ring.add({ address: at, length: text.length }, { address: at + 32, length: room, write: true });
  };
  return { ...all, queue, other, ring, request };
}

describe("pop and push", () => {
  it("take in order and give back in any", () => {
    const { queue, ring, request, memory } = started();
    request("one");
    request("two");
    const [first, second] = [queue.pop(), queue.pop()] as [VirtqueueElement, VirtqueueElement];
    expect(queue.pop()).toBeUndefined();
    expect([first.index, second.index, queue.inuse]).toEqual([0, 2, 2]);
    expect(String.fromCharCode(...queue.read(second, 0, 99))).toBe("two");
    expect(String.fromCharCode(...queue.read(second, 1, 1))).toBe("w");
    expect(queue.write(second, 3, Uint8Array.of(1, 2))).toBe(2);
    expect(queue.write(second, 14, Uint8Array.of(9, 9, 9, 9))).toBe(2);
    const [into] = second.in;
    expect(Array.from(memory.bytes.subarray((into?.address ?? 0) + 2, (into?.address ?? 0) + 6))).toEqual([0, 1, 2, 0]);
    queue.push(second, 5);
    queue.push(first, 0);
    expect(ring.usedIdx).toBe(2);
    expect([ring.usedElement(0), ring.usedElement(1)]).toEqual([
      { id: 2, len: 5 },
      { id: 0, len: 0 },
    ]);
    expect(queue.inuse).toBe(0);
  });

  it("go on past 2^16", () => {
    const { queue, ring, request, registered, state } = started();
    const before = 0xfffd;
    ring.availIdx = before;
    ring.usedIdx = before;
    const saved = state();
    saved["vqs"][0].last_avail_idx = before;
    registered().init.load(saved);
    for (let i = 0; i < 6; i++) {
      request("x".repeat(i + 1));
      const element = queue.pop() as VirtqueueElement;
      expect(element.out[0]?.length).toBe(i + 1);
      queue.push(element, i);
      expect(ring.usedElement(before + i)).toEqual({ id: element.index, len: i });
    }
    expect([ring.availIdx, ring.usedIdx, queue.inuse, queue.pop()]).toEqual([3, 3, 0, undefined]);
  });

  it("span pieces", () => {
    const { queue, ring, memory } = started();
    memory.bytes.set([1, 2, 3], 0x6000);
    memory.bytes.set([4, 5], 0x6100);
    ring.add(
      { address: 0x6000, length: 3 },
      { address: 0x6100, length: 2 },
      { address: 0x6200, length: 1, write: true },
      { address: 0x6300, length: 4, write: true },
    );
    const element = queue.pop() as VirtqueueElement;
    expect(Array.from(queue.read(element, 2, 2))).toEqual([3, 4]);
    expect(queue.write(element, 0, Uint8Array.of(7, 8, 9))).toBe(3);
    expect([memory.bytes[0x6200], memory.bytes[0x6300], memory.bytes[0x6301]]).toEqual([7, 8, 9]);
  });

  it("can be undone", () => {
    const { queue, request } = started();
    request("one");
    const element = queue.pop() as VirtqueueElement;
    queue.unpop(element);
    expect(queue.inuse).toBe(0);
    expect(queue.pop()).toEqual(element);
    queue.unpop(element);
    expect(() => queue.unpop(element)).toThrow("no element is taken");
    expect(() => queue.push(element, 0)).toThrow("no element is taken");
  });

  it("find nothing in a queue that is not set up", () => {
    const { device } = rig();
    const [queue] = device.queues as [Virtqueue];
    expect([queue.ready, queue.pop()]).toEqual([false, undefined]);
    queue.push({ index: 0, out: [], in: [] }, 0);
    queue.notify();
    queue.setNotification(false);
    expect(device.broken).toBe(false);
  });
});

describe("a queue that is reset alone", () => {
  it("begins anew, and the others and the device go on", () => {
    const { device, model, queue, other, request, registered } = started();
    const told: unknown[] = [];
    Object.assign(model, { resetQueue: (index: number) => void told.push([index, queue.inuse]) });
    request("one");
    queue.pop();
    expect(device.ringAddresses(0)).toEqual({ num: 8, desc: 0x1000n, avail: 0x1080n, used: 0x1098n });
    device.setRingSize(0, 4);
    device.resetQueue(0);
    device.resetQueue(9);
    // The model is told while the queue is still what it was.
    expect(told).toEqual([[0, 1]]);
    expect(device.ringAddresses(0)).toEqual({ num: 8, desc: 0n, avail: 0n, used: 0n });
    expect(device.ringAddresses(9)).toBeUndefined();
    expect([queue.ready, queue.inuse, other.ready, device.running]).toEqual([false, 0, true, true]);
    expect(registered().init.save()["vqs"][0]).toMatchObject({ num: 8, desc: 0n, last_avail_idx: 0 });
  });
});

describe("interrupts", () => {
  it("go by the driver's flag without RING_EVENT_IDX", () => {
    const { queue, ring, request, calls, device } = started(withoutEvents);
    const serve = () => {
      request("x");
      queue.push(queue.pop() as VirtqueueElement, 0);
      queue.notify();
    };
    serve();
    ring.availFlags = 1;
    serve();
    expect(calls).toEqual([["notifyQueue", 0]]);
    expect(device.isr).toBe(1);
  });

  it("go by the driver's index with it", () => {
    const { queue, ring, request, calls } = started();
    const serve = (count: number) => {
      for (let i = 0; i < count; i++) {
        request("x");
        queue.push(queue.pop() as VirtqueueElement, 0);
      }
      queue.notify();
    };
    // The first always interrupts: nothing is known of the past.
    serve(1);
    expect(calls.length).toBe(1);
    ring.usedEvent = 3;
    serve(1);
    serve(1);
    expect([ring.usedIdx, calls.length]).toEqual([3, 1]);
    serve(1);
    expect(calls.length).toBe(2);
    serve(2);
    expect(calls.length).toBe(2);
  });

  it("are asked of the driver by flag, or by index", () => {
    const flags = started(withoutEvents);
    flags.queue.setNotification(false);
    expect(flags.ring.usedFlags).toBe(1);
    flags.queue.setNotification(true);
    expect(flags.ring.usedFlags).toBe(0);
    const { queue, ring, request } = started();
    request("x");
    request("y");
    queue.pop();
    expect(ring.availEvent).toBe(1);
    queue.setNotification(false);
    queue.pop();
    expect(ring.availEvent).toBe(1);
    queue.setNotification(true);
    expect(ring.availEvent).toBe(2);
  });
});

describe("a driver that does the impossible breaks its device", () => {
  const reason = (prepare: (all: ReturnType<typeof started>) => void): string | undefined => {
    const all = started();
    prepare(all);
    expect(all.queue.pop()).toBeUndefined();
    expect(all.device.broken).toBe(true);
    expect(all.device.status & status.NEEDS_RESET).toBe(status.NEEDS_RESET);
    expect(all.calls).toEqual(["notifyConfig"]);
    expect(all.device.isr).toBe(3);
    const { failure } = all.device;
    all.request("more");
    all.device.kick(0);
    expect(all.ring.usedIdx).toBe(0);
    all.device.setStatus(0);
    expect([all.device.broken, all.device.status, all.device.failure]).toEqual([false, 0, undefined]);
    return failure;
  };

  it("an available index that jumps", () => {
    const jump = ({ ring }: ReturnType<typeof started>) => {
      ring.availIdx = 9;
    };
    expect(reason(jump)).toBe("queue 0: the available index went from 0 to 9");
  });
  it("a head beyond the ring", () => {
    expect(reason(({ ring }) => ring.offer(8))).toBe("queue 0: descriptor 8 of a table of 8");
  });
  it("memory that is not there", () => {
    expect(reason(({ memory, ring }) => memory.hole(ring.avail, 8))).toBe("queue 0: nothing answers");
  });
  it("more entries in use than there are", () => {
    const all = started();
    for (let i = 0; i < 8; i++) ring8(all);
    expect(all.queue.inuse).toBe(8);
    ring8(all);
    expect(all.device.failure).toBe("queue 0: all 8 entries are taken already");
  });
  it("a request whose memory is not there", () => {
    const { queue, ring, memory, device } = started();
    ring.add({ address: 0x6000, length: 4 }, { address: 0x7000, length: 4, write: true });
    memory.hole(0x6000, 4);
    memory.hole(0x7000, 4);
    const element = queue.pop() as VirtqueueElement;
    expect(queue.read(element, 0, 4)).toEqual(new Uint8Array(0));
    expect(device.failure).toBe("queue 0: nothing answers");
    expect(queue.write(element, 0, Uint8Array.of(1))).toBe(0);
  });
  it("a legacy driver is not told", () => {
    const all = started(0n);
    all.device.fail("why");
    expect([all.device.broken, all.device.status & status.NEEDS_RESET, all.calls]).toEqual([true, 0, []]);
  });
});

function ring8({ ring, queue }: ReturnType<typeof started>): void {
  ring.offer(0);
  ring.descriptor(ring.desc, 0, 0x6000, 1, 0);
  queue.pop();
}
