// A driver's side of a split ring that a real guest has set up: found in its memory, and gone on with.
import type { RingAddresses } from "@godwit/virtio-core";

interface Memory {
  read(address: number, length: number): Uint8Array;
  write(address: number, bytes: Uint8Array): void;
}

/** One buffer of a request: bytes for the device, or room for its answer. */
export type Part = { readonly out: Uint8Array } | { readonly room: number };

export interface Added {
  readonly head: number;
  /** Where each part stands. */
  readonly places: readonly number[];
}

const pageBytes = 4096;
const descriptorBytes = 16;

/**
 * The ring must be at rest: each descriptor is then the driver's to use. Buffers are put behind the used ring, into what
 * is left of its page, since the IOMMU lets the device reach that.
 */
export class FoundRing {
  readonly #memory: Memory;
  readonly #ring: RingAddresses;
  #room: number;
  #seen: number;
  #descriptor = 0;

  constructor(memory: Memory, ring: RingAddresses) {
    this.#memory = memory;
    this.#ring = ring;
    this.#room = Math.ceil((Number(ring.used) + 6 + 8 * ring.num) / descriptorBytes) * descriptorBytes;
    this.#seen = this.usedIdx;
  }

  get availIdx(): number {
    return this.#u16(Number(this.#ring.avail) + 2);
  }

  get usedIdx(): number {
    return this.#u16(Number(this.#ring.used) + 2);
  }

  /** Adds a chain; the device is not told. */
  add(parts: readonly Part[]): Added {
    const { num, desc, avail } = this.#ring;
    const head = this.#descriptor;
    const places = parts.map((part, i) => {
      const place = "out" in part ? this.#place(part.out) : this.#place(new Uint8Array(part.room).fill(0xee));
      const bytes = new DataView(new ArrayBuffer(descriptorBytes));
      const last = i + 1 === parts.length;
      bytes.setBigUint64(0, BigInt(place), true);
      bytes.setUint32(8, "out" in part ? part.out.length : part.room, true);
      bytes.setUint16(12, (last ? 0 : 1) | ("out" in part ? 0 : 2), true);
      bytes.setUint16(14, last ? 0 : this.#descriptor + 1, true);
      this.#memory.write(Number(desc) + descriptorBytes * this.#descriptor++, new Uint8Array(bytes.buffer));
      return place;
    });
    const at = this.availIdx;
    this.#putU16(Number(avail) + 4 + 2 * (at % num), head);
    this.#putU16(Number(avail) + 2, (at + 1) & 0xffff);
    return { head, places };
  }

  /** What the device has given back since the last call. */
  reap(): { readonly head: number; readonly length: number }[] {
    const done = [];
    for (; this.#seen !== this.usedIdx; this.#seen = (this.#seen + 1) & 0xffff) {
      const entry = this.bytes(Number(this.#ring.used) + 4 + 8 * (this.#seen % this.#ring.num), 8);
      const view = new DataView(entry.buffer);
      done.push({ head: view.getUint32(0, true), length: view.getUint32(4, true) });
    }
    return done;
  }

  /** The first buffer of a chain. */
  buffer(head: number): { readonly at: number; readonly length: number } {
    const view = new DataView(this.bytes(Number(this.#ring.desc) + descriptorBytes * head, descriptorBytes).buffer);
    return { at: Number(view.getBigUint64(0, true)), length: view.getUint32(8, true) };
  }

  bytes(at: number, length: number): Uint8Array {
    return this.#memory.read(at, length).slice();
  }

  #place(bytes: Uint8Array): number {
    const at = this.#room;
    this.#room += Math.ceil(bytes.length / descriptorBytes) * descriptorBytes;
    if (Math.floor(at / pageBytes) !== Math.floor((this.#room - 1) / pageBytes)) throw new Error("the page is full");
    this.#memory.write(at, bytes);
    return at;
  }

  #u16(at: number): number {
    return new DataView(this.bytes(at, 2).buffer).getUint16(0, true);
  }

  #putU16(at: number, value: number): void {
    this.#memory.write(at, Uint8Array.of(value & 0xff, value >> 8));
  }
}
