// What QEMU's virtio_load tests after it has read a section (wire reference 13.5), as pure functions over the state
// and the memory that goes with it. Nothing here knows a device.
import { isMigrationError, MigrationError } from "@godwit/core";
import { endian, feature, hex, maxRing, status } from "./constants.ts";
import type { DmaReader } from "./dma.ts";
import { legacyRing, type RingAddresses, type RingRules, readRing, ringProgress } from "./ring.ts";
import type { VirtioState } from "./section.ts";

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

/** A queue that is not set up has nothing taken from it: `VIRTQUEUE_INDEX`. A ring has a size: `COUNT_BOUND`. */
export function checkQueueFields(state: AnyVirtioState): void {
  state.vqs.forEach(({ num, desc, last_avail_idx: last }, i) => {
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

/**
 * Compares each ring's indices with the device's. A ring that does not translate is `TRANSLATION_FAULT` or
 * `MEMORY_UNMAPPED` at the queue's address, such as `vqs[i].desc`; a used index that cannot be is `VIRTQUEUE_INDEX`; available indices that cannot
 * be are returned. Packed rings keep their indices in the state, and are not read.
 */
export function checkQueues(state: AnyVirtioState, memory: DmaReader): readonly QueueInconsistency[] {
  if ((negotiated(state) & feature.RING_PACKED) !== 0n) return [];
  const found: QueueInconsistency[] = [];
  const rules = ringRules(state);
  state.vqs.forEach(({ last_avail_idx: last }, index) => {
    const ring = ringOf(state, index);
    if (ring === undefined) return;
    const { availIdx, usedIdx } = locateIn(index, () => readRing(memory, ring, rules));
    const { waiting, inuse } = ringProgress(last, availIdx, usedIdx);
    if (waiting > ring.num) {
      const text =
        `VQ ${index} size ${hex(ring.num)} Guest index ${hex(availIdx)} inconsistent with ` +
        `Host index ${hex(last)}: delta ${hex(waiting)}`;
      found.push({ index, text });
    } else if (inuse > ring.num) {
      throw new MigrationError(
        "VIRTQUEUE_INDEX",
        `VQ ${index} size ${hex(ring.num)} < last_avail_idx ${hex(last)} - used_idx ${hex(usedIdx)}`,
        {
          path: `vqs[${index}].last_avail_idx`,
          expected: `at most ${ring.num} entries in use`,
          found: String(inuse),
        },
      );
    }
  });
  return found;
}

function locateIn<T>(index: number, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw isMigrationError(error) ? error.at({ path: `vqs[${index}]` }) : error;
  }
}

/** The state of the same device, broken: what VERSION_1 drivers are told by NEEDS_RESET. */
export function brokenState<S extends AnyVirtioState>(state: S): S {
  const tell = (negotiated(state) & feature.VERSION_1) === 0n ? 0 : status.NEEDS_RESET;
  return { ...state, status: state.status | tell, virtio: { ...state.virtio, broken: { broken: true } } };
}
