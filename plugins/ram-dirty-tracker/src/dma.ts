// DMA with no IOMMU between: a device's address is the guest-physical one.
import { type Dependency, isMigrationError, type View } from "@godwit/core";
import type { GuestMemory, GuestReader } from "./memory.ts";

/** What a device reads and writes memory through. `address` is what the device was told. `MEMORY_UNMAPPED`. */
export interface Dma extends GuestMemory {
  /** What a device's checks wait for, to see staged memory. */
  readonly after: readonly Dependency[];
  /** The memory that an incoming attempt brings. */
  staged(view: View): GuestReader;
  /** Without it, memory is always there. */
  readonly postcopy?: AbsentMemory;
}

/**
 * Memory of which pages may still be on their way (post-copy), for a device that asks for all that a request needs before
 * it begins it.
 */
export interface AbsentMemory {
  /** Some page is absent. */
  readonly active: boolean;
  /** `PAGE_ABSENT` where a page of the range is; of an address that leads nowhere nothing is said. */
  demand(address: number, length: number, write: boolean): void;
  /** Resolves when the page that the error names is there. */
  whenPresent(error: unknown): Promise<void>;
}

/** The part of the RAM plugin's offer that DMA needs. */
export interface DirectDmaRam {
  readonly after: readonly Dependency[];
  readonly memory: GuestMemory;
  staged(view: View): GuestReader;
  readonly postcopy?: AbsentMemory;
}

/** As a RAM's memory is demanded. */
export function absentMemory(
  memory: GuestReader,
  isActive: () => boolean,
  whenPresent: AbsentMemory["whenPresent"],
): AbsentMemory {
  return {
    get active() {
      return isActive();
    },
    demand(address, length) {
      if (!isActive()) return;
      try {
        memory.read(address, length);
      } catch (error) {
        if (isMigrationError(error) && error.code === "PAGE_ABSENT") throw error;
      }
    },
    whenPresent,
  };
}

export function directDma({ after, memory, staged, postcopy }: DirectDmaRam): Dma {
  return {
    ...(postcopy && { postcopy }),
    after,
    read: (address, length) => memory.read(address, length),
    write: (address, bytes) => memory.write(address, bytes),
    staged: (view) => staged(view),
  };
}
