// Puts together a page's payload that arrives in pieces. What it holds is bounded by the longest encoded page.

export class PayloadAssembly {
  #pieces: Uint8Array | undefined;

  /** One piece: `bytes` from `from` to `to`, at `at` of `length` bytes. The whole, with its last piece; not to be kept. */
  add(length: number, at: number, bytes: Uint8Array, from: number, to: number): Uint8Array | undefined {
    if (to - from === length) return bytes.subarray(from, to);
    // The decoder has compared the length with its bound before any piece.
    if (this.#pieces === undefined || this.#pieces.length < length) this.#pieces = new Uint8Array(length);
    this.#pieces.set(bytes.subarray(from, to), at);
    return at + to - from === length ? this.#pieces.subarray(0, length) : undefined;
  }

  fork(): PayloadAssembly {
    const copy = new PayloadAssembly();
    copy.#pieces = this.#pieces?.slice();
    return copy;
  }
}
