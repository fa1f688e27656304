// A guest of z/Architecture: channel programs in memory, I/O instructions, rings. All that it remembers is plain data, so
// that it can move with its machine.
import type { Outcome } from "../../src/index.ts";
import type { CcwMachine } from "./machine.ts";

export interface Word {
  readonly code: number;
  readonly flags?: number;
  readonly count?: number;
  readonly address?: number;
}

export interface Response {
  readonly outcome: Outcome;
  readonly flags: number;
  readonly ctrl: number;
  readonly cpa: number;
  readonly dstat: number;
  readonly cstat: number;
  readonly count: number;
  /** Of the logout word. */
  readonly path: number;
  /** Concurrent sense: its first byte, where the extended-report word says that it is there. */
  readonly sense: number | undefined;
}

export interface Start {
  /** ctrl0 of the operation-request block; format 1 alone by default. */
  readonly ctrl0?: number;
  readonly ctrl1?: number;
  readonly lpm?: number;
  readonly at?: number;
  readonly intparm?: number;
}

export const flag = { chainData: 0x80, chain: 0x40, sli: 0x20, skip: 0x10, pci: 0x08, ida: 0x04, suspend: 0x02 };
export const status = { alert: 0x10, intermediate: 8, primary: 4, secondary: 2, pending: 1 };
export const done = status.primary | status.secondary | status.pending;
export const place = { orb: 0x100, irb: 0x200, schib: 0x300, program: 0x400, data: 0x800, indicators: 0xc00 };

export class Guest {
  machine: CcwMachine;
  readonly rings: { size: number; desc: number; avail: number; used: number; added: number; seen: number }[] = [];
  littleEndian = true;

  constructor(machine: CcwMachine) {
    this.machine = machine;
  }

  get sch() {
    return this.machine.offer.subchannel;
  }

  get view(): DataView {
    const memory = this.machine.memory();
    return new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
  }

  poke(at: number, bytes: ArrayLike<number>): void {
    this.machine.memory().set(Uint8Array.from(bytes), at);
  }

  peek(at: number, length: number): number[] {
    return Array.from(this.machine.memory().subarray(at, at + length));
  }

  /** Writes a channel program. */
  program(words: readonly Word[], at: number = place.program, format1 = true): void {
    words.forEach(({ code, flags = 0, count = 0, address = 0 }, i) => {
      const where = at + 8 * i;
      if (format1) {
        this.view.setUint32(where, (code << 24) | (flags << 16) | count);
        this.view.setUint32(where + 4, address);
      } else {
        this.view.setUint32(where, (code << 24) | address);
        this.view.setUint32(where + 4, (flags << 24) | count);
      }
    });
  }

  start({ ctrl0 = 0x0080, ctrl1 = 0, lpm = 0xff, at = place.program, intparm = 0x77 }: Start = {}): Outcome {
    this.view.setUint32(place.orb, intparm);
    this.view.setUint32(place.orb + 4, (ctrl0 << 16) | (lpm << 8) | ctrl1);
    this.view.setUint32(place.orb + 8, at);
    return this.sch.startSubchannel(place.orb);
  }

  test(): Response {
    const outcome = this.sch.testSubchannel(place.irb);
    const u16 = (at: number): number => this.view.getUint16(place.irb + at);
    return {
      outcome,
      flags: u16(0),
      ctrl: u16(2),
      cpa: this.view.getUint32(place.irb + 4),
      dstat: this.view.getUint8(place.irb + 8),
      cstat: this.view.getUint8(place.irb + 9),
      count: u16(10),
      path: this.view.getUint8(place.irb + 13),
      sense: (this.view.getUint32(place.irb + 16) & 0x0100_0000) === 0 ? undefined : this.peek(place.irb + 32, 1)[0],
    };
  }

  /** Runs a program to its end; gives the response block. */
  run(words: readonly Word[], start: Start = {}): Response {
    const { at = place.program, ctrl0 = 0x0080 } = start;
    this.program(words, at, (ctrl0 & 0x80) !== 0);
    const outcome = this.start(start);
    if (outcome !== 0) throw new Error(`SSCH said ${outcome}`);
    return this.test();
  }

  /** One command on `bytes` at `place.data`. */
  command(code: number, bytes: ArrayLike<number>, flags = 0): Response {
    this.poke(place.data, bytes);
    return this.run([{ code, flags, count: bytes.length, address: place.data }]);
  }

  /** A command that must end well; gives the data area. */
  must(code: number, bytes: ArrayLike<number>): number[] {
    const { dstat, cstat } = this.command(code, bytes);
    if (dstat !== 0x0c || cstat !== 0) throw new Error(`command 0x${code.toString(16)}: ${dstat}, ${cstat}`);
    return this.peek(place.data, bytes.length);
  }

