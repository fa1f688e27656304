// A request of the driver: one descriptor chain, as plain data, so that a device can keep, save and resume it.

export interface Segment {
  /** Device-visible. */
  readonly address: number;
  /** Bytes. */
  readonly length: number;
}

/** One descriptor chain (QEMU: VirtQueueElement). */
export interface VirtqueueElement {
  /** Index of the chain's first descriptor, or a packed ring's buffer id; what the used ring names. */
  readonly index: number;
  /** Written by the driver, read by the device. */
  readonly out: readonly Segment[];
  /** Written by the device. */
  readonly in: readonly Segment[];
  /** Slots that the chain takes in a packed ring; there only (1 where it is not given). */
  readonly ndescs?: number;
}

/** The sum of lengths. Bytes. */
export function segmentBytes(segments: readonly Segment[]): number {
  let sum = 0;
  for (const { length } of segments) sum += length;
  return sum;
}
