// A guest's driver that accepts packed rings (virtio 1.2, section 2.8): the counterpart of Driver and Ring.
import { packedFlag, status } from "@godwit/virtio-core";
import type { Bench, Buffer, Machine } from "./guest.ts";

/** Goes on in another machine with a copy of RAM, as `Driver` does. */
export class PackedDriver<M extends Bench = Machine> {
  machine: M;
  readonly rings: PackedRing[] = [];
  #next = 0x1000;

  /** `features` must have RING_PACKED. */
  constructor(to: M, features?: bigint) {
    this.machine = to;
    const { device } = to;
    const agreed = status.ACKNOWLEDGE | status.DRIVER | status.FEATURES_OK;
    device.setStatus(status.ACKNOWLEDGE | status.DRIVER);
    if (!device.setFeatures(features ?? device.hostFeatures)) throw new Error("features were refused");
    device.setStatus(agreed);
    for (const { index, size } of device.queues) {
      const ring = new PackedRing(this, index, size);
      this.rings[index] = ring;
      device.setRings(index, BigInt(ring.desc), BigInt(ring.avail), BigInt(ring.used));
    }
    device.setStatus(agreed | status.DRIVER_OK);
  }

  ring(index: number): PackedRing {
    const ring = this.rings[index];
    if (ring === undefined) throw new Error(`no queue ${index}`);
    return ring;
  }

  /** Memory of the guest's own, 16-byte aligned. */
  allocate(bytes: number): number {
    const at = this.#next;
    this.#next = at + ((bytes + 15) & ~15);
    if (this.#next > this.machine.ram.length) throw new Error("the guest is out of memory");
    return at;
  }

  get view(): DataView {
    const { ram } = this.machine;
    return new DataView(ram.buffer, ram.byteOffset, ram.byteLength);
  }

  bytes(at: number, length: number): Uint8Array {
    return this.machine.ram.slice(at, at + length);
  }
}

export class PackedRing {
  readonly desc: number;
  /** The driver's event suppression structure; all zero: every interrupt is wanted. */
  readonly avail: number;
  readonly used: number;
  readonly #driver: PackedDriver<Bench>;
  readonly #index: number;
  readonly #size: number;
  readonly #free: number[];
  /** Slots of each buffer under way. */
  readonly #slots = new Map<number, number>();
  #room: number;
  #at = 0;
  #lap = true;
  #usedAt = 0;
  #usedLap = true;

  constructor(driver: PackedDriver<Bench>, index: number, size: number) {
    this.#driver = driver;
    this.#index = index;
    this.#size = size;
    this.#room = size;
    this.desc = driver.allocate(16 * size);
    this.avail = driver.allocate(4);
    this.used = driver.allocate(4);
    driver.machine.ram.fill(0, this.desc, this.used + 4);
    // Ids are the driver's own (virtio 1.2, section 2.8.1): those of Linux are slots, these are none.
    this.#free = Array.from({ length: size }, (_, i) => 0xffff - i);
  }

  /** Adds one chain; gives its buffer id. The first slot is made available last. */
  add(out: readonly Buffer[], into: readonly Buffer[]): number {
    const all = [...out.map((b) => ({ ...b, write: 0 })), ...into.map((b) => ({ ...b, write: packedFlag.write }))];
    const id = this.#free.pop();
    if (id === undefined || all.length > this.#room) throw new Error("the ring is full");
    this.#room -= all.length;
    this.#slots.set(id, all.length);
    const { view } = this.#driver;
    let publish = (): void => {};
    all.forEach(({ at, length, write }, i) => {
      const where = this.desc + 16 * this.#at;
      const more = i + 1 < all.length ? packedFlag.next : 0;
      const flags = write | more | (this.#lap ? packedFlag.avail : packedFlag.used);
      view.setBigUint64(where, BigInt(at), true);
      view.setUint32(where + 8, length, true);
      view.setUint16(where + 12, id, true);
      if (i === 0) publish = () => view.setUint16(where + 14, flags, true);
      else view.setUint16(where + 14, flags, true);
      this.#at = (this.#at + 1) % this.#size;
      if (this.#at === 0) this.#lap = !this.#lap;
    });
    publish();
    return id;
  }

  kick(): void {
    this.#driver.machine.device.kick(this.#index);
  }

  /** What the device gave back since the last call; `head` is the buffer id. One that was not under way is an error. */
  reap(): { readonly head: number; readonly length: number }[] {
    const { view } = this.#driver;
    const done: { head: number; length: number }[] = [];
    for (;;) {
      const at = this.desc + 16 * this.#usedAt;
      const flags = view.getUint16(at + 14, true);
      const isUsed = [packedFlag.avail, packedFlag.used].every((bit) => ((flags & bit) !== 0) === this.#usedLap);
      if (!isUsed) return done;
      const head = view.getUint16(at + 12, true);
      const slots = this.#slots.get(head);
      if (slots === undefined) throw new Error(`buffer ${head} was given back twice`);
      this.#slots.delete(head);
      this.#free.push(head);
      this.#room += slots;
      this.#usedAt += slots;
      if (this.#usedAt >= this.#size) {
        this.#usedAt -= this.#size;
        this.#usedLap = !this.#usedLap;
      }
      done.push({ head, length: view.getUint32(at + 8, true) });
    }
  }
}
