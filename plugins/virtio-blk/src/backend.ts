// What a block device works on: an image, a remote disk, memory.

/** Done: nothing. `retry`: it was not done and will not be; it is to be submitted again later (no space, no network). */
// biome-ignore lint/suspicious/noConfusingVoidType: a back end that is done has nothing to return
export type Outcome = void | "retry";

/**
 * Sectors are 512 bytes. What throws or rejects is an I/O error to the guest. A request may be answered out of order,
 * and several may be under way; each is asked for once.
 */
export interface BlockBackend {
  /** A multiple of 512. */
  readonly sizeBytes: number;
  /** Fills `into`, which begins at `sector`. */
  read(sector: number, into: Uint8Array): Outcome | Promise<Outcome>;
  /** Writes `bytes`, which are the back end's own. */
  write(sector: number, bytes: Uint8Array): Outcome | Promise<Outcome>;
  /** Makes durable what has been answered. */
  flush(): Outcome | Promise<Outcome>;
  /** The guest no longer needs what stands there; it may read as anything. Without it, nothing is done. */
  discard?(sector: number, sectors: number): Outcome | Promise<Outcome>;
  /** Makes it read as zeros; with `unmap` it may give up the room. Without it, zeros are written. */
  writeZeroes?(sector: number, sectors: number, unmap: boolean): Outcome | Promise<Outcome>;
  /**
   * Gives up what has not been begun: each such request settles as `retry`, and never takes effect. Resolves at once
   * or when it can; called before a device with `carryInFlight` is saved.
   */
  recall?(): void | Promise<void>;
}
