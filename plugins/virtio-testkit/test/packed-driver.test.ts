// The packed driver against a device of its own, over many laps, and from one machine to another.
import { feature, noData, type VirtioModel, type Virtqueue } from "@godwit/virtio-core";
import { describe, expect, it } from "vitest";
import { machine, PackedDriver } from "../src/index.ts";

/** Answers each request with its bytes turned round. */
const mirror = (): VirtioModel => ({
  name: "virtio-mirror",
  sectionVersion: 1,
  minimumVersion: 1,
  deviceId: 42,
  description: noData,
  features: 0n,
  queueSizes: [4],
  configBytes: () => new Uint8Array(0),
  kick(queue: Virtqueue) {
    for (let element = queue.pop(); element; element = queue.pop()) {
      queue.push(element, queue.write(element, 0, queue.read(element, 0, 64).reverse()));
    }
    queue.notify();
  },
  reset() {},
  save: () => ({}),
  load() {},
});

describe("PackedDriver", () => {
  it("goes round its ring, in one machine and the next", () => {
    const first = machine(mirror(), new Uint8Array(1 << 16), feature.RING_PACKED);
    const driver = new PackedDriver(first);
    const ring = driver.ring(0);
    const [from, to] = [driver.allocate(4), driver.allocate(4)];
    const turn = (i: number) => {
      driver.machine.ram.set([i, i + 1, i + 2, i + 3], from);
      const id = ring.add(
        [
          { at: from, length: 2 },
          { at: from + 2, length: 2 },
        ],
        [{ at: to, length: 4 }],
      );
      ring.kick();
      expect(ring.reap()).toEqual([{ head: id, length: 4 }]);
      expect(Array.from(driver.bytes(to, 4))).toEqual([i + 3, i + 2, i + 1, i]);
    };
    for (let i = 0; i < 9; i++) turn(i);
    expect(driver.machine.interrupts).toHaveLength(9);
    const second = machine(mirror(), new Uint8Array(1 << 16), feature.RING_PACKED);
    second.ram.set(first.ram);
    second.load(first.save());
    driver.machine = second;
    for (let i = 9; i < 18; i++) turn(i);
  });

  it("is told where its ring is full", () => {
    const driver = new PackedDriver(machine(mirror(), new Uint8Array(1 << 16), feature.RING_PACKED));
    const one = { at: 0x8000, length: 1 };
    driver.ring(0).add([one, one, one], []);
    expect(() => driver.ring(0).add([one, one], [])).toThrow("the ring is full");
  });
});
