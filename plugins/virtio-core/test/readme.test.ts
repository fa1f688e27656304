// The README's example is a file that runs; its tables are the code's.
import { readFileSync } from "node:fs";
import { createKernel, virtualClock } from "@godwit/core";
import { feature, status, virtioErrorCodes } from "@godwit/virtio-core";
import { expect, it } from "vitest";
import { plugEcho } from "../examples/echo.ts";
import { TestMemory } from "./support/memory.ts";
import { PackedDriver } from "./support/packed-driver.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

it("shows the example as it is", () => {
  const shown = /```ts\n([\s\S]*?)```/.exec(readme)?.[1];
  expect(shown).toBe(readFileSync(new URL("../examples/echo.ts", import.meta.url), "utf8"));
});

/** A machine with the example's device, its guest's memory beside it. */
function machine(bytes: Uint8Array) {
  const kernel = createKernel({
    machineType: "bare",
    clock: virtualClock(() => 0n),
    machine: { pause() {}, resume() {}, reset() {} },
  });
  const memory = new TestMemory();
  memory.bytes.set(bytes);
  const dma = {
    after: [],
    read: (address: number, length: number) => memory.read(address, length),
    write: (address: number, data: Uint8Array) => memory.write(address, data),
    staged: () => memory,
  };
  const interrupts: number[] = [];
  const device = plugEcho(kernel, dma, () => interrupts.push(device.isr));
  return { kernel, memory, device, interrupts };
}

it("runs it, and goes on in another machine", () => {
  const here = machine(new Uint8Array(0));
  const driver = new PackedDriver(here.memory, 0x1000, 128);
  const { desc, avail, used } = driver.addresses;
  here.device.setFeatures(feature.VERSION_1 | feature.RING_PACKED);
  here.device.setStatus(status.ACKNOWLEDGE | status.DRIVER | status.FEATURES_OK);
  here.device.setRings(0, desc, avail, used);
  here.device.setStatus(here.device.status | status.DRIVER_OK);
  const turn = ({ memory, device, interrupts }: typeof here, id: number) => {
    memory.bytes.set([id, 2, 3], 0x6000);
    driver.add(id, { address: 0x6000, length: 3 }, { address: 0x7000, length: 8, write: true });
    device.kick(0);
    expect(driver.reap()).toEqual({ id, length: 3, writes: true });
    expect(Array.from(memory.bytes.subarray(0x7000, 0x7003))).toEqual([id, 2, 3]);
    return interrupts;
  };
  for (let id = 0; id < 100; id++) expect(turn(here, id)).toHaveLength(id + 1);
  const there = machine(here.memory.bytes);
  there.kernel.restore(here.kernel.snapshot());
  Object.assign(driver, { memory: there.memory });
  for (let id = 100; id < 200; id++) turn(there, id);
  expect(there.interrupts).toContain(1);
});

it("names every error code, and every subsection", () => {
  const named = Array.from(readme.matchAll(/^\| `(VIRTIO_[A-Z_]+)`/gm), ([, code]) => code);
  expect(named).toEqual(Object.keys(virtioErrorCodes));
  const subsections = Array.from(readme.matchAll(/^\| `virtio\/(\w+)`/gm), ([, name]) => name);
  expect(subsections).toEqual([
    "device_endian",
    "128bit_features",
    "64bit_features",
    "virtqueues",
    "ringsize",
    "broken",
    "extra_state",
    "started",
    "packed_virtqueues",
    "disabled",
  ]);
});
