// The contract between the virtio core and a transport (PCI, channel I/O): what a transport saves, and what it is told.
import type { VirtioDevice } from "./model.ts";
import type { RingAddresses } from "./ring.ts";
import type { VirtioTransportDescriptions } from "./section.ts";

/** The common part of a virtio device, as its transport drives it. */
export interface TransportedDevice extends VirtioDevice {
  /** Interrupt status: bit 0 a queue, bit 1 configuration. */
  isr: number;
  /** The queue that the driver's queue registers are about. */
  queueSelect: number;
  /** The transport has taken the device's access to memory away (PCI: no bus master): its queues stand still. */
  disabled: boolean;
  /** Counts changes of configuration space. */
  readonly configGeneration: number;
  readonly configLength: number;
  /** Writing 0 resets the device. */
  setStatus(status: number): void;
  /** Takes what is offered of these bits. False where some were not, or where it is too late. */
  setFeatures(features: bigint): boolean;
  readConfig(offset: number, length: number): Uint8Array;
  writeConfig(offset: number, bytes: Uint8Array): void;
  kick(index: number): void;
  /** Ring size of a queue; 0: there is none. */
  ringSize(index: number): number;
  setRingSize(index: number, num: number): void;
  setRings(index: number, desc: bigint, avail: bigint, used: bigint): void;
  /** Where a queue's rings lie; `desc` is 0 while the driver has not set it up. Undefined: there is no such queue. */
  ringAddresses(index: number): RingAddresses | undefined;
  /** One queue as after a reset of the device (RING_RESET); its model forgets what it took from it. */
  resetQueue(index: number): void;
  reset(): void;
}

/** One transport of one device. `check` must not touch it; the loads must not fail on what a stream can hold. */
export interface VirtioTransport<C, Q, X> {
  readonly descriptions: VirtioTransportDescriptions<C, Q, X>;
  /** Interrupts the driver; `isr` has been updated. */
  notifyQueue(index: number): void;
  notifyConfig(): void;
  /** Sets the interrupt line, where there is one, to what `isr` says: after each queue of a load. */
  updateInterrupt(): void;
  /** The driver has reset the device. */
  reset(): void;
  /** The machine runs, after a load or a pause: interrupts that are still pending may go out. */
  resumed?(): void;
  saveConfig(): C;
  saveQueue(index: number): Q;
  saveExtraState(): X;
  /** Whether the device reaches memory in this state (PCI: bus mastering); if not, its rings cannot be looked at. */
  dmaEnabled(config: C): boolean;
  /** A refusal is a `MigrationError`; its path begins at the section. */
  check?(config: C, queues: readonly Q[], extra: X): void;
  loadConfig(state: C): void;
  loadQueue(index: number, state: Q): void;
  loadExtraState(state: X): void;
}
