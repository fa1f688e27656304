// The driver's side of a split ring, written straight into test memory (virtio 1.2, section 2.7).
import type { RingAddresses } from "../../src/index.ts";
import type { TestMemory } from "./memory.ts";

export interface Piece {
  readonly address: number;
  readonly length: number;
  readonly write?: boolean;
}

export class DriverRing {
  readonly memory: TestMemory;
  readonly num: number;
  readonly desc: number;
  readonly avail: number;
  readonly used: number;
  readonly littleEndian: boolean;
  #nextDescriptor = 0;

  constructor(memory: TestMemory, base: number, num: number, littleEndian = true) {
    this.memory = memory;
    this.num = num;
    this.desc = base;
    this.avail = base + 16 * num;
    this.used = this.avail + 6 + 2 * num + ((4 - ((6 + 2 * num) % 4)) % 4);
    this.littleEndian = littleEndian;
  }

  get addresses(): RingAddresses {
    return { num: this.num, desc: BigInt(this.desc), avail: BigInt(this.avail), used: BigInt(this.used) };
  }

  descriptor(table: number, index: number, address: number, length: number, flags: number, next = 0): void {
    const at = table + 16 * index;
    const { view } = this.memory;
    view.setBigUint64(at, BigInt(address), this.littleEndian);
    view.setUint32(at + 8, length, this.littleEndian);
    view.setUint16(at + 12, flags, this.littleEndian);
    view.setUint16(at + 14, next, this.littleEndian);
  }

  /** Builds a chain and makes it available; gives its head. */
  add(...pieces: Piece[]): number {
    const slots = pieces.map(() => this.#nextDescriptor++ % this.num);
    pieces.forEach(({ address, length, write }, i) => {
      const next = slots[i + 1];
      const flags = (write ? 2 : 0) | (next === undefined ? 0 : 1);
      this.descriptor(this.desc, slots[i] as number, address, length, flags, next);
    });
    this.offer(slots[0] as number);
    return slots[0] as number;
  }

  /** Makes a head available. */
  offer(head: number): void {
    this.#setU16(this.avail + 4 + 2 * (this.availIdx % this.num), head);
    this.availIdx = this.availIdx + 1;
  }

  get availIdx(): number {
    return this.#u16(this.avail + 2);
  }
  set availIdx(value: number) {
    this.#setU16(this.avail + 2, value & 0xffff);
  }
  get usedIdx(): number {
    return this.#u16(this.used + 2);
  }
  set usedIdx(value: number) {
    this.#setU16(this.used + 2, value & 0xffff);
  }
  get usedFlags(): number {
    return this.#u16(this.used);
  }
  set availFlags(value: number) {
    this.#setU16(this.avail, value);
  }
  set usedEvent(value: number) {
    this.#setU16(this.avail + 4 + 2 * this.num, value);
  }
  get availEvent(): number {
    return this.#u16(this.used + 4 + 8 * this.num);
  }

  usedElement(slot: number): { id: number; len: number } {
    const at = this.used + 4 + 8 * (slot % this.num);
    const { view } = this.memory;
    return { id: view.getUint32(at, this.littleEndian), len: view.getUint32(at + 4, this.littleEndian) };
  }

  #u16(at: number): number {
    return this.memory.view.getUint16(at, this.littleEndian);
  }
  #setU16(at: number, value: number): void {
    this.memory.view.setUint16(at, value, this.littleEndian);
  }
}
