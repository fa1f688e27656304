// Queues whose memory comes piece by piece (post-copy): what is popped is all there, and each request is done once.
import { MigrationError } from "@godwit/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AbsentMemory, feature, type Virtqueue, type VirtqueueElement } from "../src/index.ts";
import { TestMemory } from "./support/memory.ts";
import { hostFeatures, packedFeatures, rig } from "./support/rig.ts";

/** Pages this small part a ring from its buffers, and one descriptor from the next. */
const pageBytes = 32;

class IncompleteMemory extends TestMemory {
  readonly #absent = new Set<number>();
  readonly #waiting = new Map<number, () => void>();
  /** Pages that somebody came upon. */
  readonly asked = new Set<number>();
  /** How often somebody waited. */
  waits = 0;

  takeAway(): void {
    for (let page = 0; page < this.bytes.length / pageBytes; page++) this.#absent.add(page);
  }

  give(page: number): void {
    this.#absent.delete(page);
    this.#waiting.get(page)?.();
    this.#waiting.delete(page);
  }

  override read(address: number, length: number): Uint8Array {
    this.#check(address, length);
    return super.read(address, length);
  }

  override write(address: number, bytes: Uint8Array): void {
    this.#check(address, bytes.length);
    super.write(address, bytes);
  }

  readonly postcopy: AbsentMemory = (() => {
    const memory = this;
    return {
      get active() {
        return memory.#absent.size > 0;
      },
      demand: (address, length) => memory.#check(address, length),
      whenPresent: ({ location }) =>
        new Promise<void>((resolve) => {
          memory.waits++;
          const page = (location.offset ?? 0) / pageBytes;
          const before = memory.#waiting.get(page);
          memory.#waiting.set(page, () => {
            before?.();
            resolve();
          });
        }),
    };
  })();

  #check(address: number, length: number): void {
    for (let page = Math.floor(address / pageBytes); page * pageBytes < address + length; page++) {
      if (!this.#absent.has(page)) continue;
      this.asked.add(page);
      throw new MigrationError("PAGE_ABSENT", "not yet", { path: "ram", offset: page * pageBytes });
    }
  }
}

interface Setup {
  readonly memory: IncompleteMemory;
  readonly done: string[];
  readonly interrupts: () => number;
  readonly broken: () => boolean;
  kick(): void;
}

const memoryBytes = 0x8000;
const pages = Array.from({ length: memoryBytes / pageBytes }, (_, page) => page);
/** So many come between two turns of the event loop: a device is served with some of its pages there. */
const together = 16;
const requests = 5;
const buffers = 0x6000;
const tables = 0x7000;

/** A driver has asked for so much; nothing has been taken. Each third request has its descriptors in a table. */
function asked(packed: boolean): Setup {
  const memory = new IncompleteMemory(memoryBytes);
  const all = rig({ memory, parameters: { hostFeatures: packed ? packedFeatures : hostFeatures }, queueSizes: [32] });
  const done: string[] = [];
  const serve = (queue: Virtqueue, element: VirtqueueElement): void => {
    const bytes = queue.read(element, 0, 99);
    done.push(String.fromCharCode(...bytes));
    expect(queue.write(element, 0, bytes.toReversed())).toBe(bytes.length);
    queue.push(element, bytes.length);
  };
  Object.assign(all.model, {
    kick(queue: Virtqueue) {
      queue.setNotification(false);
      let some = false;
      for (let element = queue.pop(); element !== undefined; element = queue.pop()) {
        serve(queue, element);
        some = true;
      }
      queue.setNotification(true);
      if (some) queue.notify();
    },
  });
  all.start((packed ? packedFeatures : hostFeatures) & ~feature.RING_EVENT_IDX);
  const [ring] = all.rings;
  const [packedRing] = all.packedRings;
  for (let i = 0; i < requests; i++) {
    const at = buffers + 0x100 * i;
    const text = `request ${i} of a length beyond one page`;
    memory.bytes.set(
      Array.from(text, (c) => c.charCodeAt(0)),
      at,
    );
    const pieces = [
      { address: at, length: 9 },
      { address: at + 9, length: text.length - 9 },
      { address: at + 0x80, length: 20, write: true },
      { address: at + 0xc0, length: 60, write: true },
    ];
    const table = tables + 0x80 * i;
    if (i % 3 !== 2 && packed) packedRing?.add(i, ...pieces.slice(0, 3), { ...(pieces[3] as (typeof pieces)[3]) });
    else if (i % 3 !== 2) ring?.add(...pieces);
    else if (packed) packedRing?.addIndirect(i, table, ...pieces);
    else {
      pieces.forEach(({ address, length, write }, slot) => {
        ring?.descriptor(table, slot, address, length, (write ? 2 : 0) | (slot < 3 ? 1 : 0), slot + 1);
      });
      ring?.descriptor(ring.desc, 31, table, 64, 4);
      ring?.offer(31);
    }
  }
  return {
    memory,
    done,
    interrupts: () => all.calls.filter(([what]) => what === "notifyQueue").length,
    broken: () => all.device.broken,
    kick: () => all.device.kick(0),
  };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe.each([
  ["split", false],
  ["packed", true],
])("a %s ring whose memory comes piece by piece", (_, packed) => {
  it("is served once, in order, as if all of it had been there", async () => {
    const whole = asked(packed);
    whole.kick();
    expect(whole.done).toHaveLength(requests);
    let waits = 0;
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray(pages, { minLength: pages.length }), async (order) => {
        const { memory, done, broken, kick, interrupts } = asked(packed);
        memory.takeAway();
        kick();
        expect(done).toEqual([]);
        const content = memory.bytes.slice();
        for (let at = 0; at < order.length; at += together) {
          const served = done.length;
          for (const page of order.slice(at, at + together)) memory.give(page);
          await turn();
          expect(broken()).toBe(false);
          // A request that has not begun has left no trace.
          if (served === 0 && done.length === 0 && !packed) expect(Buffer.compare(memory.bytes, content)).toBe(0);
        }
        await turn();
        expect(done).toEqual(whole.done);
        expect(Buffer.compare(memory.bytes, whole.memory.bytes)).toBe(0);
        expect(interrupts()).toBeGreaterThan(0);
        waits += memory.waits;
      }),
      { seed: 4, numRuns: 15, endOnFailure: true },
    );
    expect(waits).toBeGreaterThan(50);
  });

  it("is served so whichever page comes last", async () => {
    const whole = asked(packed);
    whole.kick();
    const end = tables + 0x80 * requests;
    for (const late of pages.slice(0x1000 / pageBytes, end / pageBytes)) {
      const { memory, done, kick } = asked(packed);
      memory.takeAway();
      for (const page of pages) if (page !== late) memory.give(page);
      kick();
      await turn();
      memory.give(late);
      await turn();
      expect([late, done]).toEqual([late, whole.done]);
      expect(Buffer.compare(memory.bytes, whole.memory.bytes)).toBe(0);
    }
  });
});

