// The packed virtqueue in guest memory (virtio 1.2, section 2.8): one ring of descriptors that both sides write, and a
// structure of each side that says when it wants to be told.
import { isMigrationError } from "@godwit/core";
import type { DmaReader } from "./dma.ts";
import { descriptorBytes, deviceAddress, type RingAddresses } from "./ring.ts";

/** Flags of a packed descriptor (VIRTQ_DESC_F_*). */
export const packedFlag = { next: 1, write: 2, indirect: 4, avail: 0x80, used: 0x8000 } as const;
/** When a side wants to be told (RING_EVENT_FLAGS_*); `desc` with RING_EVENT_IDX only. */
export const eventFlag = { enable: 0, disable: 1, desc: 2 } as const;

export interface PackedDescriptor {
  readonly address: bigint;
  /** Of an available one: bytes of the buffer. Of a used one: bytes that the device has written. */
  readonly length: number;
  /** Buffer id; in an available chain the last descriptor's counts. */
  readonly id: number;
  readonly flags: number;
}

/** An event suppression structure (virtio 1.2, section 2.8.14). */
export interface EventSuppression {
  readonly offset: number;
  readonly wrap: boolean;
  /** One of `eventFlag`. */
  readonly flags: number;
}

export interface PackedRingContent {
  readonly descriptors: readonly PackedDescriptor[];
  /** Written by the driver, at `avail`: when it wants an interrupt. */
  readonly driverEvent: EventSuppression;
  /** Written by the device, at `used`: when it wants a kick. */
  readonly deviceEvent: EventSuppression;
}

const eventBytes = 4;

/** The driver has made the descriptor available in the lap that `wrap` is the counter of. */
export function isAvailable(flags: number, wrap: boolean): boolean {
  return ((flags & packedFlag.avail) !== 0) === wrap && ((flags & packedFlag.used) !== 0) !== wrap;
}

/** A place in the ring, and the lap that it is in. */
export interface PackedPosition {
  readonly index: number;
  readonly wrap: boolean;
}

/** Goes on by `slots`, at most a ring's length and either way. */
export function advanced({ index, wrap }: PackedPosition, slots: number, num: number): PackedPosition {
  const next = index + slots;
  if (next >= num) return { index: next - num, wrap: !wrap };
  return next < 0 ? { index: next + num, wrap: !wrap } : { index: next, wrap };
}

/** Slots from `from` to `to`, which is at most a ring's length ahead. 0 to 2 * num - 1. */
export function slotsBetween(from: PackedPosition, to: PackedPosition, num: number): number {
  const forward = to.index - from.index + (from.wrap === to.wrap ? 0 : num);
  return forward < 0 ? forward + 2 * num : forward;
}

/** Reads one descriptor of the ring, or of an indirect table. */
export function readPackedDescriptor(memory: DmaReader, at: number, littleEndian: boolean): PackedDescriptor {
  const bytes = memory.read(at, descriptorBytes);
  return descriptorOf(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0, littleEndian);
}

/**
 * Reads the ring and both event structures. `TRANSLATION_FAULT` or `MEMORY_UNMAPPED` with the part (`desc`, `avail`,
 * `used`) as path.
 */
export function readPackedRing(memory: DmaReader, ring: RingAddresses, littleEndian = true): PackedRingContent {
  const ringView = part("desc", memory, ring.desc, descriptorBytes * ring.num);
  // Taken apart before the next read, which may hand out the same buffer.
  const descriptors = Array.from({ length: ring.num }, (_, i) =>
    descriptorOf(ringView, descriptorBytes * i, littleEndian),
  );
  const driverEvent = eventOf(part("avail", memory, ring.avail, eventBytes), littleEndian);
  const deviceEvent = eventOf(part("used", memory, ring.used, eventBytes), littleEndian);
  return { descriptors, driverEvent, deviceEvent };
}

function descriptorOf(view: DataView, at: number, littleEndian: boolean): PackedDescriptor {
  return {
    address: view.getBigUint64(at, littleEndian),
    length: view.getUint32(at + 8, littleEndian),
    id: view.getUint16(at + 12, littleEndian),
    flags: view.getUint16(at + 14, littleEndian),
  };
}

function eventOf(view: DataView, littleEndian: boolean): EventSuppression {
  const offWrap = view.getUint16(0, littleEndian);
  return { offset: offWrap & 0x7fff, wrap: offWrap >> 15 === 1, flags: view.getUint16(2, littleEndian) & 3 };
}

function part(name: "desc" | "avail" | "used", memory: DmaReader, address: bigint, length: number): DataView {
  try {
    const bytes = memory.read(deviceAddress(address), length);
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  } catch (error) {
    throw isMigrationError(error) && error.code !== "PAGE_ABSENT" ? error.at({ path: name }) : error;
  }
}
