// Which MSI-X vector announces what.
import { noVector } from "@godwit/virtio-core";

/** Each is `noVector`, or one that the table has. */
export interface Vectors {
  config: number;
  readonly queues: Uint16Array;
  /** Vectors of the table. */
  readonly count: number;
}

/** What the table does not have reads back as none (virtio 1.2, section 4.1.5.1.2). */
export function vectorOf(value: number, { count }: Vectors): number {
  return value < count ? value : noVector;
}