describe("a chain that is none, while memory is absent", () => {
  it.each([
    ["split", false],
    ["packed", true],
  ])("is looked at once, and breaks the device: %s ring", (_, packed) => {
    const memory = new IncompleteMemory(memoryBytes);
    const features = packed ? packedFeatures : hostFeatures;
    const { start, rings, packedRings, device } = rig({ memory, parameters: { hostFeatures: features } });
    start(features);
    const nowhere = tables;
    if (packed) packedRings[0]?.addIndirect(0, nowhere, { address: buffers, length: 8 });
    else {
      rings[0]?.descriptor(rings[0].desc, 0, nowhere, 64, 4);
      rings[0]?.offer(0);
    }
    memory.hole(nowhere, 0x100);
    memory.takeAway();
    for (const page of pages.slice(0, -1)) memory.give(page);
    const looks: number[] = [];
    const read = memory.read.bind(memory);
    memory.read = (address, length) => {
      if (address >= nowhere) looks.push(address);
      return read(address, length);
    };
    expect(device.queues[0]?.pop()).toBe(undefined);
    expect([device.broken, looks.length]).toEqual([true, 1]);
  });
});

describe("a device that has come", () => {
  it("asks for all of its rings at once, in its check and before it is waited for", async () => {
    const memory = new IncompleteMemory(memoryBytes);
    const { start, check, state, registered, rings, device, model } = rig({ memory, queueSizes: [8, 8, 8, 8] });
    start();
    // Longer than what is demanded at a time, and another one.
    const [long, short] = [0x5000, 0x7000];
    rings[0]?.add({ address: long, length: 0x1800 }, { address: short, length: 8, write: true });
    const element = device.queues[0]?.pop() as VirtqueueElement;
    Object.assign(model, { takenElements: () => [element] });
    const came = state();
    memory.takeAway();
    const places = rings.map(({ desc }) => desc / pageBytes);
    expect(() => check(came)).toThrow(expect.objectContaining({ code: "PAGE_ABSENT" }));
    expect(places.filter((page) => !memory.asked.has(page))).toEqual([]);
    for (const page of pages) memory.give(page);
    memory.takeAway();
    memory.asked.clear();
    const all = [...places, ...[long, long + 0x1000, short].map((address) => address / pageBytes)];
    registered().init.load(came);
    expect(all.filter((page) => !memory.asked.has(page))).toEqual([]);
    memory.asked.clear();
    const ready = registered().init.ready?.();
    await turn();
    expect(all.filter((page) => !memory.asked.has(page))).toEqual([]);
    for (const page of pages) memory.give(page);
    await ready;
  });
});

describe("a device that has come with requests", () => {
  it("is ready when their buffers and its rings are there", async () => {
    const memory = new IncompleteMemory(memoryBytes);
    const { start, rings, device, model, registered } = rig({ memory, queueSizes: [8] });
    start();
    rings[0]?.add({ address: buffers, length: 40 }, { address: buffers + 0x80, length: 8, write: true });
    const element = device.queues[0]?.pop() as VirtqueueElement;
    Object.assign(model, { takenElements: () => [element] });
    // One of its ring, and one of each of its buffers.
    for (const late of [0x1000, buffers + pageBytes, buffers + 0x80].map((address) => address / pageBytes)) {
      memory.takeAway();
      let isReady = false;
      const ready = registered()
        .init.ready?.()
        .then(() => {
          isReady = true;
        });
      for (const page of pages) if (page !== late) memory.give(page);
      for (let turns = 0; turns < 5; turns++) await turn();
      expect([late, isReady]).toEqual([late, false]);
      memory.give(late);
      await ready;
      expect(isReady).toBe(true);
    }
  });
});
