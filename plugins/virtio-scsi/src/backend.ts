// What a SCSI disk works on: the same shape as virtio-blk's back end.

/** Done: nothing. `retry`: it was not done and will not be; it is to be submitted again later (no space, no network). */
// biome-ignore lint/suspicious/noConfusingVoidType: a back end that is done has nothing to return
export type ScsiOutcome = void | "retry";

/**
 * Sectors are 512 bytes. What throws or rejects is a medium error to the guest. A request may be answered out of order,
 * and several may be under way; each is asked for once.
 */
export interface ScsiBackend {
  /** A multiple of 512. */
  readonly sizeBytes: number;
  /** Fills `into`, which begins at `sector`. */
  read(sector: number, into: Uint8Array): ScsiOutcome | Promise<ScsiOutcome>;
  /** Writes `bytes`, which are the back end's own. */
  write(sector: number, bytes: Uint8Array): ScsiOutcome | Promise<ScsiOutcome>;
  /** Makes durable what has been answered. */
  flush(): ScsiOutcome | Promise<ScsiOutcome>;
  /** Gives up what has not been begun: each such request settles as `retry`, and never takes effect. */
  recall?(): void | Promise<void>;
}
