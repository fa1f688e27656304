import { describe, expect, it } from "vitest";
import { isMigrationError } from "../src/index.ts";
import { type NewEntry, Registry } from "../src/registry/registry.ts";
import { schedule } from "../src/registry/schedule.ts";

const device = { save: () => ({}), load: () => {} };
function entry(name: string, more: Partial<NewEntry> = {}): NewEntry {
  return {
    name,
    path: undefined,
    instance: undefined,
    alias: undefined,
    version: 1,
    priority: "default",
    after: [],
    description: undefined,
    device,
    iterable: undefined,
    ...more,
  };
}
const names = (list: Iterable<{ idstr: string; instance: number }>) => [...list].map((e) => `${e.idstr}/${e.instance}`);

describe("registry", () => {
  it("keeps QEMU's order: priority, then registration; ids are never used again", () => {
    const registry = new Registry();
    registry.add(entry("timer"));
    registry.add(entry("disk"));
    registry.add(entry("late", { priority: "low" }));
    const iommu = registry.add(entry("iommu-intel", { priority: "iommu" }));
    registry.add(entry("bridge", { priority: "pci-bus" }));
    registry.add(entry("gic", { priority: "gicv3" }));
    expect(names(registry.inSaveOrder())).toEqual([
      "gic/0",
      "bridge/0",
      "iommu-intel/0",
      "timer/0",
      "disk/0",
      "late/0",
    ]);
    registry.remove(iommu);
    expect(registry.add(entry("iommu-intel", { priority: "iommu" })).sectionId).toBe(6);
    expect(names(registry.inSaveOrder())).toEqual([
      "gic/0",
      "bridge/0",
      "iommu-intel/0",
      "timer/0",
      "disk/0",
      "late/0",
    ]);
  });

  it("finds by name, alias, and name without path", () => {
    const registry = new Registry();
    const net = registry.add(entry("virtio-net", { path: "0000:00:02.0" }));
    const second = registry.add(entry("virtio-net", { path: "0000:00:03.0" }));
    const pic = registry.add(entry("i8259", { instance: 0, alias: 0x20 }));
    expect(net.idstr).toBe("0000:00:02.0/virtio-net");
    expect(registry.find("0000:00:02.0/virtio-net", 0)).toBe(net);
    expect(registry.find("virtio-net", 0)).toBe(net);
    expect(registry.find("virtio-net", 1)).toBe(second);
    expect(registry.find("virtio-net", 2)).toBeUndefined();
    expect(registry.find("i8259", 0x20)).toBe(pic);
    registry.remove(net);
    expect(registry.find("virtio-net", 0)).toBeUndefined();
  });

  it("keeps QEMU's rules for devices with a path: instance 0, and what streams without paths carry", () => {
    const registry = new Registry();
    const plain = registry.add(entry("serial", { instance: 0 }));
    const third = registry.add(entry("serial", { path: "0000:00:01.0", instance: 3, alias: 0x3f8 }));
    const next = registry.add(entry("serial", { path: "0000:00:02.0" }));
    expect([third.instance, next.instance]).toEqual([0, 0]);
    expect(registry.find("serial", 0)).toBe(plain);
    expect(registry.find("serial", 3)).toBe(third);
    expect(registry.find("serial", 0x3f8)).toBe(third);
    expect(registry.find("serial", 4)).toBe(next);
    for (let round = 0; round < 3; round++) {
      const again = registry.add(entry("serial", { path: "0000:00:03.0" }));
      expect(again.compat?.instance).toBe(5);
      registry.remove(again);
    }
  });

  it("takes a device out once: its successor of the same name stays", () => {
    const registry = new Registry();
    const first = registry.add(entry("disk"));
    registry.remove(first);
    const second = registry.add(entry("disk"));
    registry.remove(first);
    expect(registry.find("disk", 0)).toBe(second);
    expect(names(registry.inSaveOrder())).toEqual(["disk/0"]);
  });

  it("takes instances that fit the wire, and numbers 10,000 without a search", () => {
    const registry = new Registry();
    for (const instance of [-1, 1.5, 2 ** 32]) {
      expect(() => registry.add(entry("dma", { instance }))).toThrow("DEFINITION_INVALID");
    }
    for (let i = 0; i < 10_000; i++) expect(registry.add(entry("dma", { instance: "auto" })).instance).toBe(i);
  });

  it.each([
    [{ instance: -1 }, "-1"],
    [{ instance: 2 ** 32 }, "4294967296"],
    [{ path: "slot", instance: 0.5 }, "0.5"],
    [{ alias: 2 ** 32 }, "4294967296"],
    [{ path: "slot", alias: -3 }, "-3"],
  ])("refuses ids that no stream can carry: %j", (ids, found) => {
    const registry = new Registry();
    const add = () => registry.add(entry("card", ids));
    expect(add).toThrow("DEFINITION_INVALID");
    expect(add).toThrow(`found ${found}`);
    expect(registry.size).toBe(0);
  });

  it("numbers automatically only when asked", () => {
    const registry = new Registry();
    registry.add(entry("dma", { instance: 4 }));
    expect(registry.add(entry("dma", { instance: "auto" })).instance).toBe(5);
    expect(registry.add(entry("dma")).instance).toBe(0);
    expect(() => registry.add(entry("dma"))).toThrow("INSTANCE_AMBIGUOUS");
  });
});

