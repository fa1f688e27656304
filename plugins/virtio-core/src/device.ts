// The common part of a virtio device, between its transport and its model: registers, features, queues.
import { MigrationError } from "@godwit/core";
import type { VirtioErrorCode } from "./codes.ts";
import { endian, feature, hex, status as statusBit } from "./constants.ts";
import { type ConfigEnd, DeviceConfig } from "./device-config.ts";
import { DeviceQueue } from "./device-queue.ts";
import type { Dma } from "./dma.ts";
import { clearRegisters, type Registers } from "./registers.ts";
import type { RingAddresses } from "./ring.ts";
import type { TransportedDevice } from "./transport.ts";
import type { QueueHost, Virtqueue } from "./virtqueue.ts";

/** What the common part calls of the transport. */
export interface TransportEnd {
  notifyQueue(index: number): void;
  notifyConfig(): void;
  reset(): void;
}

/** What the common part calls of the model. */
export interface ModelEnd extends ConfigEnd {
  kick(queue: Virtqueue, index: number): void;
  featuresChanged?(features: bigint): void;
  statusChanged?(status: number): void;
  resetQueue?(index: number): void;
  reset(): void;
}

export interface CommonInit {
  readonly model: ModelEnd;
  readonly dma: Dma;
  readonly hostFeatures: bigint;
  /** Bits that a driver must accept if it is to be served. */
  readonly requiredFeatures: bigint;
  readonly queueSizes: readonly number[];
  /** Byte order of the target, for a stream that does not say. */
  readonly targetEndian: "little" | "big";
  /** Byte order of the guest's CPU at a reset. */
  readonly cpuEndian: () => "little" | "big";
}

/** Features that a section has before its subsections. */
const lowFeatures = 0xffff_ffffn;

export class CommonDevice implements TransportedDevice, QueueHost {
  readonly dma: Dma;
  readonly hostFeatures: bigint;
  readonly queues: readonly DeviceQueue[];
  /** What travels. The procedures work on it directly; whoever asks the device is told only what is there yet. */
  readonly registers: Registers;
  /** In the middle of a load: what the subsections bring is not there. */
  isLoading = false;
  configGeneration = 0;
  failure: string | undefined;
  /** It came broken, and the driver may not know. */
  unannounced = false;
  /** A legacy driver may kick before it says DRIVER_OK; the first kick then starts the device. */
  startOnKick = false;
  readonly model: ModelEnd;
  /** Set before any driver is there. */
  transport!: TransportEnd;
  readonly #init: CommonInit;
  readonly #config: DeviceConfig;
  /** Queues that wait for memory. */
  readonly #suspended = new Set<number>();
  /** Between `quiesce` or a load and the machine's running on: nothing is begun by itself. */
  standing = false;

  constructor(init: CommonInit) {
    this.#init = init;
    this.model = init.model;
    this.registers = {
      status: 0,
      isr: 0,
      queueSelect: 0,
      features: 0n,
      deviceEndian: endian.unknown,
      config: new Uint8Array(init.model.configBytes().length),
      broken: false,
      started: false,
      disabled: false,
    };
    this.#config = new DeviceConfig(init.model, this.registers, () => this.littleEndian);
    this.dma = init.dma;
    this.hostFeatures = init.hostFeatures;
    this.queues = init.queueSizes.map((size, index) => new DeviceQueue(this, index, size));
    this.registers.deviceEndian = this.#cpuEndian;
  }

  get status(): number {
    return this.registers.status;
  }

  get isr(): number {
    return this.registers.isr;
  }
  set isr(value: number) {
    this.registers.isr = value;
  }

  get queueSelect(): number {
    return this.registers.queueSelect;
  }
  set queueSelect(value: number) {
    this.registers.queueSelect = value;
  }

  get disabled(): boolean {
    this.late("whether the device is disabled");
    return this.registers.disabled;
  }
  set disabled(value: boolean) {
    this.registers.disabled = value;
  }

  get features(): bigint {
    if (this.hostFeatures > lowFeatures) this.late("features from bit 32 on");
    return this.registers.features;
  }

  has(bits: bigint): boolean {
    if (bits > lowFeatures) this.late(`feature bits ${hex(bits)}`);
    return (this.registers.features & bits) === bits;
  }

  get broken(): boolean {
    this.late("whether the device is broken");
    return this.registers.broken;
  }

  get littleEndian(): boolean {
    this.late("the byte order");
    return this.#modern || this.registers.deviceEndian !== endian.big;
  }

  /** Of a legacy device whose stream does not say: the target's. */
  get defaultEndian(): number {
    return this.#init.targetEndian === "big" ? endian.big : endian.little;
  }

