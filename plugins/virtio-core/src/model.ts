// The contract between the virtio core and a device (net, blk, rng ...): what a device is, and what it is told.
import type { Description, Field } from "@godwit/core";
import type { DmaReader } from "./dma.ts";
import type { VirtqueueElement } from "./element.ts";
import type { NoData } from "./no-data.ts";
import type { VirtqueueState } from "./section.ts";
import type { Virtqueue } from "./virtqueue.ts";

/**
 * The common part of a virtio device, as a device model sees it. What the subsections bring is not there while the model
 * loads: `features` (where any from bit 32 on is offered), `has` of such bits, `littleEndian`, `broken`, `running`, `fail`
 * and the rings then throw `VIRTIO_TOO_EARLY`. `afterSubsections` has all of it.
 */
export interface VirtioDevice {
  /** All bits that are offered. */
  readonly hostFeatures: bigint;
  /** The bits that the driver accepted. */
  readonly features: bigint;
  /** Whether the driver accepted all of these. Those below bit 32 can be asked for while the model loads. */
  has(bits: bigint): boolean;
  /** Byte order of the rings and of configuration space; from VERSION_1 on always true. */
  readonly littleEndian: boolean;
  readonly status: number;
  /** The driver has finished set-up (DRIVER_OK), and the device is not broken. */
  readonly running: boolean;
  /** The device met something impossible and does nothing until it is reset. */
  readonly broken: boolean;
  readonly queues: readonly Virtqueue[];
  /** The device's configuration space has changed: counts the generation up and interrupts the driver. */
  configChanged(): void;
  /** The driver did something impossible: the device is broken, and says so where VERSION_1 was negotiated. */
  fail(reason: string): void;
  /** Why it is broken, where `fail` said so. */
  readonly failure: string | undefined;
}

/** What a device's check may look at beside its own state. */
export interface VirtioCheckContext<L = NoData> {
  readonly legacy: L;
  /** Image of configuration space in the stream, in the order of `configBytes`. */
  readonly config: Uint8Array;
  readonly status: number;
  /** Bits 0 to 31 of `features`. */
  readonly lowFeatures: number;
  /** Negotiated on the source; already found to be offered here. To `load`, `VIRTIO_TOO_EARLY` as in `VirtioDevice`. */
  readonly features: bigint;
  readonly queues: readonly VirtqueueState<unknown>[];
  /** Guest memory as the incoming attempt has staged it. */
  readonly memory: DmaReader;
}

export type VirtioLoadContext<L = NoData> = Omit<VirtioCheckContext<L>, "memory">;

/** A device's answer: nothing where its state is good, or the state to load instead. A refusal is a `MigrationError`. */
// biome-ignore lint/suspicious/noConfusingVoidType: before TypeScript 5.5 a check that returns nothing is of this type
export type VirtioCheckResult<S> = void | undefined | { readonly amended: S; readonly note: string };

/**
 * One kind of virtio device. `S` is the state of its class description, `L` of what it writes before that.
 * `check` must not touch the device; `load` must not fail on what a stream can hold.
 */
export interface VirtioModel<S = unknown, L = NoData> {
  /** The section's name, such as `virtio-blk`, and its versions. */
  readonly name: string;
  readonly sectionVersion: number;
  readonly minimumVersion: number;
  /** The virtio device id: 1 net, 2 blk, 4 entropy. */
  readonly deviceId: number;
  /** The class description, such as `virtio-net-device`. */
  readonly description: Description<S>;
  readonly legacySave?: Field<L>;
  /** The device's own offered bits; those of the ring and the transport come from elsewhere. */
  readonly features: bigint;
  /** Ring size of each queue by default. */
  readonly queueSizes: readonly number[];
  /** Configuration space now, little-endian; always of the same length. */
  configBytes(): Uint8Array;
  /**
   * Bytes of each field of configuration space: what a legacy driver on a big-endian CPU reads is turned round field by
   * field. Without it, configuration space is single bytes.
   */
  readonly configWidths?: readonly number[];
  /** From this offset on a write is an order, and the image that travels has zeros; all is kept if not given. */
  readonly configKeptBytes?: number;
  /** The driver wrote there, little-endian; without it, configuration space is read-only. */
  writeConfig?(offset: number, bytes: Uint8Array): void;
  /** Called once, before anything else. */
  attach?(device: VirtioDevice): void;
  /** The driver may have put something into the queue; also called where there is nothing. */
  kick(queue: Virtqueue, index: number): void;
  /** The driver has accepted these features. */
  featuresChanged?(features: bigint): void;
  statusChanged?(status: number): void;
  /** The driver resets one queue (RING_RESET): what was taken from it is forgotten, and not to be given back. */
  resetQueue?(index: number): void;
  reset(): void;
  save(): S;
  /** Must be there where `legacySave` is. */
  saveLegacy?(): L;
  check?(state: S, context: VirtioCheckContext<L>): VirtioCheckResult<S>;
  load(state: S, context: VirtioLoadContext<L>): void;
  /** The last step of a load: what depends on features and queues, which are in place now. */
  afterSubsections?(state: S, context: VirtioLoadContext<L>): void;
  /** Requests that were taken and not given back, as far as their buffers are still needed. */
  takenElements?(): Iterable<VirtqueueElement>;
  /** Waits until no request is half done at the back end. */
  quiesce?(): Promise<void>;
  /** What must be there before the machine resumes. */
  ready?(): Promise<void>;
  /** The machine runs, after a load or a pause: the time to take up requests that came with the state. */
  resumed?(): void;
}
