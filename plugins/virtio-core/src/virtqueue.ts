// A split virtqueue at work: takes chains from the available ring, puts them into the used ring, interrupts.
import { isMigrationError } from "@godwit/core";
import { ChainFault, readChain } from "./chain.ts";
import { feature } from "./constants.ts";
import type { Dma } from "./dma.ts";
import type { Segment, VirtqueueElement } from "./element.ts";
import { deviceAddress, type RingAddresses, readRing, ringProgress } from "./ring.ts";

/** A queue as a device model sees it. Memory that does not answer or a ring that cannot be breaks the device. */
export interface Virtqueue {
  readonly index: number;
  /** Ring size, entries. */
  readonly size: number;
  /** The driver has set the queue up. */
  readonly ready: boolean;
  /** Elements that were taken and not given back. */
  readonly inuse: number;
  /** Takes the next chain. Undefined: there is none, or the device is broken. */
  pop(): VirtqueueElement | undefined;
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
  readonly features: bigint;
  readonly broken: boolean;
  /** Byte order of the rings. */
  readonly littleEndian: boolean;
  fail(reason: string): void;
  /** The queue wants to interrupt. */
  interrupt(index: number): void;
}

const noInterrupt = 1;
const noNotify = 1;

export class SplitVirtqueue implements Virtqueue {
  readonly index: number;
  /** The size after a reset. */
  sizeDefault: number;
  size: number;
  desc = 0n;
  avail = 0n;
  used = 0n;
  /** Available index that is taken next; this and the addresses are what travels. */
  lastAvailIdx = 0;
  #availIdx = 0;
  #usedIdx = 0;
  #inuse = 0;
  /** Loaded, and not yet compared with the rings, which may be out of reach while DMA is off. */
  #stale = false;
  /** The used index that the driver was last interrupted for; undefined: it does not count (after a load). */
  #signalled: number | undefined;
  #notification = true;
  readonly #host: QueueHost;

  constructor(host: QueueHost, index: number, size: number) {
    this.#host = host;
    this.index = index;
    this.sizeDefault = size;
    this.size = size;
  }

  get ready(): boolean {
    return this.desc !== 0n;
  }

  get ring(): RingAddresses {
    return { num: this.size, desc: this.desc, avail: this.avail, used: this.used };
  }

  reset(): void {
    this.size = this.sizeDefault;
    this.setRings(0n, 0n, 0n);
    this.lastAvailIdx = 0;
    this.#stale = false;
    this.#restart(0, 0, 0);
  }

  get inuse(): number {
    this.resync();
    return this.#inuse;
  }

  setRings(desc: bigint, avail: bigint, used: bigint): void {
    this.desc = desc;
    this.avail = avail;
    this.used = used;
  }

  load(lastAvailIdx: number): void {
    this.lastAvailIdx = lastAvailIdx;
    this.#stale = true;
    this.#restart(0, 0, 0);
  }

  /** Once after a load: takes the indices that do not travel from the rings (wire reference 13.5, step 6). */
  resync(): void {
    if (!this.#stale) return;
    this.#stale = false;
    // A device that came broken keeps zeros.
    if (!this.ready || this.#host.broken) return;
    this.#guarded(undefined, () => {
      const { availIdx, usedIdx } = readRing(this.#host.dma, this.ring, this.#rules());
      const { waiting, inuse } = ringProgress(this.lastAvailIdx, availIdx, usedIdx);
      if (waiting > this.size || inuse > this.size) this.#host.fail(`queue ${this.index}: its indices cannot be`);
      else this.#restart(availIdx, usedIdx, inuse);
    });
  }

  pop(): VirtqueueElement | undefined {
    const host = this.#host;
    this.resync();
    if (host.broken || !this.ready || !this.#waiting()) return undefined;
    if (this.inuse >= this.size) {
      host.fail(`queue ${this.index}: all ${this.size} entries are taken already`);
      return undefined;
    }
    return this.#guarded(undefined, () => {
      const head = this.#u16(this.avail, 4 + 2 * (this.lastAvailIdx % this.size));
      this.lastAvailIdx = (this.lastAvailIdx + 1) & 0xffff;
      if (this.#has(feature.RING_EVENT_IDX) && this.#notification) this.#askAt(this.lastAvailIdx);
      const element = readChain(host.dma, this.ring, head, {
        ...this.#rules(),
        indirect: this.#has(feature.RING_INDIRECT_DESC),
      });
      this.#inuse++;
      return element;
    });
  }

  unpop(_element: VirtqueueElement): void {
    if (this.inuse === 0) throw new RangeError(`queue ${this.index}: no element is taken`);
    if (this.#host.broken) return;
    this.lastAvailIdx = (this.lastAvailIdx - 1) & 0xffff;
    this.#inuse--;
  }

  push(element: VirtqueueElement, writtenBytes: number): void {
    this.resync();
    if (this.#host.broken || !this.ready) return;
    if (this.inuse === 0) throw new RangeError(`queue ${this.index}: no element is taken`);
    this.#guarded(undefined, () => {
      const { littleEndian } = this.#host;
      const entry = new DataView(new ArrayBuffer(8));
      entry.setUint32(0, element.index, littleEndian);
      entry.setUint32(4, writtenBytes, littleEndian);
      this.#store(this.used, 4 + 8 * (this.#usedIdx % this.size), new Uint8Array(entry.buffer));
      const next = (this.#usedIdx + 1) & 0xffff;
      this.#storeU16(this.used, 2, next);
      this.#usedIdx = next;
      this.#inuse--;
    });
  }

  notify(): void {
    this.resync();
    if (this.#host.broken || !this.ready) return;
    if (this.#guarded(false, () => this.#wanted())) this.#host.interrupt(this.index);
  }

  setNotification(enabled: boolean): void {
    this.resync();
    this.#notification = enabled;
    if (this.#host.broken || !this.ready) return;
    this.#guarded(undefined, () => {
      if (!this.#has(feature.RING_EVENT_IDX)) this.#storeU16(this.used, 0, enabled ? 0 : noNotify);
      else if (enabled) this.#askAt(this.#u16(this.avail, 2));
    });
  }

  read(element: VirtqueueElement, offset: number, length: number): Uint8Array {
    const pieces = slices(element.out, offset, length);
    const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
    return this.#guarded(new Uint8Array(0), () => {
      for (const { address, at, length: size } of pieces) bytes.set(this.#host.dma.read(address, size), at);
      return bytes;
    });
  }

  write(element: VirtqueueElement, offset: number, bytes: Uint8Array): number {
    const pieces = slices(element.in, offset, bytes.length);
    return this.#guarded(0, () => {
      let written = 0;
      for (const { address, at, length } of pieces) {
        this.#host.dma.write(address, bytes.subarray(at, at + length));
        written += length;
      }
      return written;
    });
  }

  #restart(availIdx: number, usedIdx: number, inuse: number): void {
    this.#availIdx = availIdx;
    this.#usedIdx = usedIdx;
    this.#inuse = inuse;
    this.#signalled = undefined;
    this.#notification = true;
  }

