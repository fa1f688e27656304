// Guest memory for tests: bytes at addresses from 0 on, and holes that nothing answers in.
import { MigrationError, type View } from "@godwit/core";
import type { Dma } from "../../src/index.ts";

export class TestMemory implements Dma {
  readonly after = ["ram"];
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** What a check sees; undefined: this same memory. */
  stagedMemory: TestMemory | undefined;
  readonly #holes: { from: number; to: number }[] = [];

  constructor(size = 0x10000) {
    this.bytes = new Uint8Array(size);
    this.view = new DataView(this.bytes.buffer);
  }

  hole(from: number, length: number): void {
    this.#holes.push({ from, to: from + length });
  }

  read(address: number, length: number): Uint8Array {
    this.#look(address, length);
    return this.bytes.subarray(address, address + length);
  }

  write(address: number, bytes: Uint8Array): void {
    this.#look(address, bytes.length);
    this.bytes.set(bytes, address);
  }

  staged(_view: View): TestMemory {
    return this.stagedMemory ?? this;
  }

  #look(address: number, length: number): void {
    const end = address + length;
    const hit = this.#holes.some(({ from, to }) => address < to && from < end);
    if (!hit && end <= this.bytes.length) return;
    throw new MigrationError("MEMORY_UNMAPPED", "nothing answers", { found: `0x${address.toString(16)}` });
  }
}
