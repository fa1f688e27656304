// What QEMU's virtio_load tests after it has read a section (wire reference 13.5), as pure functions over the state
// and the memory that goes with it. Nothing here knows a device.
import { isMigrationError, MigrationError } from "@godwit/core";
import { isPageAbsent } from "./absent.ts";
import { endian, feature, hex, legacyAlignBytes, maxRing, status } from "./constants.ts";
import type { DmaReader } from "./dma.ts";
import { checkPackedIndices } from "./packed-check.ts";
import { readPackedRing } from "./packed-ring.ts";
import { legacyRing, type RingAddresses, type RingRules, readRing, ringProgress } from "./ring.ts";
import type { VirtioState } from "./section.ts";
import { freshIndices } from "./subsections.ts";

/** Any virtio state: the checks look at the common part. */
export type AnyVirtioState = VirtioState<unknown, unknown, unknown, unknown, unknown>;

/** The lower 64 negotiated features. */
export function negotiated(state: AnyVirtioState): bigint {
  return state.virtio.features64.guest_features;
}

/** The form of the device's rings. From virtio 1.0 on they are always little-endian. */
export function ringRules(state: AnyVirtioState): RingRules {
  const features = negotiated(state);
  const modern = (features & feature.VERSION_1) !== 0n;
  return {
    littleEndian: modern || state.virtio.device_endian.device_endian !== endian.big,
    eventIdx: (features & feature.RING_EVENT_IDX) !== 0n,
  };
}

/** Where queue `index` lies; undefined where the driver has not set it up. */
export function ringOf(state: AnyVirtioState, index: number): RingAddresses | undefined {
  const queue = state.vqs[index];
  if (queue === undefined || queue.desc === 0n) return undefined;
  const { num, desc, align } = queue;
  if ((negotiated(state) & feature.VERSION_1) === 0n) return legacyRing(desc, num, align);
  const { avail = 0n, used = 0n } = state.virtio.virtqueues.vq[index] ?? {};
  return { num, desc, avail, used };
}

/** A driver's index that cannot be: the device that meets it is broken, and the load goes on. */
export interface QueueInconsistency {
  readonly index: number;
  readonly text: string;
}

/** `DEVICE_CHECK` where the driver has accepted what is not offered here. */
export function checkFeatures(state: AnyVirtioState, hostFeatures: bigint): void {
  const { features64, features128 } = state.virtio;
  const accepted = features64.guest_features | (features128.guest_features << 64n);
  if ((accepted & ~hostFeatures) === 0n) return;
  throw new MigrationError(
    "DEVICE_CHECK",
    `Features ${hex(accepted)} unsupported. Allowed features: ${hex(hostFeatures)}`,
    { path: "guest_features", expected: hex(hostFeatures), found: hex(accepted) },
  );
}

/**
 * A queue that is not set up has nothing taken from it: `VIRTQUEUE_INDEX`. A ring has a size: `COUNT_BOUND`. A legacy
 * ring of another alignment is read by tools, and driven by nothing here: `DEVICE_CHECK`.
 */
export function checkQueueFields(state: AnyVirtioState): void {
  state.vqs.forEach(({ num, align, desc, last_avail_idx: last }, i) => {
    if (align !== legacyAlignBytes) {
      throw new MigrationError("DEVICE_CHECK", `VQ ${i} has a used part of another alignment`, {
        path: `vqs[${i}].align`,
        expected: String(legacyAlignBytes),
        found: String(align),
      });
    }
    if (desc === 0n && last !== 0) {
      throw new MigrationError("VIRTQUEUE_INDEX", `VQ ${i} address 0x0 inconsistent with Host index ${hex(last)}`, {
        path: `vqs[${i}].last_avail_idx`,
        expected: "0",
        found: String(last),
      });
    }
    if (num > maxRing || (desc !== 0n && num === 0)) {
      throw new MigrationError("COUNT_BOUND", `VQ ${i} has no ring of this size`, {
        path: `vqs[${i}].num`,
        expected: `1 to ${maxRing}`,
        found: String(num),
      });
    }
  });
}

/** The device's rings are packed ones. */
export function isPacked(state: AnyVirtioState): boolean {
  return (negotiated(state) & feature.RING_PACKED) !== 0n;
}

/**
 * Compares each ring's indices with the device's. A ring that does not translate is `TRANSLATION_FAULT` or
 * `MEMORY_UNMAPPED` at the queue's address, such as `vqs[i].desc`; a used index that cannot be is `VIRTQUEUE_INDEX`;
 * available indices that cannot be are returned. `PAGE_ABSENT` when all rings have been looked at.
 */
export function checkQueues(state: AnyVirtioState, memory: DmaReader): readonly QueueInconsistency[] {
  const check = isPacked(state) ? checkPacked : checkSplit;
  const absent: unknown[] = [];
  const found = state.vqs.flatMap((_, index) => {
    const ring = ringOf(state, index);
    try {
      const text = ring && check(state, memory, index, ring);
      return text === undefined ? [] : [{ index, text }];
    } catch (error) {
      if (!isPageAbsent(error)) throw error;
      absent.push(error);
      return [];
    }
  });
  // Post-copy: the check is made again, and by then the other rings have been asked for, too.
  if (absent.length > 0) throw absent[0];
  return found;
}

function checkPacked(state: AnyVirtioState, memory: DmaReader, index: number, ring: RingAddresses): string | undefined {
  locateIn(index, () => readPackedRing(memory, ring));
  return checkPackedIndices(index, ring.num, state.virtio.packed_virtqueues.vq[index] ?? freshIndices);
}

function checkSplit(state: AnyVirtioState, memory: DmaReader, index: number, ring: RingAddresses): string | undefined {
  const last = state.vqs[index]?.last_avail_idx ?? 0;
  const { availIdx, usedIdx } = locateIn(index, () => readRing(memory, ring, ringRules(state)));
  const { waiting, inuse } = ringProgress(last, availIdx, usedIdx);
  if (waiting > ring.num) {
    return (
      `VQ ${index} size ${hex(ring.num)} Guest index ${hex(availIdx)} inconsistent with ` +
      `Host index ${hex(last)}: delta ${hex(waiting)}`
    );
  }
  if (inuse <= ring.num) return undefined;
  const detail = `VQ ${index} size ${hex(ring.num)} < last_avail_idx ${hex(last)} - used_idx ${hex(usedIdx)}`;
  const path = `vqs[${index}].last_avail_idx`;
  const expected = `at most ${ring.num} entries in use`;
  throw new MigrationError("VIRTQUEUE_INDEX", detail, { path, expected, found: String(inuse) });
}

function locateIn<T>(index: number, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw isMigrationError(error) && !isPageAbsent(error) ? error.at({ path: `vqs[${index}]` }) : error;
  }
}

/** The state of the same device, broken: what VERSION_1 drivers are told by NEEDS_RESET. */
export function brokenState<S extends AnyVirtioState>(state: S): S {
  const tell = (negotiated(state) & feature.VERSION_1) === 0n ? 0 : status.NEEDS_RESET;
  return { ...state, status: state.status | tell, virtio: { ...state.virtio, broken: { broken: true } } };
}
