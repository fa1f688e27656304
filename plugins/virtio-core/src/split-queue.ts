// The engine of a split virtqueue (virtio 1.2, section 2.7): takes chains from the available ring, and puts them into
// the used ring.
import { readChain } from "./chain.ts";
import { feature } from "./constants.ts";
import type { VirtqueueElement } from "./element.ts";
import type { GuestMemory } from "./guest-memory.ts";
import { type RingAddresses, type RingRules, readRing, ringProgress } from "./ring.ts";
import type { PackedVirtqueueState } from "./subsections.ts";
import type { QueueHost, RingEngine } from "./virtqueue.ts";

const noInterrupt = 1;
const noNotify = 1;

export class SplitQueue implements RingEngine {
  readonly #host: QueueHost;
  readonly #memory: GuestMemory;
  #lastAvailIdx = 0;
  #availIdx = 0;
  #usedIdx = 0;
  #inuse = 0;
  /** The used index that the driver was last interrupted for; undefined: it does not count (after a load). */
  #signalled: number | undefined;
  #notification = true;

  constructor(host: QueueHost, memory: GuestMemory) {
    this.#host = host;
    this.#memory = memory;
  }

  get indices(): PackedVirtqueueState {
    return {
      last_avail_idx: this.#lastAvailIdx,
      last_avail_wrap_counter: true,
      used_idx: this.#usedIdx,
      used_wrap_counter: true,
      inuse: this.#inuse,
    };
  }

  reset(): void {
    this.#lastAvailIdx = 0;
    this.#restart(0, 0, 0);
  }

  load({ last_avail_idx, used_idx, inuse }: PackedVirtqueueState): void {
    this.#lastAvailIdx = last_avail_idx;
    this.#restart(last_avail_idx, used_idx, inuse);
  }

  /** Takes the indices that do not travel from the rings (wire reference 13.5, step 6). */
  connect(ring: RingAddresses | undefined): void {
    if (ring === undefined) {
      this.#restart(0, 0, 0);
      return;
    }
    const { availIdx, usedIdx } = readRing(this.#host.dma, ring, this.#rules());
    const { waiting, inuse } = ringProgress(this.#lastAvailIdx, availIdx, usedIdx);
    if (waiting > ring.num || inuse > ring.num) this.#memory.fail("its indices cannot be");
    else this.#restart(availIdx, usedIdx, inuse);
  }

  peek(ring: RingAddresses): VirtqueueElement | undefined {
    if (!this.#waiting(ring)) return undefined;
    return this.#chainAt(ring, this.#memory.u16(ring.avail, 4 + 2 * (this.#lastAvailIdx % ring.num)));
  }

  pop(ring: RingAddresses): VirtqueueElement | undefined {
    if (!this.#waiting(ring)) return undefined;
    if (this.#inuse >= ring.num) {
      this.#memory.fail(`all ${ring.num} entries are taken already`);
      return undefined;
    }
    const head = this.#memory.u16(ring.avail, 4 + 2 * (this.#lastAvailIdx % ring.num));
    this.#lastAvailIdx = (this.#lastAvailIdx + 1) & 0xffff;
    if (this.#host.has(feature.RING_EVENT_IDX) && this.#notification) this.#askAt(ring, this.#lastAvailIdx);
    const element = this.#chainAt(ring, head);
    this.#inuse++;
    return element;
  }

  #chainAt(ring: RingAddresses, head: number): VirtqueueElement {
    return readChain(this.#host.dma, ring, head, {
      ...this.#rules(),
      indirect: this.#host.has(feature.RING_INDIRECT_DESC),
    });
  }

  unpop(): void {
    this.#lastAvailIdx = (this.#lastAvailIdx - 1) & 0xffff;
    this.#inuse--;
  }

  push(ring: RingAddresses, element: VirtqueueElement, writtenBytes: number): void {
    const { littleEndian } = this.#host;
    const entry = new DataView(new ArrayBuffer(8));
    entry.setUint32(0, element.index, littleEndian);
    entry.setUint32(4, writtenBytes, littleEndian);
    this.#memory.store(ring.used, 4 + 8 * (this.#usedIdx % ring.num), new Uint8Array(entry.buffer));
    const next = (this.#usedIdx + 1) & 0xffff;
    this.#memory.storeU16(ring.used, 2, next);
    this.#usedIdx = next;
    this.#inuse--;
  }

  /** Virtio 1.2, section 2.7.7.2: by a flag, or by the index that the driver named. */
  wanted(ring: RingAddresses): boolean {
    if (!this.#host.has(feature.RING_EVENT_IDX)) return (this.#memory.u16(ring.avail, 0) & noInterrupt) === 0;
    const before = this.#signalled;
    this.#signalled = this.#usedIdx;
    if (before === undefined) return true;
    const event = this.#memory.u16(ring.avail, 4 + 2 * ring.num);
    return ((this.#usedIdx - event - 1) & 0xffff) < ((this.#usedIdx - before) & 0xffff);
  }

  setNotification(ring: RingAddresses, enabled: boolean): void {
    this.#notification = enabled;
    if (!this.#host.has(feature.RING_EVENT_IDX)) this.#memory.storeU16(ring.used, 0, enabled ? 0 : noNotify);
    else if (enabled) this.#askAt(ring, this.#memory.u16(ring.avail, 2));
  }

  #restart(availIdx: number, usedIdx: number, inuse: number): void {
    this.#availIdx = availIdx;
    this.#usedIdx = usedIdx;
    this.#inuse = inuse;
    this.#signalled = undefined;
    this.#notification = true;
  }

  /** Whether the driver has added something; the available index is read again only where the last one is used up. */
  #waiting(ring: RingAddresses): boolean {
    if (this.#availIdx !== this.#lastAvailIdx) return true;
    const availIdx = this.#memory.u16(ring.avail, 2);
    const { waiting } = ringProgress(this.#lastAvailIdx, availIdx, 0);
    if (waiting > ring.num) {
      this.#memory.fail(`the available index went from ${this.#lastAvailIdx} to ${availIdx}`);
      return false;
    }
    this.#availIdx = availIdx;
    return waiting > 0;
  }

  #askAt(ring: RingAddresses, availIdx: number): void {
    this.#memory.storeU16(ring.used, 4 + 8 * ring.num, availIdx);
  }

  #rules(): RingRules {
    return { littleEndian: this.#host.littleEndian, eventIdx: this.#host.has(feature.RING_EVENT_IDX) };
  }
}
