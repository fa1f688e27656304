// The engine of a packed virtqueue (virtio 1.2, section 2.8): takes the chains that the driver has made available, and
// writes used descriptors over them, lap after lap.
import { feature } from "./constants.ts";
import type { VirtqueueElement } from "./element.ts";
import type { GuestMemory } from "./guest-memory.ts";
import { readPackedChain } from "./packed-chain.ts";
import { advanced, eventFlag, isAvailable, type PackedPosition, packedFlag, slotsBetween } from "./packed-ring.ts";
import { descriptorBytes, type RingAddresses } from "./ring.ts";
import { freshIndices, type PackedVirtqueueState } from "./subsections.ts";
import type { QueueHost, RingEngine } from "./virtqueue.ts";

const lengthAt = 8;
const flagsAt = 14;

export class PackedQueue implements RingEngine {
  readonly #host: QueueHost;
  readonly #memory: GuestMemory;
  #next: PackedPosition = { index: 0, wrap: true };
  #used: PackedPosition = { index: 0, wrap: true };
  /** Slots. */
  #inuse = 0;
  /** Slots that were used since the driver was last interrupted; undefined: that is not known (after a load). */
  #sinceSignal: number | undefined;
  #notification = true;

  constructor(host: QueueHost, memory: GuestMemory) {
    this.#host = host;
    this.#memory = memory;
  }

  get indices(): PackedVirtqueueState {
    return {
      last_avail_idx: this.#next.index,
      last_avail_wrap_counter: this.#next.wrap,
      used_idx: this.#used.index,
      used_wrap_counter: this.#used.wrap,
      inuse: this.#inuse,
    };
  }

  reset(): void {
    this.load(freshIndices);
  }

  load(indices: PackedVirtqueueState): void {
    this.#next = { index: indices.last_avail_idx, wrap: indices.last_avail_wrap_counter };
    this.#used = { index: indices.used_idx, wrap: indices.used_wrap_counter };
    this.#inuse = indices.inuse;
    this.#sinceSignal = undefined;
    this.#notification = true;
  }

  /** Everything travels; memory has nothing to say of it. */
  connect(): void {}

  peek(ring: RingAddresses): (VirtqueueElement & { readonly ndescs: number }) | undefined {
    const { index, wrap } = this.#next;
    const flags = this.#memory.u16(ring.desc, descriptorBytes * index + flagsAt);
    if (!isAvailable(flags, wrap)) return undefined;
    return readPackedChain(this.#host.dma, ring, index, {
      littleEndian: this.#host.littleEndian,
      eventIdx: this.#host.has(feature.RING_EVENT_IDX),
      indirect: this.#host.has(feature.RING_INDIRECT_DESC),
    });
  }

  pop(ring: RingAddresses): VirtqueueElement | undefined {
    const element = this.peek(ring);
    if (element === undefined) return undefined;
    if (this.#inuse + element.ndescs > ring.num) {
      this.#memory.fail(`of ${ring.num} slots, ${this.#inuse} are taken, and ${element.ndescs} more are offered`);
      return undefined;
    }
    this.#next = advanced(this.#next, element.ndescs, ring.num);
    this.#inuse += element.ndescs;
    if (this.#host.has(feature.RING_EVENT_IDX) && this.#notification) this.#askHere(ring);
    return element;
  }

  unpop(ring: RingAddresses, element: VirtqueueElement): void {
    const slots = slotsOf(element);
    this.#next = advanced(this.#next, -slots, ring.num);
    this.#inuse -= slots;
  }

  push(ring: RingAddresses, element: VirtqueueElement, writtenBytes: number): void {
    const at = descriptorBytes * this.#used.index;
    const { littleEndian } = this.#host;
    const entry = new DataView(new ArrayBuffer(6));
    entry.setUint32(0, writtenBytes, littleEndian);
    entry.setUint16(4, element.index, littleEndian);
    this.#memory.store(ring.desc, at + lengthAt, new Uint8Array(entry.buffer));
    // The flags last: with them the slot is the driver's.
    const lap = this.#used.wrap ? packedFlag.avail | packedFlag.used : 0;
    this.#memory.storeU16(ring.desc, at + flagsAt, lap | (writtenBytes > 0 ? packedFlag.write : 0));
    const slots = slotsOf(element);
    this.#used = advanced(this.#used, slots, ring.num);
    this.#inuse -= slots;
    if (this.#sinceSignal !== undefined) this.#sinceSignal += slots;
  }

  /** Virtio 1.2, section 2.8.10: always, never, or when the slot that the driver named has been used. */
  wanted(ring: RingAddresses): boolean {
    const passed = this.#sinceSignal;
    this.#sinceSignal = 0;
    const flags = this.#memory.u16(ring.avail, 2) & 3;
    if (flags === eventFlag.disable) return false;
    if (flags !== eventFlag.desc || !this.#host.has(feature.RING_EVENT_IDX) || passed === undefined) return true;
    const offWrap = this.#memory.u16(ring.avail, 0);
    const event = { index: offWrap & 0x7fff, wrap: offWrap >> 15 === 1 };
    const behind = slotsBetween(event, this.#used, ring.num);
    return behind > 0 && behind <= passed;
  }

  setNotification(ring: RingAddresses, enabled: boolean): void {
    this.#notification = enabled;
    if (!enabled) this.#memory.storeU16(ring.used, 2, eventFlag.disable);
    else if (this.#host.has(feature.RING_EVENT_IDX)) this.#askHere(ring);
    else this.#memory.storeU16(ring.used, 2, eventFlag.enable);
  }

  /** A kick is wanted for the next slot that is made available. */
  #askHere(ring: RingAddresses): void {
    const { index, wrap } = this.#next;
    this.#memory.storeU16(ring.used, 0, index | (wrap ? 0x8000 : 0));
    this.#memory.storeU16(ring.used, 2, eventFlag.desc);
  }
}

/** What was not popped from a packed ring takes one slot. */
function slotsOf({ ndescs = 1 }: VirtqueueElement): number {
  return ndescs;
}
