// The modelled device itself: memory of its own that its jobs rewrite, and registers that say what was done.
import { pageBytes } from "./data.ts";

/** A job engine: each job writes one page from its number, and counts itself. */
export class ModelDevice {
  readonly memory: Uint8Array;
  /** Pages written since they were read; all of them in the beginning. */
  readonly dirty = new Set<number>();
  jobs = 0n;
  checksum = 0;

  constructor(memoryBytes: number) {
    this.memory = new Uint8Array(memoryBytes);
  }

  get pages(): number {
    return this.memory.length / pageBytes;
  }

  /** Does the next job. Gives the page that it wrote. */
  work(): number {
    const job = Number(this.jobs % 0x1_0000_0000n);
    // A page that jobs before have not just written: neighbours in time lie far apart.
    const page = (job * 7) % this.pages;
    for (let i = 0; i < pageBytes; i++) this.memory[page * pageBytes + i] = (job * 31 + i * (1 + (job & 7))) & 0xff;
    this.jobs++;
    this.checksum = (Math.imul(this.checksum, 33) + job) >>> 0;
    this.dirty.add(page);
    return page;
  }

  dirtyAll(): void {
    for (let page = 0; page < this.pages; page++) this.dirty.add(page);
  }
}
