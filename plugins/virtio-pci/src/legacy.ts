// The legacy registers (virtio 1.2, section 4.1.4.10): what a driver before virtio 1.0 sets a device up with, by ports.
import { legacyRing, maxQueues, noVector, type TransportedDevice } from "@godwit/virtio-core";
import { bytesOf, littleEndian } from "./little-endian.ts";
import { legacyAt, legacyPageBytes } from "./registers.ts";
import { type Vectors, vectorOf } from "./vectors.ts";

export interface LegacyHost {
  readonly device: TransportedDevice;
  readonly vectors: Vectors;
  /** While MSI-X is enabled, vectors stand before the device's configuration. */
  readonly msixEnabled: boolean;
  /** What this interface offers, of the lower 32 bits. */
  readonly features: number;
  /** Reads and clears the interrupt status. */
  acknowledge(): number;
  /** Some old drivers never ask to be bus master; the device that knows its driver is one. */
  becomeBusMaster(): void;
}

const driverFound = 3;

export class LegacyRegisters {
  readonly #host: LegacyHost;

  constructor(host: LegacyHost) {
    this.#host = host;
  }

  read(offset: number, size: number): number {
    const config = this.#configAt();
    if (offset >= config) return littleEndian(this.#host.device.readConfig(offset - config, size));
    const value = this.#register(offset);
    return size === 4 ? value : value % 256 ** size;
  }

  #register(offset: number): number {
    const { device, vectors } = this.#host;
    const select = device.queueSelect;
    switch (offset) {
      case legacyAt.deviceFeature:
        return this.#host.features;
      case legacyAt.driverFeature:
        return Number(BigInt.asUintN(32, device.features));
      case legacyAt.queuePfn:
        return Number(BigInt.asUintN(32, (device.ringAddresses(select)?.desc ?? 0n) / BigInt(legacyPageBytes)));
      case legacyAt.queueSize:
        return device.ringSize(select);
      case legacyAt.queueSelect:
        return select;
      case legacyAt.status:
        return device.status;
      case legacyAt.isr:
        return this.#host.acknowledge();
      case legacyAt.configVector:
        return vectors.config;
      case legacyAt.queueVector:
        return vectors.queues[select] ?? noVector;
      default:
        return 0xffff_ffff;
    }
  }

  write(offset: number, size: number, value: number): void {
    const { device, vectors } = this.#host;
    const config = this.#configAt();
    if (offset >= config) {
      device.writeConfig(offset - config, bytesOf(value, size));
      return;
    }
    switch (offset) {
      case legacyAt.driverFeature:
        device.setFeatures(BigInt(value) & BigInt(this.#host.features));
        break;
      case legacyAt.queuePfn:
        this.#setPage(value);
        break;
      case legacyAt.queueSelect:
        if (value < maxQueues) device.queueSelect = value;
        break;
      case legacyAt.queueNotify:
        device.kick(value);
        break;
      case legacyAt.status:
        device.setStatus(value & 0xff);
        if ((value & 0xff) === driverFound) this.#host.becomeBusMaster();
        break;
      case legacyAt.configVector:
        vectors.config = vectorOf(value, vectors);
        break;
      case legacyAt.queueVector:
        if (device.queueSelect < vectors.queues.length) vectors.queues[device.queueSelect] = vectorOf(value, vectors);
        break;
    }
  }

  /** The driver places a whole ring by its first page; page 0 resets the device. */
  #setPage(page: number): void {
    const { device } = this.#host;
    if (page === 0) {
      device.reset();
      return;
    }
    const select = device.queueSelect;
    const { desc, avail, used } = legacyRing(
      BigInt(page) * BigInt(legacyPageBytes),
      device.ringSize(select),
      legacyPageBytes,
    );
    device.setRings(select, desc, avail, used);
  }

  #configAt(): number {
    return this.#host.msixEnabled ? legacyAt.configBehindVectors : legacyAt.config;
  }
}
