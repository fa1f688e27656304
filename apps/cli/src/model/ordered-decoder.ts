// A decoder that begins when all that came before it has been told: a reader tells of its events when a chunk is through,
// and what RAM's bytes mean (capabilities, page size, what was discarded) stands in front of them, in the same chunk maybe.
import type { BodyDecoder, Cursor } from "@godwit/core";

/** What waits for the reader's owner: `isWaiting` until it has taken the events, and resumed the reader. */
export interface Gate {
  isWaiting: boolean;
  /** No more bytes come, and nothing can wait. */
  isOpen: boolean;
}

export class OrderedDecoder<T> implements BodyDecoder<T> {
  readonly #gate: Gate;
  readonly #make: () => BodyDecoder<T>;
  #decoder: BodyDecoder<T> | undefined;
  #asked = false;

  /** `make` is called when the events before are through. */
  constructor(gate: Gate, make: () => BodyDecoder<T>, from?: OrderedDecoder<T>) {
    this.#gate = gate;
    this.#make = make;
    this.#asked = from === undefined ? false : from.#asked;
    this.#decoder = from === undefined ? undefined : (from.#decoder?.fork() as BodyDecoder<T> | undefined);
  }

  resume(cursor: Cursor): boolean {
    if (!this.#asked && !this.#gate.isOpen) {
      this.#asked = true;
      this.#gate.isWaiting = true;
      return false;
    }
    this.#decoder ??= this.#make();
    return this.#decoder.resume(cursor);
  }

  value(): T {
    return (this.#decoder as BodyDecoder<T>).value();
  }

  path(): string | undefined {
    return this.#decoder?.path();
  }

  takenBytes(): number {
    return this.#decoder?.takenBytes?.() ?? 0;
  }

  fork(): OrderedDecoder<T> {
    return new OrderedDecoder(this.#gate, this.#make, this);
  }
}
