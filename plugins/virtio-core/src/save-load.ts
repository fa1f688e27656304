// The two procedures of a migration, save and load, in QEMU's order: transport, common fields, queues, device,
// subsections (wire reference 13.2, 13.5).

import { MigrationError } from "@godwit/core";
import { brokenState, checkFeatures, checkQueueFields, checkQueues, negotiated, ringOf } from "./check.ts";
import { endian, feature, maxQueues } from "./constants.ts";
import type { CommonDevice } from "./device.ts";
import type { DmaReader } from "./dma.ts";
import type { VirtioCheckContext, VirtioModel } from "./model.ts";
import type { VirtioState, VirtqueueState } from "./section.ts";
import { freshPackedQueues, noAddresses, type VirtqueueAddresses } from "./subsections.ts";
import type { VirtioTransport } from "./transport.ts";

/** One device with both of its ends. */
export interface Parts<C, Q, X, D, L> {
  readonly common: CommonDevice;
  readonly transport: VirtioTransport<C, Q, X>;
  readonly model: VirtioModel<D, L>;
}

export function saveState<C, Q, X, D, L>({
  common,
  transport,
  model,
}: Parts<C, Q, X, D, L>): VirtioState<C, Q, X, D, L> {
  const config = transport.saveConfig();
  const image = model.configBytes().slice();
  const vqs: VirtqueueState<Q>[] = [];
  for (const queue of common.queues) {
    // A reader takes the first size of 0 for the end, so what stands behind it does not travel.
    if (queue.size === 0) break;
    const { size: num, desc, lastAvailIdx: last_avail_idx, index } = queue;
    vqs.push({ num, align: 4096, desc, last_avail_idx, transport: transport.saveQueue(index) });
  }
  const legacy = saveLegacy(model);
  const device = model.save();
  const features = common.features;
  return {
    transport: config,
    status: common.status,
    isr: common.isr,
    queue_sel: common.queueSelect,
    guest_features: Number(BigInt.asUintN(32, features)),
    config_len: image.length,
    config: image,
    queue_count: vqs.length,
    vqs,
    legacy,
    device,
    virtio: {
      device_endian: { device_endian: common.littleEndian ? endian.little : endian.big },
      features128: { guest_features: features >> 64n },
      features64: { guest_features: BigInt.asUintN(64, features) },
      virtqueues: saveAddresses(common),
      ringsize: { num_default: saveSizes(common) },
      broken: { broken: common.broken },
      extra_state: { extra_state: transport.saveExtraState() },
      started: { started: common.started },
      packed_virtqueues: freshPackedQueues,
      disabled: { disabled: common.disabled },
    },
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

/** What QEMU tests while and after it loads; here before anything is touched. */
export function checkState<C, Q, X, D, L>(
  { common, transport, model }: Parts<C, Q, X, D, L>,
  state: VirtioState<C, Q, X, D, L>,
  memory: DmaReader,
): { readonly amended: VirtioState<C, Q, X, D, L>; readonly note: string } | undefined {
  transport.check?.(
    state.transport,
    state.vqs.map((queue) => queue.transport),
    state.virtio.extra_state.extra_state,
  );
  checkQueueCount(state, common.queues.length);
  checkQueueFields(state);
  checkFeatures(state, common.hostFeatures);
  const notes: string[] = [];
  let amended = state;
  const inconsistent = transport.dmaEnabled(state.transport) ? checkQueues(state, memory) : [];
  if (inconsistent.length > 0) {
    amended = brokenState(state);
    notes.push(...inconsistent.map(({ text }) => text));
  }
  const answer = model.check?.(amended.device, { ...contextOf(amended), memory });
  if (answer !== undefined) {
    amended = { ...amended, device: answer.amended };
    notes.push(answer.note);
  }
  return notes.length > 0 ? { amended, note: notes.join("; ") } : undefined;
}

function checkQueueCount(state: { readonly queue_count: number }, has: number): void {
  if (state.queue_count <= has) return;
  throw new MigrationError("DEVICE_CHECK", "the stream has more queues than the device", {
    path: "queue_count",
    expected: `at most ${has}`,
    found: String(state.queue_count),
  });
}

function contextOf<L>(
  state: VirtioState<unknown, unknown, unknown, unknown, L>,
): Omit<VirtioCheckContext<L>, "memory"> {
  const { legacy, config, status, vqs } = state;
  return { legacy, config, status, features: featuresOf(state), queues: vqs };
}

function featuresOf(state: VirtioState<unknown, unknown, unknown, unknown, unknown>): bigint {
  return negotiated(state) | (state.virtio.features128.guest_features << 64n);
}

/** Takes over a state that was checked. */
export function loadState<C, Q, X, D, L>(
  { common, transport, model }: Parts<C, Q, X, D, L>,
  state: VirtioState<C, Q, X, D, L>,
): void {
  // A saved slot may be loaded into a device that was at work: what does not travel begins anew.
  common.clear();
  transport.loadConfig(state.transport);
  common.status = state.status;
  common.isr = state.isr;
  common.queueSelect = state.queue_sel;
  // The device's own load may ask for the low features; the others are not there yet.
  common.features = BigInt(state.guest_features);
  state.vqs.forEach((queue, index) => {
    const own = common.queues[index];
    if (own === undefined) return;
    own.size = queue.num;
    own.load(queue.last_avail_idx);
    transport.loadQueue(index, queue.transport);
    transport.updateInterrupt();
  });
  const context = contextOf(state);
  model.load(state.device, context);
  loadSubsections({ common, transport }, state);
  if (transport.dmaEnabled(state.transport)) for (const queue of common.queues) queue.resync();
  model.afterSubsections?.(state.device, context);
}

function loadSubsections<C, Q, X>(
  { common, transport }: { common: CommonDevice; transport: VirtioTransport<C, Q, X> },
  state: VirtioState<C, Q, X, unknown, unknown>,
): void {
  const { virtio } = state;
  for (const queue of common.queues) {
    const ring = ringOf(state, queue.index);
    queue.setRings(ring?.desc ?? 0n, ring?.avail ?? 0n, ring?.used ?? 0n);
    const size = virtio.ringsize.num_default[queue.index] ?? 0;
    if (size > 0) queue.sizeDefault = size;
  }
  common.broken = virtio.broken.broken;
  common.unannounced = common.broken;
  common.failure = common.broken ? "it came broken" : undefined;
  transport.loadExtraState(virtio.extra_state.extra_state);
  common.started = virtio.started.started;
  common.disabled = virtio.disabled.disabled;
  common.legacyLittleEndian = virtio.device_endian.device_endian !== endian.big;
  common.features = featuresOf(state);
}
