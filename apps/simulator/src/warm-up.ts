// What the engine loads once in a process (the digest's WebAssembly) is loaded before any seed runs, since that takes real
// time: afterwards nothing in a seed waits for anything but promises and the virtual clock.
import { createKernel, virtualClock } from "@godwit/core";
import { incomingMigration } from "@godwit/migration";
import { settled } from "./virtual-time.ts";

let isWarm = false;

export async function warmUp(): Promise<void> {
  if (isWarm) return;
  let isLoaded = false;
  const nothing = { pause: () => {}, resume: () => {}, reset: () => {} };
  const migration = incomingMigration({
    machine: createKernel({ machineType: "warm-up", clock: virtualClock(() => 0n), machine: nothing }),
    clock: { nowMs: () => 0, after: () => () => {} },
    accept: () => {
      isLoaded = true;
      return new Promise(() => {});
    },
  });
  const report = migration.run();
  while (!isLoaded) await settled();
  migration.cancel();
  await report;
  isWarm = true;
}
