// The contracts of a queue: what a device model is given, what a queue needs of its device, and what drives one ring.
import type { MigrationError } from "@godwit/core";
import type { Dma } from "./dma.ts";
import type { VirtqueueElement } from "./element.ts";
import type { RingAddresses } from "./ring.ts";
import type { PackedVirtqueueState } from "./subsections.ts";

/**
 * A queue as a device model sees it. Memory that does not answer or a ring that cannot be breaks the device.
 * While the device loads, all but `index`, `size` and `ready` is `VIRTIO_TOO_EARLY`.
 */
export interface Virtqueue {
  readonly index: number;
  /** Ring size, entries. */
  readonly size: number;
  /** The driver has set the queue up. */
  readonly ready: boolean;
  /** Elements that were taken and not given back; in a packed ring, the slots that they take. */
  readonly inuse: number;
  /**
   * Takes the next chain. Undefined: there is none, or the device is broken, or its memory has not all come (post-copy);
   * the model is then kicked when it has. What is popped can be read, written and given back at once.
   */
  pop(): VirtqueueElement | undefined;
  /**
   * The element that was popped last needs memory that has not come (post-copy), of which `error` tells: it is the next
   * one again, and the model is kicked when the page is there.
   */
  suspend(element: VirtqueueElement, error: MigrationError): void;
  /** It waits for memory that has not come (post-copy): that `pop` gives nothing does not mean that nothing is there. */
  readonly suspended: boolean;
  /** Undoes the last `pop`: the element is the next one again. */
  unpop(element: VirtqueueElement): void;
  /** Gives an element back, with the bytes that were written into its `in` segments. */
  push(element: VirtqueueElement, writtenBytes: number): void;
  /** Interrupts the driver, unless it asked not to be. Call it after the `push`es of a batch. */
  notify(): void;
  /** Whether the driver shall kick; a hint. */
  setNotification(enabled: boolean): void;
  /** `length` bytes of the `out` segments from `offset` on, copied; fewer at the end, or where the device broke. */
  read(element: VirtqueueElement, offset: number, length: number): Uint8Array;
  /** Writes into the `in` segments from `offset` on; gives the bytes that fit. */
  write(element: VirtqueueElement, offset: number, bytes: Uint8Array): number;
}

/** What a queue needs of its device. */
export interface QueueHost {
  readonly dma: Dma;
  readonly broken: boolean;
  readonly disabled: boolean;
  /** Byte order of the rings. */
  readonly littleEndian: boolean;
  /** Whether all of these bits are negotiated. */
  has(bits: bigint): boolean;
  /** Throws `VIRTIO_TOO_EARLY` in the middle of a load. */
  late(what: string): void;
  fail(reason: string): void;
  /** The queue's work needs a page that has not come: the model is kicked when it is there. */
  suspend(index: number, error: MigrationError): void;
  isSuspended(index: number): boolean;
  /** The queue wants to interrupt. */
  interrupt(index: number): void;
}

/** What drives the rings of one queue: split or packed. The queue is set up, and the device is not broken. */
export interface RingEngine {
  /** All that may travel of it. A split ring has no wrap counters: they stay true, as QEMU leaves them. */
  readonly indices: PackedVirtqueueState;
  /** As after a reset. */
  reset(): void;
  /** Before the first use after a load; nothing is read. */
  load(indices: PackedVirtqueueState): void;
  /** Takes what does not travel from the rings; of a device that came broken, undefined, nothing is read. */
  connect(ring: RingAddresses | undefined): void;
  /** What `pop` would take, and nothing changes. Throws what the chain's memory throws, or `ChainFault`. */
  peek(ring: RingAddresses): VirtqueueElement | undefined;
  pop(ring: RingAddresses): VirtqueueElement | undefined;
  unpop(ring: RingAddresses, element: VirtqueueElement): void;
  push(ring: RingAddresses, element: VirtqueueElement, writtenBytes: number): void;
  /** Whether the driver wants an interrupt for what was pushed since the last one. */
  wanted(ring: RingAddresses): boolean;
  setNotification(ring: RingAddresses, enabled: boolean): void;
}
