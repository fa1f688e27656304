// Both tables of the virtio core, save and load, row by row: the trace of what is really called, read and set.
import { decodeRecord } from "@godwit/core";
import { describe, expect, it } from "vitest";
import { feature, status, type Virtqueue } from "../src/index.ts";
import { DriverRing } from "./support/driver-ring.ts";
import { hostFeatures, packedFeatures, rig } from "./support/rig.ts";
import { followDevice, followMemory, steps } from "./support/trace.ts";

/** A device at work: one request is taken, another waits; its transport has something in each place. */
function source(features = hostFeatures, offered = hostFeatures) {
  const all = rig({ parameters: { hostFeatures: offered } });
  all.start(features);
  const ring = (features & feature.RING_PACKED) === 0n ? all.rings[0] : all.packedRings[0];
  for (const id of [0, 1]) {
    if (ring instanceof DriverRing) ring.add({ address: 0x6000, length: 4 });
    else ring?.add(id, { address: 0x6000, length: 4 });
  }
  (all.device.queues[0] as Virtqueue).pop();
  all.calls.length = 0;
  return all;
}

/** Rows of a table: each is a name, and the steps that it consists of. */
type Table = readonly (readonly [row: string, ...steps: string[]])[];

/** The trace is the rows' steps, one row after the other, and nothing else. */
function expectRows(trace: readonly string[], table: Table): void {
  let at = 0;
  for (const [row, ...expected] of table) {
    expect([row, ...trace.slice(at, at + expected.length)]).toEqual([row, ...expected]);
    at += expected.length;
  }
  expect(trace.slice(at)).toEqual([]);
}

describe("save", () => {
  const table: Table = [
    ["proxy and transport fields", "transport.saveConfig"],
    ["status", "get status"],
    ["interrupt status", "get isr"],
    ["queue selector", "get queueSelect"],
    ["features, low half", "get features"],
    ["configuration space, as the guest saw it last", "get config"],
    ["queue 0", "get vqs[0].size", "get features", "transport.saveQueue 0"],
    ["queue 1", "get vqs[1].size", "get features", "transport.saveQueue 1"],
    ["device fields, old style", "model.saveLegacy"],
    ["device fields", "model.save"],
    ["virtio/device_endian", "get deviceEndian"],
    ["virtio/128bit_features, 64bit_features", "get features"],
    ["virtio/ringsize", "get vqs[0].sizeDefault", "get vqs[1].sizeDefault"],
    ["virtio/broken", "get broken"],
    ["virtio/extra_state", "transport.saveExtraState"],
    ["virtio/started", "get started"],
    ["virtio/packed_virtqueues", "get features"],
    ["virtio/disabled", "get disabled"],
  ];

  it("is what the table says, row by row", () => {
    const { device, model, calls, state } = source(packedFeatures, packedFeatures);
    followDevice(device, calls, "get");
    model.configBytes = () => {
      throw new Error("a save looks at what the driver saw last, not at the model");
    };
    // What the queue in use looks at twice is one step: nothing lies between.
    expect(state()["vqs"]).toHaveLength(2);
    expectRows(steps(calls), table);
  });

  it("stands in the section in the same order", () => {
    const { registered, save } = source();
    const record = decodeRecord(registered().description, save());
    expect(Object.keys(record)).toEqual([
      "$version",
      "transport",
      "status",
      "isr",
      "queue_sel",
      "guest_features",
      "config_len",
      "config",
      "queue_count",
      "vqs",
      "legacy",
      "device",
      "virtio",
    ]);
    expect(Object.keys(record["virtio"] as object)).toEqual(["features64", "virtqueues", "extra_state", "started"]);
  });
});

