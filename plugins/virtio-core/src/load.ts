// The procedure of a load, in QEMU's order (wire reference 13.5): transport, common fields, queues, device, subsections;
// then endianness, features and rings are made sense of, and last comes what depends on them.
import { type AnyVirtioState, isPacked, ringOf } from "./check.ts";
import { endian } from "./constants.ts";
import { contextOf, early, featuresOf } from "./context.ts";
import type { CommonDevice } from "./device.ts";
import type { Parts } from "./parts.ts";
import type { VirtioState } from "./section.ts";
import { freshIndices } from "./subsections.ts";

/**
 * Takes over a state that was checked, in QEMU's order. Up to the end of the subsections nothing may use what they
 * bring: whoever asks the device for it is told `VIRTIO_TOO_EARLY`.
 */
export function loadState<C, Q, X, D, L>(parts: Parts<C, Q, X, D, L>, state: VirtioState<C, Q, X, D, L>): void {
  const { common, transport, model } = parts;
  // A saved slot may be loaded into a device that was at work: what does not travel begins anew.
  common.clear();
  common.registers.deviceEndian = endian.unknown;
  const context = contextOf(model, state);
  common.isLoading = true;
  try {
    transport.loadConfig(state.transport);
    loadCommonFields(common, state);
    loadQueues(parts, state);
    model.load(state.device, early(context, common));
    loadSubsections(parts, state);
  } finally {
    common.isLoading = false;
  }
  sanitiseEndianness(common);
  sanitiseFeatures(common);
  common.armStartOnKick();
  connectQueues(parts, state);
  model.afterSubsections?.(state.device, context);
}

function loadCommonFields({ registers }: CommonDevice, state: AnyVirtioState): void {
  registers.status = state.status;
  registers.isr = state.isr;
  registers.queueSelect = state.queue_sel;
  // The device's own load may ask for the low features; the others are not there yet.
  registers.features = BigInt(state.guest_features);
  // Of a longer one the rest is left out, and a shorter one leaves the rest (wire reference 13.2).
  const config = registers.config.slice();
  config.set(state.config.subarray(0, config.length));
  registers.config = config;
}

function loadQueues<C, Q, X, D, L>(
  { common, transport }: Parts<C, Q, X, D, L>,
  { vqs }: VirtioState<C, Q, X, D, L>,
): void {
  vqs.forEach((queue, index) => {
    const own = common.queues[index];
    if (own === undefined) return;
    own.size = queue.num;
    own.desc = queue.desc;
    transport.loadQueue(index, queue.transport);
    transport.updateInterrupt();
  });
}

/** In the order of the wire. */
function loadSubsections<C, Q, X, D, L>(
  { common, transport }: Parts<C, Q, X, D, L>,
  state: VirtioState<C, Q, X, D, L>,
): void {
  const { registers } = common;
  const { virtio } = state;
  registers.deviceEndian = virtio.device_endian.device_endian;
  registers.features = featuresOf(state);
  for (const queue of common.queues) {
    const size = virtio.ringsize.num_default[queue.index] ?? 0;
    if (size > 0) queue.sizeDefault = size;
  }
  registers.broken = virtio.broken.broken;
  common.unannounced = virtio.broken.broken;
  common.failure = virtio.broken.broken ? "it came broken" : undefined;
  transport.loadExtraState(virtio.extra_state.extra_state);
  registers.started = virtio.started.started;
  registers.disabled = virtio.disabled.disabled;
}

/** What a stream does not say is the target's order. */
function sanitiseEndianness({ registers, defaultEndian }: CommonDevice): void {
  const { deviceEndian } = registers;
  registers.deviceEndian = deviceEndian === endian.unknown ? defaultEndian : deviceEndian;
}

/** The check has refused what is not offered; a state that nobody checked loses it here. */
function sanitiseFeatures({ registers, hostFeatures }: CommonDevice): void {
  registers.features &= hostFeatures;
}

/** Where each ring lies and what it says, now that the features tell which form it has. */
function connectQueues<C, Q, X, D, L>(
  { common, transport }: Parts<C, Q, X, D, L>,
  state: VirtioState<C, Q, X, D, L>,
): void {
  const reachesMemory = transport.dmaEnabled(state.transport);
  const indicesTravel = isPacked(state);
  for (const queue of common.queues) {
    const ring = ringOf(state, queue.index);
    queue.setRings(ring?.desc ?? 0n, ring?.avail ?? 0n, ring?.used ?? 0n);
    const packed = state.virtio.packed_virtqueues.vq[queue.index] ?? freshIndices;
    const last_avail_idx = state.vqs[queue.index]?.last_avail_idx ?? 0;
    queue.load(indicesTravel ? packed : { ...packed, last_avail_idx });
    if (reachesMemory) queue.resync();
  }
}
