// What a device sees of guest memory. Implemented by the IOMMU, or by RAM itself where there is none.
import type { Dependency, MigrationError, View } from "@godwit/core";

/** Reads device-visible addresses. `TRANSLATION_FAULT` or `MEMORY_UNMAPPED` where nothing answers. */
export interface DmaReader {
  /** A view or a copy, not to be kept and not to be written to. */
  read(address: number, length: number): Uint8Array;
}

export interface Dma extends DmaReader {
  /** What must be checked and loaded before a device that works through this. */
  readonly after: readonly Dependency[];
  write(address: number, bytes: Uint8Array): void;
  /** The same memory as an incoming attempt has staged it. */
  staged(view: View): DmaReader;
  /** Without it, memory is always there. */
  readonly postcopy?: AbsentMemory;
}

/** Memory of which pages may still be on their way: `read` and `write` throw `PAGE_ABSENT` before they do anything. */
export interface AbsentMemory {
  /** Some page is absent. */
  readonly active: boolean;
  /**
   * `PAGE_ABSENT` where a page of the range, or of the tables that lead there, is absent. An address that leads nowhere
   * is not told of, nor recorded: that is for the access itself.
   */
  demand(address: number, length: number, write: boolean): void;
  /** Resolves when the page that the error names is there. */
  whenPresent(error: MigrationError): Promise<void>;
}
