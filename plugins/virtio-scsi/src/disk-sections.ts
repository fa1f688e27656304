// The sections of a host adapter's disks, one each: `<adapter's path>/0:target:lun/scsi-disk`.
import { type Dependency, type KernelForPlugins, MigrationError, type Registration } from "@godwit/core";
import { scsiDisk } from "./disk-state.ts";
import type { VirtioScsiModel } from "./model.ts";

/** Registers them, to be checked and loaded after the adapter. */
export function registerDisks(
  kernel: KernelForPlugins,
  path: string,
  model: VirtioScsiModel,
  after: readonly Dependency[],
): readonly Registration[] {
  const queues = model.queueSizes.length - 2;
  const description = scsiDisk({ queues, packed: false });
  return model.units.map((unit) =>
    kernel.device(description, {
      path: `${path}/0:${unit.address.target}:${unit.address.lun}`,
      after,
      save: () => unit.save(),
      check({ qdev }) {
        const wrong = qdev.requests.findIndex(({ lun }) => lun !== unit.address.lun);
        if (wrong < 0) return;
        throw new MigrationError("DEVICE_CHECK", "a request in flight belongs to another unit", {
          path: `qdev.requests[${wrong}].lun`,
          expected: String(unit.address.lun),
          found: String(qdev.requests[wrong]?.lun),
        });
      },
      load: (state) => unit.load(state),
    }),
  );
}
