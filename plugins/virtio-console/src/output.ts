// The guest's output of one port: elements are taken one at a time, and one may be half used up when the host's end is full.
import { segmentBytes, type Virtqueue, type VirtqueueElement } from "@godwit/virtio-core";

/** An element that was taken, and how far it is used up. */
export interface Taken {
  readonly element: VirtqueueElement;
  /** The segment that is next, and the bytes of it that are done. */
  segment: number;
  offset: number;
}

/** More is not handed over at a time. Bytes. */
const maxWriteBytes = 32 * 1024;

/** Hands the rest of an element over. False: the host's end is full, or memory did not answer. */
export function writeOut(queue: Virtqueue, taken: Taken, write: (bytes: Uint8Array) => number): boolean {
  const { out } = taken.element;
  for (let segment = out[taken.segment]; segment !== undefined; segment = out[taken.segment]) {
    while (taken.offset < segment.length) {
      const length = Math.min(segment.length - taken.offset, maxWriteBytes);
      const from = segmentBytes(out.slice(0, taken.segment)) + taken.offset;
      const bytes = queue.read(taken.element, from, length);
      if (bytes.length < length) return false;
      const written = write(bytes);
      if (!Number.isInteger(written) || written < 0 || written > length) {
        throw new RangeError(`write() took ${written} of ${length} bytes`);
      }
      taken.offset += written;
      if (written < length) return false;
    }
    taken.segment++;
    taken.offset = 0;
  }
  return true;
}
