// What can be said of a packed queue's indices, all of which travel: QEMU itself takes them as they come.
import { MigrationError } from "@godwit/core";
import { hex } from "./constants.ts";
import { slotsBetween } from "./packed-ring.ts";
import type { PackedVirtqueueState } from "./subsections.ts";

/**
 * An index of the next available slot that is none is answered with a text: the device that meets it is broken. A used
 * index or a count of slots in use that cannot be is `VIRTQUEUE_INDEX` at `virtio.packed_virtqueues.vq[index]`.
 */
export function checkPackedIndices(index: number, num: number, indices: PackedVirtqueueState): string | undefined {
  const { last_avail_idx, last_avail_wrap_counter, used_idx, used_wrap_counter, inuse } = indices;
  if (used_idx >= num)
    throw impossible(
      index,
      "used_idx",
      `VQ ${index} size ${hex(num)} Used index ${hex(used_idx)}`,
      `below ${num}`,
      used_idx,
    );
  if (inuse > num)
    throw impossible(index, "inuse", `VQ ${index} size ${hex(num)} < inuse ${hex(inuse)}`, `at most ${num}`, inuse);
  if (last_avail_idx >= num) {
    return `VQ ${index} size ${hex(num)} has no slot for Host index ${hex(last_avail_idx)}`;
  }
  const used = { index: used_idx, wrap: used_wrap_counter };
  const next = { index: last_avail_idx, wrap: last_avail_wrap_counter };
  const between = slotsBetween(used, next, num);
  if (between === inuse) return undefined;
  const detail =
    `VQ ${index} size ${hex(num)} last_avail_idx ${position(next)} - used_idx ${position(used)} ` +
    `inconsistent with inuse ${hex(inuse)}`;
  throw impossible(index, "inuse", detail, `${between} slots in use`, inuse);
}

/** The index, and the lap's wrap counter. */
function position({ index, wrap }: { index: number; wrap: boolean }): string {
  return `${hex(index)}/${wrap ? 1 : 0}`;
}

function impossible(index: number, field: string, detail: string, expected: string, found: number): MigrationError {
  const path = `virtio.packed_virtqueues.vq[${index}].${field}`;
  return new MigrationError("VIRTQUEUE_INDEX", detail, { path, expected, found: String(found) });
}
