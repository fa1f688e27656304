// One queue of a device: its size and place, and the engine of the ring that was negotiated.
import type { MigrationError } from "@godwit/core";
import { demandBuffers, demandRing, isPageAbsent } from "./absent.ts";
import { feature } from "./constants.ts";
import type { AbsentMemory } from "./dma.ts";
import type { VirtqueueElement } from "./element.ts";
import { GuestMemory } from "./guest-memory.ts";
import { PackedQueue } from "./packed-queue.ts";
import type { RingAddresses } from "./ring.ts";
import { slices } from "./slices.ts";
import { SplitQueue } from "./split-queue.ts";
import type { PackedVirtqueueState } from "./subsections.ts";
import type { QueueHost, RingEngine, Virtqueue } from "./virtqueue.ts";

export class DeviceQueue implements Virtqueue {
  readonly index: number;
  /** The size after a reset. */
  sizeDefault: number;
  size: number;
  desc = 0n;
  avail = 0n;
  used = 0n;
  /** Loaded, and not yet compared with the rings, which may be out of reach while DMA is off. */
  #stale = false;
  readonly #host: QueueHost;
  readonly #memory: GuestMemory;
  readonly #split: SplitQueue;
  readonly #packed: PackedQueue;

  constructor(host: QueueHost, index: number, size: number) {
    this.#host = host;
    this.index = index;
    this.sizeDefault = size;
    this.size = size;
    this.#memory = new GuestMemory(host, index);
    this.#split = new SplitQueue(host, this.#memory);
    this.#packed = new PackedQueue(host, this.#memory);
  }

  get ready(): boolean {
    return this.desc !== 0n;
  }

  get ring(): RingAddresses {
    return { num: this.size, desc: this.desc, avail: this.avail, used: this.used };
  }

  get inuse(): number {
    this.#host.late("the rings");
    this.resync();
    return this.#engine.indices.inuse;
  }

  /** What travels; nothing is read from memory for it. */
  get indices(): PackedVirtqueueState {
    return this.#engine.indices;
  }

  reset(): void {
    this.size = this.sizeDefault;
    this.setRings(0n, 0n, 0n);
    this.#stale = false;
    this.#split.reset();
    this.#packed.reset();
  }

  setRings(desc: bigint, avail: bigint, used: bigint): void {
    this.desc = desc;
    this.avail = avail;
    this.used = used;
  }

  /** The form of the ring must be negotiated by now. */
  load(indices: PackedVirtqueueState): void {
    this.#stale = true;
    this.#engine.load(indices);
  }

  /** Once after a load, when the rings are there. */
  resync(): void {
    if (!this.#stale) return;
    this.#stale = false;
    if (!this.ready) return;
    const ring = this.#host.broken ? undefined : this.ring;
    this.#memory.guarded(undefined, () => {
      try {
        this.#engine.connect(ring);
      } catch (error) {
        this.#stale = isPageAbsent(error);
        throw error;
      }
    });
  }

  pop(): VirtqueueElement | undefined {
    return this.#atWork(undefined, (engine, ring) => {
      const { postcopy } = this.#host.dma;
      if (postcopy?.active) this.#demandNext(engine, ring, postcopy);
      return engine.pop(ring);
    });
  }

  suspend(element: VirtqueueElement, error: MigrationError): void {
    this.unpop(element);
    this.#host.suspend(this.index, error);
  }

  get suspended(): boolean {
    return this.#host.isSuspended(this.index);
  }

  /**
   * All memory that the next request needs, its way back into the ring included. `PAGE_ABSENT`. A chain that is none is
   * told of here, as by `pop`: a second look would leave the guest a second fault.
   */
  #demandNext(engine: RingEngine, ring: RingAddresses, postcopy: AbsentMemory): void {
    this.demandRing(postcopy);
    const next = engine.peek(ring);
    if (next !== undefined) demandBuffers(postcopy, next);
  }

  /** The ring's memory, where the driver has set the queue up. `PAGE_ABSENT`. */
  demandRing(postcopy: AbsentMemory): void {
    if (!this.ready) return;
    demandRing(postcopy, this.ring, {
      littleEndian: this.#host.littleEndian,
      eventIdx: this.#host.has(feature.RING_EVENT_IDX),
      packed: this.#host.has(feature.RING_PACKED),
    });
  }

  unpop(element: VirtqueueElement): void {
    this.#mustHold(element);
    this.#atWork(undefined, (engine, ring) => engine.unpop(ring, element));
  }

  push(element: VirtqueueElement, writtenBytes: number): void {
    this.#atWork(undefined, (engine, ring) => {
      this.#mustHold(element);
      engine.push(ring, element, writtenBytes);
    });
  }

  notify(): void {
    if (this.#atWork(false, (engine, ring) => engine.wanted(ring))) this.#host.interrupt(this.index);
  }

  setNotification(enabled: boolean): void {
    this.#atWork(undefined, (engine, ring) => engine.setNotification(ring, enabled));
  }

  read(element: VirtqueueElement, offset: number, length: number): Uint8Array {
    this.#host.late("the rings");
    const pieces = slices(element.out, offset, length);
    const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
    return this.#memory.guarded(new Uint8Array(0), () => {
      for (const { address, at, length: size } of pieces) bytes.set(this.#host.dma.read(address, size), at);
      return bytes;
    });
  }

  write(element: VirtqueueElement, offset: number, bytes: Uint8Array): number {
    this.#host.late("the rings");
    const pieces = slices(element.in, offset, bytes.length);
    return this.#memory.guarded(0, () => {
      let written = 0;
      for (const { address, at, length } of pieces) {
        this.#host.dma.write(address, bytes.subarray(at, at + length));
        written += length;
      }
      return written;
    });
  }

  get #engine(): RingEngine {
    return this.#host.has(feature.RING_PACKED) ? this.#packed : this.#split;
  }

  /** Nothing is done for a device that is broken or disabled, or a queue that is not set up. */
  #atWork<T>(otherwise: T, work: (engine: RingEngine, ring: RingAddresses) => T): T {
    this.#host.late("the rings");
    this.resync();
    if (this.#host.broken || this.#host.disabled || !this.ready || this.#stale) return otherwise;
    return this.#memory.guarded(otherwise, () => work(this.#engine, this.ring));
  }

  #mustHold({ ndescs = 1 }: VirtqueueElement): void {
    const slots = this.#host.has(feature.RING_PACKED) ? ndescs : 1;
    if (slots < 1 || this.inuse < slots) throw new RangeError(`queue ${this.index}: no element is taken`);
  }
}
