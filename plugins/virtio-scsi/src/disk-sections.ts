// The sections of a host adapter's disks, one each: `<adapter's path>/0:target:lun/scsi-disk`.
import { type Dependency, type KernelForPlugins, MigrationError, type Registration } from "@godwit/core";
import { scsiDisk } from "./disk-state.ts";
import type { VirtioScsiModel } from "./model.ts";
import type { CarriedScsiRequest } from "./requests-field.ts";

/** `packed`: rings of that form are offered. Registers them, to be checked and loaded after the adapter. */
export function registerDisks(
  kernel: KernelForPlugins,
  path: string,
  model: VirtioScsiModel,
  after: readonly Dependency[],
  packed: boolean,
): readonly Registration[] {
  const queues = model.queueSizes.length - 2;
  const description = scsiDisk({ queues, packed });
  return model.units.map((unit) =>
    kernel.device(description, {
      path: `${path}/0:${unit.address.target}:${unit.address.lun}`,
      after,
      save: () => unit.save(),
      check: ({ qdev }) => checkRequests(qdev.requests, unit.address.lun),
      load: (state) => unit.load(state),
    }),
  );
}

/** A request belongs to its unit, and is here once. */
function checkRequests(requests: readonly CarriedScsiRequest[], unitLun: number): void {
  const seen = new Set<string>();
  for (const [i, { queue, element, lun, buflen, data_len }] of requests.entries()) {
    const refuse = (detail: string, field: string, expected: string, found: number): never => {
      const path = `qdev.requests[${i}].${field}`;
      throw new MigrationError("DEVICE_CHECK", detail, { path, expected, found: String(found) });
    };
    if (lun !== unitLun) refuse("a request in flight belongs to another unit", "lun", String(unitLun), lun);
    if (data_len > buflen) {
      refuse("a request in flight has more data than its buffer holds", "data_len", `at most ${buflen}`, data_len);
    }
    const entry = `${queue}/${element.index}`;
    if (seen.has(entry)) refuse("a request in flight came twice", "element", "each once", element.index);
    seen.add(entry);
  }
}
