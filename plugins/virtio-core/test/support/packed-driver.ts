// The driver's side of a packed ring, written straight into test memory (virtio 1.2, section 2.8), by its own counters.
import type { RingAddresses } from "../../src/index.ts";
import type { Piece } from "./driver-ring.ts";
import type { TestMemory } from "./memory.ts";

const [next, write, indirect, avail, used] = [1, 2, 4, 0x80, 0x8000];

export class PackedDriver {
  readonly memory: TestMemory;
  readonly num: number;
  readonly desc: number;
  /** The driver's event structure. */
  readonly avail: number;
  /** The device's. */
  readonly used: number;
  #at = 0;
  #lap = true;
  #usedAt = 0;
  #usedLap = true;
  /** Slots of each buffer id under way. */
  readonly #slots = new Map<number, number>();

  constructor(memory: TestMemory, base: number, num: number) {
    this.memory = memory;
    this.num = num;
    this.desc = base;
    this.avail = base + 16 * num;
    this.used = this.avail + 4;
  }

  get addresses(): RingAddresses {
    return { num: this.num, desc: BigInt(this.desc), avail: BigInt(this.avail), used: BigInt(this.used) };
  }

  /** Where the next chain goes. */
  get position(): { index: number; wrap: boolean } {
    return { index: this.#at, wrap: this.#lap };
  }

  descriptor(at: number, address: number, length: number, id: number, flags: number): void {
    const { view } = this.memory;
    view.setBigUint64(at, BigInt(address), true);
    view.setUint32(at + 8, length, true);
    view.setUint16(at + 12, id, true);
    view.setUint16(at + 14, flags, true);
  }

  /** Makes a chain available under a buffer id, its first flags last. Ids of all but the last slot are of no meaning. */
  add(id: number, ...pieces: Piece[]): void {
    const first = { slot: this.#at, flags: 0 };
    pieces.forEach(({ address, length, write: writes }, i) => {
      const isLast = i === pieces.length - 1;
      const flags = this.#availableFlags | (writes ? write : 0) | (isLast ? 0 : next);
      this.descriptor(this.desc + 16 * this.#at, address, length, isLast ? id : 0xdead, i === 0 ? 0 : flags);
      if (i === 0) first.flags = flags;
      this.#advance();
    });
    this.#flags(first.slot, first.flags);
    this.#slots.set(id, pieces.length);
  }

  /** One slot that names a table of these pieces, written at `table`. */
  addIndirect(id: number, table: number, ...pieces: Piece[]): void {
    pieces.forEach(({ address, length, write: writes }, i) => {
      this.descriptor(table + 16 * i, address, length, 0, writes ? write : 0);
    });
    this.offer(id, table, 16 * pieces.length, indirect);
  }

  /** One slot as it is told. */
  offer(id: number, address: number, length: number, flags: number): void {
    this.descriptor(this.desc + 16 * this.#at, address, length, id, flags | this.#availableFlags);
    this.#slots.set(id, 1);
    this.#advance();
  }

  /** The next used descriptor, if there is one. */
  reap(): { id: number; length: number; writes: boolean } | undefined {
    const { view } = this.memory;
    const at = this.desc + 16 * this.#usedAt;
    const flags = view.getUint16(at + 14, true);
    const isUsed = ((flags & avail) !== 0) === this.#usedLap && ((flags & used) !== 0) === this.#usedLap;
    if (!isUsed) return undefined;
    const id = view.getUint16(at + 12, true);
    const slots = this.#slots.get(id);
    if (slots === undefined) throw new Error(`buffer ${id} was not under way`);
    this.#slots.delete(id);
    this.#usedAt += slots;
    if (this.#usedAt >= this.num) {
      this.#usedAt -= this.num;
      this.#usedLap = !this.#usedLap;
    }
    return { id, length: view.getUint32(at + 8, true), writes: (flags & write) !== 0 };
  }

  /** When the driver wants an interrupt: 0 always, 1 never, 2 once this slot is used. */
  wantInterrupt(flags: number, offset = 0, wrap = false): void {
    const { view } = this.memory;
    view.setUint16(this.avail, offset | (wrap ? 0x8000 : 0), true);
    view.setUint16(this.avail + 2, flags, true);
  }

  get deviceEvent(): { offset: number; wrap: boolean; flags: number } {
    const { view } = this.memory;
    const offWrap = view.getUint16(this.used, true);
    return { offset: offWrap & 0x7fff, wrap: offWrap >= 0x8000, flags: view.getUint16(this.used + 2, true) };
  }

  get #availableFlags(): number {
    return this.#lap ? avail : used;
  }

  #flags(slot: number, flags: number): void {
    this.memory.view.setUint16(this.desc + 16 * slot + 14, flags, true);
  }

  #advance(): void {
    this.#at++;
    if (this.#at < this.num) return;
    this.#at = 0;
    this.#lap = !this.#lap;
  }
}
