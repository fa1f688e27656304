// DMA with no IOMMU between: a device's address is the guest-physical one.
import type { Dependency, View } from "@godwit/core";
import type { GuestMemory, GuestReader } from "./memory.ts";

/** What a device reads and writes memory through. `address` is what the device was told. `MEMORY_UNMAPPED`. */
export interface Dma extends GuestMemory {
  /** What a device's checks wait for, to see staged memory. */
  readonly after: readonly Dependency[];
  /** The memory that an incoming attempt brings. */
  staged(view: View): GuestReader;
}

/** The part of the RAM plugin's offer that DMA needs. */
export interface DirectDmaRam {
  readonly after: readonly Dependency[];
  readonly memory: GuestMemory;
  staged(view: View): GuestReader;
}

export function directDma({ after, memory, staged }: DirectDmaRam): Dma {
  return {
    after,
    read: (address, length) => memory.read(address, length),
    write: (address, bytes) => memory.write(address, bytes),
    staged: (view) => staged(view),
  };
}