describe("schedule", () => {
  it("puts dependencies first and breaks ties by save order", () => {
    const registry = new Registry();
    registry.add(entry("disk", { after: ["iommu-intel", { idstr: "irqchip", instance: 1 }] }));
    registry.add(entry("net", { after: ["disk"] }));
    registry.add(entry("irqchip", { instance: 0 }));
    registry.add(entry("irqchip", { instance: 1, after: ["clock"] }));
    registry.add(entry("clock"));
    registry.add(entry("iommu-intel", { priority: "iommu" }));
    expect(names(schedule(registry).order)).toEqual([
      "iommu-intel/0",
      "irqchip/0",
      "clock/0",
      "irqchip/1",
      "disk/0",
      "net/0",
    ]);
  });

  it("names the members of a cycle, and unknown names", () => {
    const registry = new Registry();
    registry.add(entry("a", { after: ["b"] }));
    registry.add(entry("b", { after: ["c"] }));
    registry.add(entry("c", { after: ["a"] }));
    registry.add(entry("d", { after: ["c"] }));
    try {
      schedule(registry);
      expect.unreachable();
    } catch (error) {
      if (!isMigrationError(error)) throw error;
      expect(error.code).toBe("DEPENDENCY_CYCLE");
      expect(error.detail).toBe("devices wait for each other: a/0 waits for b/0 waits for c/0 waits for a/0");
    }
    const other = new Registry();
    other.add(entry("a", { after: ["nobody"] }));
    expect(() => schedule(other)).toThrow("DEPENDENCY_UNKNOWN");
  });

  it("names the registered ones that are nearest to an unknown name, and no more than five", () => {
    const refused = (after: NewEntry["after"]) => {
      const registry = new Registry();
      for (const name of ["timer", "ram", "serial", "rtc", "pci-bus"]) registry.add(entry(name));
      registry.add(entry("dial"));
      registry.add(entry("dial", { instance: 1 }));
      registry.add(entry("user", { after }));
      try {
        schedule(registry);
      } catch (error) {
        if (isMigrationError(error)) return [error.code, error.location.section, error.expected, error.found];
      }
      throw new Error("all of it is known");
    };
    expect(refused(["dail"])).toEqual([
      "DEPENDENCY_UNKNOWN",
      "user/0",
      "such as dial, serial, timer, ram, pci-bus",
      "dail",
    ]);
    // The device itself is no answer.
    expect(refused(["usr"])[2]).toBe("such as serial, pci-bus, timer, ram, rtc");
    expect(refused([{ idstr: "dial", instance: 2 }])).toEqual([
      "DEPENDENCY_UNKNOWN",
      "user/0",
      "such as dial/0, dial/1, serial/0, timer/0, ram/0",
      "dial/2",
    ]);
  });

  it("refuses an iterable that waits for a device", () => {
    const registry = new Registry();
    registry.add(entry("irqchip"));
    registry.add(entry("vfio", { device: undefined, iterable: {} as never, after: ["irqchip"] }));
    expect(() => schedule(registry)).toThrow("DEPENDENCY_ITERABLE");
  });

  it.each([
    ["none", () => [] as string[]],
    ["a chain against the order of registration", (i: number, n: number) => (i + 1 < n ? [`d${i + 1}`] : [])],
    ["a tree", (i: number) => (i > 0 ? [`d${(i - 1) >> 1}`] : [])],
    ["many", (i: number) => [1, 7, 31, 1009].filter((step) => step <= i).map((step) => `d${i - step}`)],
    ["layers backwards", (i: number, n: number) => (i + 100 < n ? [`d${i + 100}`, `d${i + 50}`] : [])],
  ])("makes at most 40 comparisons a handler at 10,000 handlers: %s", (name, after) => {
    const n = 10_000;
    const registry = new Registry();
    for (let i = 0; i < n; i++)
      registry.add(entry(`d${i}`, { after: after(i, n), priority: i % 5 === 0 ? "iommu" : "default" }));
    const { order, comparisons } = schedule(registry);
    expect(order.length).toBe(n);
    const place = new Map(order.map((e, i) => [e.idstr, i]));
    for (const e of order)
      for (const first of e.after) expect(place.get(first as string)).toBeLessThan(place.get(e.idstr) as number);
    expect(comparisons).toBeLessThanOrEqual(40 * n);
    // A counter that does not count would pass any bound.
    if (name === "none") expect(comparisons).toBeGreaterThan(n);
  });
});
