// The common configuration structure (virtio 1.2, section 4.1.4.3): the registers that a driver sets a device up with.
import { feature, maxQueues, noVector, type TransportedDevice } from "@godwit/virtio-core";
import { type ModernQueueState, noModernState, unusedModernQueue, type VirtioPciExtraState } from "./descriptions.ts";
import { commonAt } from "./registers.ts";
import { type Vectors, vectorOf } from "./vectors.ts";

type Modern = VirtioPciExtraState["modern_state"];
type QueueRegister = Exclude<keyof ModernQueueState, "num" | "enabled">;

/** Offset of each half of a queue's addresses. */
const addressRegisters: Readonly<Record<number, QueueRegister>> = {
  [commonAt.queueDesc]: "desc_low",
  [commonAt.queueDesc + 4]: "desc_high",
  [commonAt.queueDriver]: "avail_low",
  [commonAt.queueDriver + 4]: "avail_high",
  [commonAt.queueDevice]: "used_low",
  [commonAt.queueDevice + 4]: "used_high",
};

export interface ModernHost {
  readonly device: TransportedDevice;
  readonly vectors: Vectors;
  /** What this interface offers. */
  readonly features: bigint;
}

const word = 0xffff_ffffn;

export class ModernRegisters {
  readonly #host: ModernHost;
  readonly #device: TransportedDevice;
  readonly #vectors: Vectors;
  #deviceFeatureSelect = 0;
  #driverFeatureSelect = 0;
  /** What the driver has written, in words of 32 bits. */
  readonly #driverFeatures = new Uint32Array(4);
  readonly #queues: ModernQueueState[];

  constructor(host: ModernHost) {
    this.#host = host;
    const { device } = host;
    this.#device = device;
    this.#vectors = host.vectors;
    this.#queues = device.queues.map(() => ({ ...unusedModernQueue }));
  }

  reset(): void {
    this.#deviceFeatureSelect = 0;
    this.#driverFeatureSelect = 0;
    this.#driverFeatures.fill(0);
    for (const queue of this.#queues) Object.assign(queue, unusedModernQueue);
  }

  save(): Modern {
    const vqs = noModernState.vqs.slice();
    this.#queues.forEach((queue, i) => {
      vqs[i] = { ...queue };
    });
    return {
      dfselect: this.#deviceFeatureSelect,
      gfselect: this.#driverFeatureSelect,
      guest_features: this.#driverFeatures.slice(0, 2),
      vqs,
      features128: { guest_features: this.#driverFeatures.slice(2) },
    };
  }

  load({ dfselect, gfselect, guest_features, vqs, features128 }: Modern): void {
    this.#deviceFeatureSelect = dfselect;
    this.#driverFeatureSelect = gfselect;
    this.#driverFeatures.set(guest_features);
    this.#driverFeatures.set(features128.guest_features, 2);
    this.#queues.forEach((queue, i) => {
      Object.assign(queue, vqs[i]);
    });
  }

  read(offset: number): number {
    const device = this.#device;
    const queue = this.#queues[device.queueSelect];
    switch (offset) {
      case commonAt.deviceFeatureSelect:
        return this.#deviceFeatureSelect;
      case commonAt.deviceFeature:
        return featureWord(this.#host.features, this.#deviceFeatureSelect);
      case commonAt.driverFeatureSelect:
        return this.#driverFeatureSelect;
      case commonAt.driverFeature:
        return this.#driverFeatures[this.#driverFeatureSelect] ?? 0;
      case commonAt.configVector:
        return this.#vectors.config;
      case commonAt.numQueues:
        return device.queues.filter(({ size }) => size > 0).length;
      case commonAt.status:
        return device.status;
      case commonAt.configGeneration:
        return device.configGeneration;
      case commonAt.queueSelect:
        return device.queueSelect;
      case commonAt.queueSize:
        return device.ringSize(device.queueSelect);
      case commonAt.queueVector:
        return this.#vectors.queues[device.queueSelect] ?? noVector;
      case commonAt.queueEnable:
        return queue?.enabled ?? 0;
      case commonAt.queueNotifyOff:
        return device.queueSelect;
      case commonAt.queueNotifyData:
      case commonAt.queueReset:
        // A reset is over when the write returns.
        return 0;
      default: {
        const register = addressRegisters[offset];
        return register === undefined ? 0 : (queue?.[register] ?? 0);
      }
    }
  }

  write(offset: number, value: number): void {
    const device = this.#device;
    const queue = this.#queues[device.queueSelect];
    switch (offset) {
      case commonAt.deviceFeatureSelect:
        this.#deviceFeatureSelect = value;
        break;
      case commonAt.driverFeatureSelect:
        this.#driverFeatureSelect = value;
        break;
      case commonAt.driverFeature:
        this.#acceptFeatures(value);
        break;
      case commonAt.configVector:
        this.#vectors.config = vectorOf(value, this.#vectors);
        break;
      case commonAt.status:
        device.setStatus(value & 0xff);
        break;
      case commonAt.queueSelect:
        if (value < maxQueues) device.queueSelect = value;
        break;
      case commonAt.queueSize:
        if (queue === undefined) break;
        queue.num = value;
        device.setRingSize(device.queueSelect, value);
        break;
      case commonAt.queueVector:
        if (queue !== undefined) this.#vectors.queues[device.queueSelect] = vectorOf(value, this.#vectors);
        break;
      case commonAt.queueEnable:
        if (queue !== undefined && value === 1) this.#enable(queue);
        break;
      case commonAt.queueReset:
        if (queue !== undefined && value === 1) this.#resetQueue(queue);
        break;
      default: {
        const register = addressRegisters[offset];
        if (register !== undefined && queue !== undefined) queue[register] = value;
      }
    }
  }

  #acceptFeatures(value: number): void {
    if (this.#driverFeatureSelect >= this.#driverFeatures.length) return;
    this.#driverFeatures[this.#driverFeatureSelect] = value;
    const all = this.#driverFeatures.reduce((sum, one, i) => sum | (BigInt(one) << BigInt(32 * i)), 0n);
    this.#device.setFeatures(all & this.#host.features);
  }

  #enable(queue: ModernQueueState): void {
    queue.enabled = 1;
    // After a reset of the queue the size is the largest again, and the driver need not write it once more.
    this.#device.setRingSize(this.#device.queueSelect, queue.num);
    const address = (low: number, high: number): bigint => (BigInt(high) << 32n) | BigInt(low);
    this.#device.setRings(
      this.#device.queueSelect,
      address(queue.desc_low, queue.desc_high),
      address(queue.avail_low, queue.avail_high),
      address(queue.used_low, queue.used_high),
    );
  }

  /** Virtio 1.2, section 4.1.4.3.2. The address registers keep what the driver wrote. */
  #resetQueue(queue: ModernQueueState): void {
    const index = this.#device.queueSelect;
    if ((this.#host.features & feature.RING_RESET) === 0n) return;
    queue.enabled = 0;
    this.#device.resetQueue(index);
    this.#vectors.queues[index] = noVector;
  }
}

function featureWord(features: bigint, select: number): number {
  return select < 4 ? Number((features >> BigInt(32 * select)) & word) : 0;
}