  get #cpuEndian(): number {
    return this.#init.cpuEndian() === "big" ? endian.big : endian.little;
  }

  get #modern(): boolean {
    return (this.registers.features & feature.VERSION_1) !== 0n;
  }

  get running(): boolean {
    return !this.broken && (this.status & statusBit.DRIVER_OK) !== 0;
  }

  get configLength(): number {
    return this.registers.config.length;
  }

  /** Throws `VIRTIO_TOO_EARLY` in the middle of a load. */
  late(what: string): void {
    if (!this.isLoading) return;
    const code: VirtioErrorCode = "VIRTIO_TOO_EARLY";
    throw new MigrationError(code, `a load asked for ${what}, which the subsections bring: afterSubsections has it`, {
      path: "virtio",
    });
  }

  setStatus(status: number): void {
    if (status === 0) {
      this.reset();
      return;
    }
    const { registers } = this;
    const added = status & ~registers.status;
    const lacking = this.#init.requiredFeatures & ~registers.features;
    // A driver that finds the bit unset again knows that its choice of features is refused (virtio 1.2, section 3.1.1).
    const refused = (added & statusBit.FEATURES_OK) !== 0 && lacking !== 0n;
    registers.status =
      (refused ? status & ~statusBit.FEATURES_OK : status) | (registers.status & statusBit.NEEDS_RESET);
    registers.started = (registers.status & statusBit.DRIVER_OK) !== 0;
    this.model.statusChanged?.(registers.status);
  }

  setFeatures(features: bigint): boolean {
    if ((this.status & statusBit.FEATURES_OK) !== 0) return false;
    this.registers.features = features & this.hostFeatures;
    this.armStartOnKick();
    this.model.featuresChanged?.(this.registers.features);
    return this.registers.features === features;
  }

  readConfig(offset: number, length: number): Uint8Array {
    return this.#config.read(offset, length);
  }

  writeConfig(offset: number, bytes: Uint8Array): void {
    this.#config.write(offset, bytes);
  }

  configChanged(): void {
    this.configGeneration = (this.configGeneration + 1) & 0xff;
    if ((this.status & statusBit.DRIVER_OK) === 0) return;
    this.isr |= 3;
    this.transport.notifyConfig();
  }

  fail(reason: string): void {
    if (this.broken) return;
    this.registers.broken = true;
    this.failure = reason;
    if (!this.#modern) return;
    this.registers.status |= statusBit.NEEDS_RESET;
    this.configChanged();
  }

  /** Once the features are known, negotiated or loaded (wire reference 13.5, step 5). */
  armStartOnKick(): void {
    this.startOnKick = !this.#modern && (this.status & statusBit.DRIVER_OK) === 0;
  }

  suspend(index: number, error: MigrationError): void {
    const { postcopy } = this.dma;
    if (postcopy === undefined) throw error;
    if (this.#suspended.has(index)) return;
    this.#suspended.add(index);
    const arrived = (): void => {
      this.#suspended.delete(index);
      // A machine that runs on looks at every queue.
      if (!this.standing) this.kick(index);
    };
    // A page that never comes leaves the queue as it is.
    postcopy.whenPresent(error).then(arrived, () => this.#suspended.delete(index));
  }

  isSuspended(index: number): boolean {
    return this.#suspended.has(index);
  }

  interrupt(index: number): void {
    this.isr |= 1;
    this.transport.notifyQueue(index);
  }

  kick(index: number): void {
    this.late("the rings");
    const queue = this.queues[index];
    if (queue === undefined || !queue.ready || this.broken || this.disabled) return;
    if (this.#modern && !this.running) return;
    if (this.startOnKick) this.registers.started = true;
    this.startOnKick = false;
    this.model.kick(queue, index);
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

  ringAddresses(index: number): RingAddresses | undefined {
    return this.queues[index]?.ring;
  }

  resetQueue(index: number): void {
    const queue = this.queues[index];
    if (queue === undefined) return;
    this.model.resetQueue?.(index);
    queue.reset();
  }

  /** After a load: a driver whose device has come broken is told once the machine runs. */
  announceFailure(): void {
    if (!this.unannounced) return;
    this.unannounced = false;
    if ((this.status & statusBit.NEEDS_RESET) !== 0) this.configChanged();
  }

  reset(): void {
    this.clear();
    this.transport.reset();
    this.model.reset();
    this.model.statusChanged?.(0);
  }

  /** The common fields as after a reset. */
  clear(): void {
    clearRegisters(this.registers);
    this.registers.deviceEndian = this.#cpuEndian;
    this.unannounced = false;
    this.startOnKick = false;
    this.failure = undefined;
    for (const queue of this.queues) queue.reset();
  }
}