describe("load", () => {
  const upToTheDevice: Table = [
    ["proxy and transport fields", "transport.loadConfig"],
    ["status", "set status 15"],
    ["interrupt status", "set isr 0"],
    ["queue selector", "set queueSelect 0"],
    ["features, low half", "set features 0x30000005"],
    ["configuration space", "set config 0,0,0,0"],
    ["queue 0", "set vqs[0].size 8", "transport.loadQueue 0"],
    ["the guest is told of queue 0", "transport.updateInterrupt"],
    ["queue 1", "set vqs[1].size 4", "transport.loadQueue 1"],
    ["the guest is told of queue 1", "transport.updateInterrupt"],
    ["device fields, which see the low features", "model.load 0x30000005"],
  ];
  const subsections = (features: string): Table => [
    ["virtio/device_endian", "set deviceEndian 1"],
    ["virtio/128bit_features, 64bit_features", `set features ${features}`],
    ["virtio/ringsize", "set vqs[0].sizeDefault 8", "set vqs[1].sizeDefault 4"],
    ["virtio/broken", "set broken false"],
    ["virtio/extra_state", "transport.loadExtraState"],
    ["virtio/started", "set started true"],
    ["virtio/disabled", "set disabled false"],
    ["sanitise endianness", "set deviceEndian 1"],
    ["sanitise features", `set features ${features}`],
  ];

  /** From the transport's first field on; before it the state is checked, and the device is cleared. */
  function trace(from: ReturnType<typeof source>, offered: bigint) {
    const target = rig({ memory: from.memory, parameters: { hostFeatures: offered } });
    const bytes = from.save();
    target.calls.length = 0;
    followDevice(target.device, target.calls, "set");
    followMemory(target.memory, target.calls);
    Object.assign(target.transport, { check: () => void target.calls.push("transport.check") });
    Object.assign(target.model, { check: () => void target.calls.push("model.check") });
    target.load(bytes);
    const all = steps(target.calls);
    const [cleared, start] = [all.indexOf("set status 0"), all.indexOf("transport.loadConfig")];
    return { checked: all.slice(0, cleared), loaded: all.slice(start) };
  }

  it("of split rings is what the table says, row by row", () => {
    expectRows(trace(source(), hostFeatures).loaded, [
      ...upToTheDevice,
      ...subsections("0x130000005"),
      ["queue 0: its rings, and its indices", "vqs[0].setRings", "vqs[0].load"],
      ["queue 0: compared with guest memory", "read the rings"],
      ["queue 1: its rings, and its indices", "vqs[1].setRings", "vqs[1].load"],
      ["queue 1: compared with guest memory", "read the rings"],
      ["what depends on features and rings", "model.afterSubsections 0x130000005 1,0"],
    ]);
  });

  it("of packed rings is the same, but that memory has nothing to compare with", () => {
    expectRows(trace(source(packedFeatures, packedFeatures), packedFeatures).loaded, [
      ...upToTheDevice,
      ...subsections("0x530000005"),
      ["queue 0: its rings, and its indices", "vqs[0].setRings", "vqs[0].load"],
      ["queue 1: its rings, and its indices", "vqs[1].setRings", "vqs[1].load"],
      ["what depends on features and rings", "model.afterSubsections 0x530000005 1,0"],
    ]);
  });

  it("tests before it touches anything: the transport's part, the rings in staged memory, and last the device's", () => {
    expect(trace(source(), hostFeatures).checked).toEqual(["transport.check", "read the rings", "model.check"]);
  });

  it("tests features before rings, and rings before the device", () => {
    const from = source();
    const target = rig({ memory: from.memory });
    const seen: string[] = [];
    followMemory(target.memory, seen);
    Object.assign(target.model, { check: () => void seen.push("model.check") });
    const state = from.state();
    seen.length = 0;
    state["virtio"].features64.guest_features |= 1n << 20n;
    expect(() => target.check(state)).toThrow("unsupported");
    expect(seen).toEqual([]);
    state["virtio"].features64.guest_features &= hostFeatures;
    // 9 of 8 entries in use.
    state["vqs"][0].last_avail_idx = 2;
    if (from.rings[0]) from.rings[0].usedIdx = 0xfff9;
    expect(() => target.check(state)).toThrow("used_idx");
    expect(seen).toContain("read the rings");
    expect(seen).not.toContain("model.check");
  });

  it("goes on behind the machine's start: pending interrupts, then the device, then every queue", () => {
    const from = source();
    const target = rig({ memory: from.memory });
    target.load(from.save());
    target.calls.length = 0;
    Object.assign(target.transport, { resumed: () => void target.calls.push("transport.resumed") });
    target.resume();
    expect(steps(target.calls)).toEqual(["transport.resumed", "model.resumed", "notifyQueue 0", "notifyQueue 1"]);
    expect(target.model.served).toBe(1);
    expect(target.device.status & status.DRIVER_OK).toBe(status.DRIVER_OK);
  });
});
