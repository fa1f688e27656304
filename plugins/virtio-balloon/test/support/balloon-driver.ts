// A driver of virtio-balloon.
import { type Bench, Driver, type Machine } from "@godwit/virtio-testkit";

export class BalloonDriver<M extends Bench = Machine> extends Driver<M> {
  #statistics = 0;

  /** A buffer that is written once, and read by the device. */
  #put(bytes: Uint8Array): { at: number; length: number } {
    const at = this.allocate(bytes.length);
    this.machine.ram.set(bytes, at);
    return { at, length: bytes.length };
  }

  u32(...values: number[]): { at: number; length: number } {
    const bytes = new Uint8Array(4 * values.length);
    const view = new DataView(bytes.buffer);
    for (const [i, value] of values.entries()) view.setUint32(4 * i, value, true);
    return this.#put(bytes);
  }

  /** Gives pages up (queue 0) or takes them back (queue 1). */
  pages(queue: 0 | 1, ...numbers: number[]): void {
    this.ring(queue).add([this.u32(...numbers)], []);
    this.ring(queue).kick();
  }

  /** Tells statistics: pairs of tag and value, in the one buffer that it has for them. */
  statistics(...pairs: (readonly [number, bigint])[]): void {
    if (this.#statistics === 0) this.#statistics = this.allocate(100);
    const { view } = this;
    for (const [i, [tag, value]] of pairs.entries()) {
      view.setUint16(this.#statistics + 10 * i, tag, true);
      view.setBigUint64(this.#statistics + 10 * i + 2, value, true);
    }
    this.ring(2).add([{ at: this.#statistics, length: 10 * pairs.length }], []);
    this.ring(2).kick();
  }

  /** Free page hints: a command's id, ranges, or both in their own elements. */
  command(queue: number, id: number): void {
    this.ring(queue).add([this.u32(id)], []);
    this.ring(queue).kick();
  }

  free(queue: number, ...ranges: (readonly [number, number])[]): void {
    this.ring(queue).add(
      [],
      ranges.map(([at, length]) => ({ at, length })),
    );
    this.ring(queue).kick();
  }
}

/** Writes down what is done to memory. */
export function ledger(): {
  readonly log: string[];
  readonly discard: (gpa: number, length: number) => void;
  readonly populate: (gpa: number, length: number) => void;
  readonly hint: (gpa: number, length: number) => void;
} {
  const log: string[] = [];
  const note = (what: string) => (gpa: number, length: number) =>
    void log.push(`${what} 0x${gpa.toString(16)}+0x${length.toString(16)}`);
  return { log, discard: note("discard"), populate: note("populate"), hint: note("hint") };
}
