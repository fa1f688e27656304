// What has arrived and nobody has read: a queue of chunks that gathers small ones, because a peer may send its megabyte in
// messages of one byte, each of which would cost a hundred times that.

/** A chunk of this length stands by itself. Bytes. */
const bigBytes = 4096;
/** Smaller ones are gathered in one of this length. Bytes. */
const gatherBytes = 16 * 1024;

export class ChunkQueue {
  readonly #chunks: Uint8Array[] = [];
  #gathered: Uint8Array | undefined;
  #gatheredBytes = 0;

  push(chunk: Uint8Array): void {
    const alone = this.#chunks.length === 0 && this.#gathered === undefined;
    if (alone || chunk.length >= bigBytes) {
      this.#seal();
      this.#chunks.push(chunk);
      return;
    }
    if (this.#gatheredBytes + chunk.length > gatherBytes) this.#seal();
    this.#gathered ??= new Uint8Array(gatherBytes);
    this.#gathered.set(chunk, this.#gatheredBytes);
    this.#gatheredBytes += chunk.length;
  }

  shift(): Uint8Array | undefined {
    if (this.#chunks.length === 0) this.#seal();
    return this.#chunks.shift();
  }

  /** Empties it; how much that was. Bytes. */
  clear(): number {
    this.#seal();
    return this.#chunks.splice(0).reduce((sum, chunk) => sum + chunk.length, 0);
  }

  #seal(): void {
    if (this.#gathered !== undefined) this.#chunks.push(this.#gathered.slice(0, this.#gatheredBytes));
    this.#gathered = undefined;
    this.#gatheredBytes = 0;
  }
}
