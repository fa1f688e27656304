// A driver as virtio 1.2 describes one: it finds the device's structures by capabilities, and only ever touches
// configuration space, BARs and memory. All that it remembers is plain data, so it can move with its machine.
import type { PciBar, PciFunction } from "../../src/index.ts";

interface RingPlace {
  readonly size: number;
  readonly desc: number;
  readonly avail: number;
  readonly used: number;
  added: number;
  seen: number;
}

interface Structure {
  read(offset: number, size: number): number;
  write(offset: number, size: number, value: number): void;
}

export const statusAt = 0x14;

export class Driver {
  readonly pci: PciFunction;
  readonly #memory: () => Uint8Array;
  readonly rings: RingPlace[];

  constructor(pci: PciFunction, memory: () => Uint8Array, before?: Driver) {
    this.pci = pci;
    this.#memory = memory;
    this.rings = before?.rings.map((ring) => ({ ...ring })) ?? [];
  }

  capability(id: number, type?: number): number {
    for (let at = this.pci.configRead(0x34, 1); at !== 0; at = this.pci.configRead(at + 1, 1)) {
      if (this.pci.configRead(at, 1) !== id) continue;
      if (type === undefined || this.pci.configRead(at + 3, 1) === type) return at;
    }
    throw new Error(`no capability ${id}/${type}`);
  }

  bar(index: number): PciBar {
    const bar = this.pci.bars.find((one) => one.index === index);
    if (bar === undefined) throw new Error(`no BAR ${index}`);
    return bar;
  }

  structure(type: number): Structure {
    const at = this.capability(9, type);
    const bar = this.bar(this.pci.configRead(at + 4, 1));
    const base = this.pci.configRead(at + 8, 4);
    return {
      read: (offset, size) => bar.read(base + offset, size),
      write: (offset, size, value) => bar.write(base + offset, size, value),
    };
  }

  get common(): Structure {
    return this.structure(1);
  }

  /** Memory and bus mastering, and one message for each vector: its number. */
  enable(command = 6): void {
    this.pci.configWrite(4, 2, command);
  }

  enableMsix(): void {
    const at = this.capability(0x11);
    const place = this.pci.configRead(at + 4, 4);
    const vectors = (this.pci.configRead(at + 2, 2) & 0x7ff) + 1;
    for (let i = 0; i < vectors; i++) {
      [0xfee0_0000, 0, 100 + i, 0].forEach((word, k) => {
        this.bar(place & 7).write(place - (place & 7) + 16 * i + 4 * k, 4, word);
      });
    }
    this.pci.configWrite(at + 2, 2, 0x8000);
  }

  offered(): bigint {
    return [0, 1, 2, 3].reduce((sum, word) => {
      this.common.write(0x00, 4, word);
      return sum | (BigInt(this.common.read(0x04, 4)) << BigInt(32 * word));
    }, 0n);
  }

  accept(features: bigint): void {
    for (const word of [0, 1]) {
      this.common.write(0x08, 4, word);
      this.common.write(0x0c, 4, Number((features >> BigInt(32 * word)) & 0xffff_ffffn));
    }
  }

  /** Resets, negotiates, and sets up every queue at 0x1000, 0x2000 ...; gives the status that it ends with. */
  start(features: bigint, vectors = true): number {
    const { common } = this;
    common.write(statusAt, 1, 0);
    common.write(statusAt, 1, 3);
    this.accept(features);
    common.write(statusAt, 1, 11);
    if ((common.read(statusAt, 1) & 8) === 0) return common.read(statusAt, 1);
    if (vectors) common.write(0x10, 2, 0);
    const queues = common.read(0x12, 2);
    for (let i = 0; i < queues; i++) this.#setUp(i, vectors);
    common.write(statusAt, 1, 15);
    return common.read(statusAt, 1);
  }

  #setUp(index: number, vectors: boolean): void {
    const { common } = this;
    common.write(0x16, 2, index);
    const size = common.read(0x18, 2);
    const desc = 0x1000 * (index + 1);
    const ring = { size, desc, avail: desc + 16 * size, used: desc + 0x800, added: 0, seen: 0 };
    this.rings[index] = ring;
    if (vectors) common.write(0x1a, 2, index + 1);
    [ring.desc, ring.avail, ring.used].forEach((address, k) => {
      common.write(0x20 + 8 * k, 4, address);
      common.write(0x24 + 8 * k, 4, 0);
    });
    common.write(0x1c, 2, 1);
  }

  /** Adds a request of these bytes with room for as many, without a kick. */
  add(index: number, bytes: readonly number[]): void {
    const ring = this.rings[index] as RingPlace;
    const slot = (2 * ring.added) % ring.size;
    const at = 0x8000 + 0x2000 * index + 64 * slot;
    const memory = this.#memory();
    const view = new DataView(memory.buffer, memory.byteOffset);
    memory.set(bytes, at);
    [
      [at, bytes.length, 1, slot + 1],
      [at + 32, bytes.length, 2, 0],
    ].forEach(([address = 0, length = 0, flags = 0, next = 0], i) => {
      const entry = ring.desc + 16 * (slot + i);
      view.setBigUint64(entry, BigInt(address), true);
      view.setUint32(entry + 8, length, true);
      view.setUint16(entry + 12, flags, true);
      view.setUint16(entry + 14, next, true);
    });
    view.setUint16(ring.avail + 4 + 2 * (ring.added % ring.size), slot, true);
    ring.added = (ring.added + 1) & 0xffff;
    view.setUint16(ring.avail + 2, ring.added, true);
  }

  kick(index: number): void {
    const { common } = this;
    common.write(0x16, 2, index);
    const at = this.capability(9, 2);
    this.structure(2).write(common.read(0x1e, 2) * this.pci.configRead(at + 16, 4), 2, index);
  }

  /** The answers that came since the last call. */
  take(index: number): number[][] {
    const ring = this.rings[index] as RingPlace;
    const memory = this.#memory();
    const view = new DataView(memory.buffer, memory.byteOffset);
    const answers: number[][] = [];
    for (const idx = view.getUint16(ring.used + 2, true); ring.seen !== idx; ring.seen = (ring.seen + 1) & 0xffff) {
      const entry = ring.used + 4 + 8 * (ring.seen % ring.size);
      const at = 0x8000 + 0x2000 * index + 64 * view.getUint32(entry, true) + 32;
      answers.push(Array.from(memory.subarray(at, at + view.getUint32(entry + 4, true))));
    }
    return answers;
  }
}
