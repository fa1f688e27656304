// The split virtqueue in guest memory (virtio 1.2, section 2.7): where its parts lie, and what they say.
import { isMigrationError, MigrationError } from "@godwit/core";
import { hex } from "./constants.ts";
import type { DmaReader } from "./dma.ts";

/** Where a ring lies. Device-visible addresses. */
export interface RingAddresses {
  /** Ring size, entries. */
  readonly num: number;
  readonly desc: bigint;
  readonly avail: bigint;
  readonly used: bigint;
}

/** What was negotiated about the form of a ring. */
export interface RingRules {
  /** False: a legacy ring of a big-endian guest. */
  readonly littleEndian: boolean;
  /** RING_EVENT_IDX: each ring ends in an event field. */
  readonly eventIdx: boolean;
}

export const descriptorBytes = 16;

/** Bytes of each part. */
export function ringBytes(num: number, rules: RingRules): { desc: number; avail: number; used: number } {
  const event = rules.eventIdx ? 2 : 0;
  return { desc: descriptorBytes * num, avail: 4 + 2 * num + event, used: 4 + 8 * num + event };
}

/** Where a legacy driver has the parts: one after the other, the used ring at the next multiple of `align`. */
export function legacyRing(desc: bigint, num: number, align: number): RingAddresses {
  const avail = desc + BigInt(descriptorBytes * num);
  const end = avail + BigInt(6 + 2 * num);
  const step = BigInt(align);
  return { num, desc, avail, used: ((end + step - 1n) / step) * step };
}

/** An address as a number. `MEMORY_UNMAPPED` beyond 2^53: no memory is there. */
export function deviceAddress(address: bigint): number {
  if (address > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new MigrationError("MEMORY_UNMAPPED", "no memory has such an address", { found: hex(address) });
  }
  return Number(address);
}

/** What a driver and a device have written into a split ring. */
export interface RingContent {
  readonly availFlags: number;
  readonly availIdx: number;
  /** Heads of chains, by slot. */
  readonly availRing: Uint16Array;
  /** The driver wants an interrupt at this used index; undefined without RING_EVENT_IDX. */
  readonly usedEvent: number | undefined;
  readonly usedFlags: number;
  readonly usedIdx: number;
  readonly usedRing: readonly { readonly id: number; readonly len: number }[];
  /** The device wants a kick at this available index. */
  readonly availEvent: number | undefined;
}

/**
 * Reads both rings, and the descriptor table to see that it is there. `TRANSLATION_FAULT` or `MEMORY_UNMAPPED` with the
 * part (`desc`, `avail`, `used`) as path.
 */
export function readRing(memory: DmaReader, ring: RingAddresses, rules: RingRules): RingContent {
  const { littleEndian, eventIdx } = rules;
  const bytes = ringBytes(ring.num, rules);
  part("desc", memory, ring.desc, bytes.desc);
  const avail = part("avail", memory, ring.avail, bytes.avail);
  const u16 = (view: DataView, at: number): number => view.getUint16(at, littleEndian);
  const availRing = new Uint16Array(ring.num);
  for (let i = 0; i < ring.num; i++) availRing[i] = u16(avail, 4 + 2 * i);
  const driver = {
    availFlags: u16(avail, 0),
    availIdx: u16(avail, 2),
    availRing,
    usedEvent: eventIdx ? u16(avail, 4 + 2 * ring.num) : undefined,
  };
  // Read after the available ring has been taken apart: `read` may hand out the same buffer twice.
  const used = part("used", memory, ring.used, bytes.used);
  const usedRing = Array.from({ length: ring.num }, (_, i) => ({
    id: used.getUint32(4 + 8 * i, littleEndian),
    len: used.getUint32(8 + 8 * i, littleEndian),
  }));
  return {
    ...driver,
    usedFlags: u16(used, 0),
    usedIdx: u16(used, 2),
    usedRing,
    availEvent: eventIdx ? u16(used, 4 + 8 * ring.num) : undefined,
  };
}

function part(name: "desc" | "avail" | "used", memory: DmaReader, address: bigint, length: number): DataView {
  try {
    const bytes = memory.read(deviceAddress(address), length);
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  } catch (error) {
    throw isMigrationError(error) && error.code !== "PAGE_ABSENT" ? error.at({ path: name }) : error;
  }
}

/** How a queue's indices relate. All of them count mod 2^16. */
export interface RingProgress {
  /** Entries that the driver has added and the device has not taken. */
  readonly waiting: number;
  /** Entries that the device has taken and not given back. */
  readonly inuse: number;
}

export function ringProgress(lastAvailIdx: number, availIdx: number, usedIdx: number): RingProgress {
  return { waiting: (availIdx - lastAvailIdx) & 0xffff, inuse: (lastAvailIdx - usedIdx) & 0xffff };
}
