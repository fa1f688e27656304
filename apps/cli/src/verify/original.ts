// The stream's own bytes, by their offset, as long as they are needed to be compared with what is written again.

const none = new Uint8Array(0);

export class Original {
  /** What is needed still of the chunks before, and its offset; then the chunk that is being read, which is the reader's. */
  #carried: Uint8Array = none;
  #carriedBytes = 0;
  #base = 0;
  #chunk: Uint8Array = none;
  #neededFrom = 0;

  /** The chunks, each of them here before it is read. */
  async *watch(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      this.#chunk = chunk;
      yield chunk;
      this.#carry();
    }
  }

  /** Nothing before `offset` is asked for again. */
  keepFrom(offset: number): void {
    this.#neededFrom = Math.max(this.#neededFrom, offset);
  }

  /** Less than `length` where they are not there. Not to be kept. */
  at(offset: number, length: number): Uint8Array {
    const from = Math.max(0, offset - this.#base);
    const inChunk = from - this.#carriedBytes;
    if (inChunk >= 0) return this.#chunk.subarray(inChunk, inChunk + length);
    const to = from + length;
    if (to <= this.#carriedBytes) return this.#carried.subarray(from, to);
    const rest = this.#chunk.subarray(0, to - this.#carriedBytes);
    const both = new Uint8Array(this.#carriedBytes - from + rest.length);
    both.set(this.#carried.subarray(from, this.#carriedBytes));
    both.set(rest, this.#carriedBytes - from);
    return both;
  }

  /** The chunk goes: what is needed of it is copied, into twice the room where there is too little. */
  #carry(): void {
    const end = this.#base + this.#carriedBytes + this.#chunk.length;
    const needed = Math.min(Math.max(this.#neededFrom, this.#base), end);
    const dropped = needed - this.#base;
    const before = Math.max(0, this.#carriedBytes - dropped);
    const rest = this.#chunk.subarray(Math.max(0, dropped - this.#carriedBytes));
    const bytes = before + rest.length;
    const into = bytes > this.#carried.length ? new Uint8Array(2 * bytes) : this.#carried;
    if (into !== this.#carried || dropped > 0) into.set(this.#carried.subarray(dropped, dropped + before));
    into.set(rest, before);
    this.#carried = into;
    this.#carriedBytes = bytes;
    this.#base = needed;
    this.#chunk = none;
  }
}
