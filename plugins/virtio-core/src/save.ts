// The procedure of a save, in QEMU's order: transport, common fields, queues, device, subsections (wire reference 13.2).
import { feature, legacyAlignBytes, maxQueues } from "./constants.ts";
import type { CommonDevice } from "./device.ts";
import type { VirtioModel } from "./model.ts";
import type { Parts } from "./parts.ts";
import type { VirtioState, VirtqueueState } from "./section.ts";
import {
  freshPackedQueues,
  noAddresses,
  type PackedVirtqueueState,
  type VirtioSubsections,
  type VirtqueueAddresses,
} from "./subsections.ts";

/** Of a ring whose driver cannot choose it. Bytes. */

export function saveState<C, Q, X, D, L>(parts: Parts<C, Q, X, D, L>): VirtioState<C, Q, X, D, L> {
  const { common, transport, model } = parts;
  const { registers } = common;
  // The order of these keys is the order of the calls.
  const head = {
    transport: transport.saveConfig(),
    status: registers.status,
    isr: registers.isr,
    queue_sel: registers.queueSelect,
    guest_features: Number(BigInt.asUintN(32, registers.features)),
  };
  const config = registers.config.slice();
  const vqs = saveQueues(parts);
  return {
    ...head,
    config_len: config.length,
    config,
    queue_count: vqs.length,
    vqs,
    legacy: saveLegacy(model),
    device: model.save(),
    virtio: saveSubsections(parts),
  };
}

function saveQueues<C, Q, X, D, L>({ common, transport }: Parts<C, Q, X, D, L>): VirtqueueState<Q>[] {
  const vqs: VirtqueueState<Q>[] = [];
  for (const queue of common.queues) {
    // A reader takes the first size of 0 for the end, so what stands behind it does not travel.
    if (queue.size === 0) break;
    const { size: num, desc, indices, index } = queue;
    const { last_avail_idx } = indices;
    vqs.push({ num, align: legacyAlignBytes, desc, last_avail_idx, transport: transport.saveQueue(index) });
  }
  return vqs;
}

function saveSubsections<C, Q, X, D, L>({ common, transport }: Parts<C, Q, X, D, L>): VirtioSubsections<X> {
  const { registers } = common;
  return {
    // The CPU's order, even where VERSION_1 made everything else little-endian: so s390x sends it.
    device_endian: { device_endian: registers.deviceEndian },
    features128: { guest_features: registers.features >> 64n },
    features64: { guest_features: BigInt.asUintN(64, registers.features) },
    virtqueues: saveAddresses(common),
    ringsize: { num_default: saveSizes(common) },
    broken: { broken: registers.broken },
    extra_state: { extra_state: transport.saveExtraState() },
    started: { started: registers.started },
    packed_virtqueues: saveIndices(common),
    disabled: { disabled: registers.disabled },
  };
}

function saveLegacy<D, L>(model: VirtioModel<D, L>): L {
  if (model.legacySave === undefined) return {} as L;
  if (model.saveLegacy === undefined) throw new TypeError(`${model.name} has legacySave, but no saveLegacy()`);
  return model.saveLegacy();
}

function saveAddresses({ hostFeatures, queues }: CommonDevice): { vq: VirtqueueAddresses[] } {
  if ((hostFeatures & feature.VERSION_1) === 0n) return noAddresses;
  const vq = noAddresses.vq.slice();
  for (const { index, avail, used } of queues) vq[index] = { avail, used };
  return { vq };
}

function saveSizes(common: CommonDevice): Uint32Array {
  const sizes = new Uint32Array(maxQueues);
  for (const { index, sizeDefault } of common.queues) sizes[index] = sizeDefault;
  return sizes;
}

/** Whatever was negotiated: QEMU writes a split ring's indices as well, where packed rings are offered. */
function saveIndices({ hostFeatures, queues }: CommonDevice): { vq: PackedVirtqueueState[] } {
  if ((hostFeatures & feature.RING_PACKED) === 0n) return freshPackedQueues;
  const vq = freshPackedQueues.vq.slice();
  for (const { index, indices } of queues) vq[index] = indices;
  return { vq };
}
