import type { Kernel } from "@godwit/core";
import { failingDevice } from "@godwit/testkit/failing";

/** What becomes of your machine when one device of it cannot load: nothing, and the next load succeeds. */
export async function survivesAFailure(
  machine: { kernel: Kernel; look(): unknown },
  save: (kernel: Kernel) => Uint8Array,
) {
  const { calls } = failingDevice(machine.kernel, { fail: { load: 1 } });
  const bytes = save(machine.kernel);
  const before = machine.look();
  const refused = await machine.kernel.load(bytes).then(
    () => undefined,
    (error: { code: string }) => error.code,
  );
  const untouched = JSON.stringify(machine.look()) === JSON.stringify(before);
  await machine.kernel.load(bytes);
  return { refused, untouched, loads: calls.count("load") };
}
