import { createKernel, isMigrationError, type KernelForPlugins, u8, virtualClock, vmstate } from "@godwit/core";

// #region cycle
const level = (name: string) => vmstate({ name, version: 1, fields: { level: u8 } });

function add(kernel: KernelForPlugins, name: string, after: string[]) {
  kernel.device(level(name), { after, save: () => ({ level: 0 }), load() {} });
}

function attempt(...devices: [name: string, after: string[]][]) {
  const kernel = createKernel({
    machineType: "guide-1.0",
    clock: virtualClock(() => 0n),
    machine: { pause() {}, resume() {}, reset() {} },
  });
  for (const [name, after] of devices) add(kernel, name, after);
  try {
    kernel.snapshot();
  } catch (error) {
    if (!isMigrationError(error)) throw error;
    console.log(`${error.code}: ${error.detail}${error.found === undefined ? "" : ` (${error.found})`}`);
  }
}

attempt(["disk", ["bridge"]], ["bridge", ["timer-chip"]], ["timer-chip", ["disk"]]);
attempt(["disk", ["iommu"]]);
// #endregion
