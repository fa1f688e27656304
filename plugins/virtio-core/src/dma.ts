// What a device sees of guest memory. Implemented by the IOMMU, or by RAM itself where there is none.
import type { Dependency, View } from "@godwit/core";

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
}
