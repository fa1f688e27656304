// The common part of a virtio device, between its transport and its model: registers, features, queues.
import { feature, status as statusBit } from "./constants.ts";
import type { Dma } from "./dma.ts";
import type { TransportedDevice } from "./transport.ts";
import { type QueueHost, SplitVirtqueue, type Virtqueue } from "./virtqueue.ts";

/** What the common part calls: of the transport, and of the model. */
export interface Ends {
  readonly transport: { notifyQueue(index: number): void; notifyConfig(): void; reset(): void };
  readonly model: {
    configBytes(): Uint8Array;
    writeConfig?(offset: number, bytes: Uint8Array): void;
    kick(queue: Virtqueue, index: number): void;
    featuresChanged?(features: bigint): void;
    statusChanged?(status: number): void;
    reset(): void;
  };
}

export interface CommonInit {
  readonly dma: Dma;
  readonly hostFeatures: bigint;
  /** Bits that a driver must accept if it is to be served. */
  readonly requiredFeatures: bigint;
  readonly queueSizes: readonly number[];
  /** Byte order of legacy rings after a reset. */
  readonly littleEndian: boolean;
}

export class CommonDevice implements TransportedDevice, QueueHost {
  readonly dma: Dma;
  readonly hostFeatures: bigint;
  readonly queues: readonly SplitVirtqueue[];
  features = 0n;
  status = 0;
  isr = 0;
  queueSelect = 0;
  configGeneration = 0;
  started = false;
  disabled = false;
  broken = false;
  failure: string | undefined;
  /** It came broken, and the driver may not know. */
  unannounced = false;
  /** Byte order of a legacy guest; VERSION_1 overrides it. */
  legacyLittleEndian: boolean;
  /** Set before anything is called. */
  ends!: Ends;
  readonly #init: CommonInit;

  constructor(init: CommonInit) {
    this.#init = init;
    this.dma = init.dma;
    this.hostFeatures = init.hostFeatures;
    this.legacyLittleEndian = init.littleEndian;
    this.queues = init.queueSizes.map((size, index) => new SplitVirtqueue(this, index, size));
  }

  get littleEndian(): boolean {
    return this.#modern || this.legacyLittleEndian;
  }

  get #modern(): boolean {
    return (this.features & feature.VERSION_1) !== 0n;
  }

  get running(): boolean {
    return !this.broken && (this.status & statusBit.DRIVER_OK) !== 0;
  }

  get configLength(): number {
    return this.ends.model.configBytes().length;
  }

  setStatus(status: number): void {
    if (status === 0) {
      this.reset();
      return;
    }
    const added = status & ~this.status;
    const lacking = this.#init.requiredFeatures & ~this.features;
    // A driver that finds the bit unset again knows that its choice of features is refused (virtio 1.2, section 3.1.1).
    const refused = (added & statusBit.FEATURES_OK) !== 0 && lacking !== 0n;
    this.status = (refused ? status & ~statusBit.FEATURES_OK : status) | (this.status & statusBit.NEEDS_RESET);
    this.started = (this.status & statusBit.DRIVER_OK) !== 0;
    this.ends.model.statusChanged?.(this.status);
  }

  setFeatures(features: bigint): boolean {
    if ((this.status & statusBit.FEATURES_OK) !== 0) return false;
    this.features = features & this.hostFeatures;
    this.ends.model.featuresChanged?.(this.features);
    return this.features === features;
  }

  readConfig(offset: number, length: number): Uint8Array {
    const config = this.ends.model.configBytes();
    const bytes = new Uint8Array(length).fill(0xff);
    if (offset + length <= config.length) bytes.set(config.subarray(offset, offset + length));
    return bytes;
  }

  writeConfig(offset: number, bytes: Uint8Array): void {
    if (offset + bytes.length <= this.configLength) this.ends.model.writeConfig?.(offset, bytes);
  }

  configChanged(): void {
    this.configGeneration = (this.configGeneration + 1) & 0xff;
    if ((this.status & statusBit.DRIVER_OK) === 0) return;
    this.isr |= 3;
    this.ends.transport.notifyConfig();
  }

  fail(reason: string): void {
    if (this.broken) return;
    this.broken = true;
    this.failure = reason;
    if (!this.#modern) return;
    this.status |= statusBit.NEEDS_RESET;
    this.configChanged();
  }

  interrupt(index: number): void {
    this.isr |= 1;
    this.ends.transport.notifyQueue(index);
  }

  kick(index: number): void {
    const queue = this.queues[index];
    if (queue === undefined || !queue.ready || this.broken) return;
    // A legacy driver may kick before it says DRIVER_OK.
    if (this.#modern && !this.running) return;
    this.ends.model.kick(queue, index);
  }

  ringSize(index: number): number {
    return this.queues[index]?.size ?? 0;
  }

  setRingSize(index: number, num: number): void {
    const queue = this.queues[index];
    // A driver may only make it smaller (virtio 1.2, section 4.1.5.1.3); a ring of no entries is none.
    if (queue !== undefined && num > 0 && num <= queue.sizeDefault) queue.size = num;
  }

  setRings(index: number, desc: bigint, avail: bigint, used: bigint): void {
    this.queues[index]?.setRings(desc, avail, used);
  }

  /** After a load: a driver whose device has come broken is told once the machine runs. */
  announceFailure(): void {
    if (!this.unannounced) return;
    this.unannounced = false;
    if ((this.status & statusBit.NEEDS_RESET) !== 0) this.configChanged();
  }

  reset(): void {
    this.clear();
    this.ends.transport.reset();
    this.ends.model.reset();
    this.ends.model.statusChanged?.(0);
  }

  /** The common fields as after a reset. */
  clear(): void {
    this.features = 0n;
    this.status = 0;
    this.isr = 0;
    this.queueSelect = 0;
    this.started = false;
    this.disabled = false;
    this.broken = false;
    this.unannounced = false;
    this.failure = undefined;
    this.legacyLittleEndian = this.#init.littleEndian;
    for (const queue of this.queues) queue.reset();
  }
}
