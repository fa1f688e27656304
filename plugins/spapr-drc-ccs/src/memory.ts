// The guest memory that RTAS calls read and write, as the RAM plugin offers it.

/** Addresses are guest-physical. `MEMORY_UNMAPPED` where there is none. */
export interface GuestMemory {
  /** A view or a copy, not to be kept. */
  read(gpa: number, length: number): Uint8Array;
  /** Marks what it writes as dirty. */
  write(gpa: number, bytes: Uint8Array): void;
}