  /** Fields of the subchannel-information block, as STSCH stores it. */
  stored() {
    this.sch.storeSubchannel(place.schib);
    const { view } = this;
    const at = place.schib;
    return {
      intparm: view.getUint32(at),
      flags: view.getUint16(at + 4),
      devno: view.getUint16(at + 6),
      masks: [8, 9, 10, 11].map((i) => view.getUint8(at + i)),
      chars: view.getUint32(at + 24),
      ctrl: view.getUint16(at + 30),
      mba: view.getBigUint64(at + 40),
    };
  }

  /** MSCH of what STSCH stored, with these bits of its flags. */
  enable(flags = 0x0080 | (3 << 11), chars = 1): Outcome {
    this.sch.storeSubchannel(place.schib);
    this.view.setUint16(place.schib + 4, (this.view.getUint16(place.schib + 4) & 1) | flags);
    this.view.setUint32(place.schib + 24, chars);
    return this.sch.modifySubchannel(place.schib);
  }

  /** Enables the subchannel, and negotiates as a driver does, up to DRIVER_OK. */
  up({ revision = 2, features = 0x1_1000_0005n, adapter = true, first = 4 } = {}): void {
    this.enable();
    this.littleEndian = revision > 0;
    if (revision >= 0) this.must(0x83, [0, revision, 0, 0]);
    this.must(0x31, [3]);
    for (const word of revision > 0 ? [0, 1] : [0]) {
      const half = new Uint8Array(5);
      new DataView(half.buffer).setUint32(0, Number((features >> BigInt(32 * word)) & 0xffff_ffffn), true);
      half[4] = word;
      this.must(0x11, half);
    }
    if (revision > 0) this.must(0x31, [11]);
    for (let i = 0; this.queueSize(i) > 0; i++) this.queue(i, revision);
    if (adapter) this.adapter(first);
    else this.must(0x43, be64(place.indicators));
    this.must(0x53, be64(place.indicators + 8));
    this.must(0x31, [revision > 0 ? 15 : 7]);
  }

  adapter(first: number, isc = 5): void {
    this.must(0x73, [...be64(place.indicators + 16), ...be64(place.indicators), ...be64(first), isc]);
  }

  queueSize(index: number): number {
    const [, , high = 0, low = 0] = this.must(0x32, [index >> 8, index & 0xff, 0, 0]);
    return (high << 8) | low;
  }

  queue(index: number, revision = 2): void {
    const size = this.queueSize(index);
    const desc = 0x2000 * (index + 1);
    const ring = { size, desc, avail: desc + 16 * size, used: desc + 0x1000, added: 0, seen: 0 };
    this.rings[index] = ring;
    if (revision <= 0) {
      this.must(0x13, [...be64(desc), 0, 0, 0x10, 0, 0, index, 0, size]);
    } else {
      const head = [...be64(desc), 0, 0, 0, 0, 0, index, 0, size];
      this.must(0x13, [...head, ...be64(ring.avail), ...be64(ring.used)]);
    }
  }

  /** Adds a request of these bytes with room for as many. */
  add(index: number, bytes: readonly number[]): void {
    const ring = this.ringOf(index);
    const { view, littleEndian } = this;
    const slot = (2 * ring.added) % ring.size;
    const data = this.#dataAt(index, slot);
    this.poke(data, bytes);
    [
      [data, bytes.length, 1, slot + 1],
      [data + 32, bytes.length, 2, 0],
    ].forEach(([address = 0, length = 0, flags = 0, next = 0], i) => {
      const entry = ring.desc + 16 * (slot + i);
      view.setBigUint64(entry, BigInt(address), littleEndian);
      view.setUint32(entry + 8, length, littleEndian);
      view.setUint16(entry + 12, flags, littleEndian);
      view.setUint16(entry + 14, next, littleEndian);
    });
    view.setUint16(ring.avail + 4 + 2 * (ring.added % ring.size), slot, littleEndian);
    ring.added = (ring.added + 1) & 0xffff;
    view.setUint16(ring.avail + 2, ring.added, littleEndian);
  }

  send(index: number, bytes: readonly number[]): void {
    this.add(index, bytes);
    this.sch.kick(index);
  }

  /** The answers that came since the last call. */
  take(index: number): number[][] {
    const ring = this.ringOf(index);
    const { view, littleEndian } = this;
    const answers: number[][] = [];
    const until = view.getUint16(ring.used + 2, littleEndian);
    for (; ring.seen !== until; ring.seen = (ring.seen + 1) & 0xffff) {
      const entry = ring.used + 4 + 8 * (ring.seen % ring.size);
      const at = this.#dataAt(index, view.getUint32(entry, littleEndian)) + 32;
      answers.push(this.peek(at, view.getUint32(entry + 4, littleEndian)));
    }
    return answers;
  }

  ringOf(index: number) {
    const ring = this.rings[index];
    if (ring === undefined) throw new Error(`no queue ${index}`);
    return ring;
  }

  #dataAt(index: number, slot: number): number {
    return 0x2_0000 + 0x2000 * (index % 16) + 64 * slot;
  }
}

/** Eight bytes, big-endian. */
export function be64(value: number): number[] {
  return [0, 0, 0, 0, value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}
