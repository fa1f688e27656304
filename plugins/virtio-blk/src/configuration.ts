// Configuration space of virtio-blk up to `num_queues` (virtio 1.2, section 5.2.4).
import { sectorBytes } from "./constants.ts";

export interface BlkConfiguration {
  readonly sizeBytes: number;
  /** Data segments of a request at most. */
  readonly segMax: number;
  readonly queues: number;
}

const configurationLength = 36;
const at = { capacity: 0, segMax: 12, blkSize: 20, numQueues: 34 } as const;

/** le64 capacity in sectors, le32 seg_max, le32 blk_size, le16 num_queues; what is not offered is 0. */
export function configurationBytes({ sizeBytes, segMax, queues }: BlkConfiguration): Uint8Array {
  const bytes = new Uint8Array(configurationLength);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(at.capacity, BigInt(sizeBytes / sectorBytes), true);
  view.setUint32(at.segMax, segMax, true);
  view.setUint32(at.blkSize, sectorBytes, true);
  view.setUint16(at.numQueues, queues, true);
  return bytes;
}

/** Capacity in sectors, as an image of configuration space has it; undefined where the image is too short. */
export function capacityOf(config: Uint8Array): bigint | undefined {
  if (config.length < at.capacity + 8) return undefined;
  return new DataView(config.buffer, config.byteOffset, config.byteLength).getBigUint64(at.capacity, true);
}

/** `num_queues`, both ways round (a legacy big-endian guest has its own order); undefined where it is not in the image. */
export function queuesOf(config: Uint8Array): readonly number[] | undefined {
  if (config.length < at.numQueues + 2) return undefined;
  const view = new DataView(config.buffer, config.byteOffset, config.byteLength);
  return [view.getUint16(at.numQueues, true), view.getUint16(at.numQueues, false)];
}
