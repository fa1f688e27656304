// How long the kernel takes to register and schedule many handlers.
import { bench, group, run } from "mitata";
import { createKernel, type Kernel, u32, virtualClock, vmstate } from "../src/index.ts";
import { Registry } from "../src/registry/registry.ts";
import { schedule } from "../src/registry/schedule.ts";

const word = vmstate({ name: "word", version: 1, fields: { x: u32 } });

function kernelOf(devices: number): Kernel {
  const kernel = createKernel({
    machineType: "bench",
    clock: virtualClock(() => 0n),
    machine: { pause: () => {}, resume: () => {}, reset: () => {} },
  });
  for (let i = 0; i < devices; i++) kernel.device(word, { instance: i, save: () => ({ x: i }), load: () => {} });
  return kernel;
}

function registryOf(handlers: number): Registry {
  const registry = new Registry();
  const device = { save: () => ({}), load: () => {} };
  for (let i = 0; i < handlers; i++) {
    registry.add({
      name: `d${i}`,
      path: undefined,
      instance: undefined,
      alias: undefined,
      version: 1,
      priority: i % 7 === 0 ? "iommu" : "default",
      after: i > 0 ? [`d${i >> 1}`] : [],
      description: word,
      device,
      iterable: undefined,
    });
  }
  return registry;
}

export default async function kernelBenchmark(): Promise<void> {
  for (const handlers of [100, 1000, 10_000]) {
    group(`${handlers} handlers`, () => {
      bench("register", () => kernelOf(handlers));
      const registry = registryOf(handlers);
      console.log(
        `${handlers} handlers: ${(schedule(registry).comparisons / handlers).toFixed(1)} comparisons a handler`,
      );
      bench("schedule", () => schedule(registry));
    });
  }
  await run();
}