  /** Whether the driver has added something; the available index is read again only where the last one is used up. */
  #waiting(): boolean {
    if (this.#availIdx !== this.lastAvailIdx) return true;
    return this.#guarded(false, () => {
      const availIdx = this.#u16(this.avail, 2);
      const { waiting } = ringProgress(this.lastAvailIdx, availIdx, 0);
      if (waiting > this.size) {
        this.#host.fail(`queue ${this.index}: the available index went from ${this.lastAvailIdx} to ${availIdx}`);
        return false;
      }
      this.#availIdx = availIdx;
      return waiting > 0;
    });
  }

  /** Virtio 1.2, section 2.7.7.2: by a flag, or by the index that the driver named. */
  #wanted(): boolean {
    if (!this.#has(feature.RING_EVENT_IDX)) return (this.#u16(this.avail, 0) & noInterrupt) === 0;
    const before = this.#signalled;
    this.#signalled = this.#usedIdx;
    if (before === undefined) return true;
    const event = this.#u16(this.avail, 4 + 2 * this.size);
    return ((this.#usedIdx - event - 1) & 0xffff) < ((this.#usedIdx - before) & 0xffff);
  }

  #askAt(availIdx: number): void {
    this.#storeU16(this.used, 4 + 8 * this.size, availIdx);
  }

  #has(bit: bigint): boolean {
    return (this.#host.features & bit) !== 0n;
  }

  #rules(): { littleEndian: boolean; eventIdx: boolean } {
    return { littleEndian: this.#host.littleEndian, eventIdx: this.#has(feature.RING_EVENT_IDX) };
  }

  #u16(base: bigint, at: number): number {
    const bytes = this.#host.dma.read(deviceAddress(base) + at, 2);
    const [low = 0, high = 0] = this.#host.littleEndian ? bytes : [bytes[1], bytes[0]];
    return low | (high << 8);
  }

  #storeU16(base: bigint, at: number, value: number): void {
    const pair = [value & 0xff, value >> 8];
    this.#store(base, at, Uint8Array.from(this.#host.littleEndian ? pair : pair.reverse()));
  }

  #store(base: bigint, at: number, bytes: Uint8Array): void {
    this.#host.dma.write(deviceAddress(base) + at, bytes);
  }

  /** A guest that points a ring at nothing breaks its device, not the machine. */
  #guarded<T>(otherwise: T, work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof ChainFault) && !isMigrationError(error)) throw error;
      this.#host.fail(`queue ${this.index}: ${isMigrationError(error) ? error.detail : error.message}`);
      return otherwise;
    }
  }
}

/** The pieces of `segments` that bytes `offset` to `offset + length` of their sum fall on. */
function slices(segments: readonly Segment[], offset: number, length: number) {
  const pieces: { address: number; at: number; length: number }[] = [];
  let skip = offset;
  let done = 0;
  for (const segment of segments) {
    if (done === length) break;
    if (skip >= segment.length) {
      skip -= segment.length;
      continue;
    }
    const size = Math.min(segment.length - skip, length - done);
    pieces.push({ address: segment.address + skip, at: done, length: size });
    done += size;
    skip = 0;
  }
  return pieces;
}
