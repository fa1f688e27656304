// Configuration space of virtio-blk (virtio 1.2, section 5.2.4).
import { maxRangeSectors, sectorBytes } from "./constants.ts";

/** What a BIOS knows a disk by. */
export interface Geometry {
  readonly cylinders: number;
  readonly heads: number;
  readonly sectors: number;
}

export interface BlkConfiguration {
  readonly sizeBytes: number;
  /** Data segments of a request at most. */
  readonly segMax: number;
  readonly queues: number;
  readonly geometry: Geometry;
  /** Bytes of a logical block. */
  readonly blockBytes: number;
  /** What is answered may stand in a cache until it is flushed. */
  readonly writeBack: boolean;
  readonly discard: boolean;
  readonly writeZeroes: boolean;
}

const at = {
  capacity: 0,
  segMax: 12,
  cylinders: 16,
  heads: 18,
  sectors: 19,
  blkSize: 20,
  minimumIo: 26,
  writeBack: 32,
  numQueues: 34,
  discardSectors: 36,
  discardSegments: 40,
  discardAlignment: 44,
  zeroesSectors: 48,
  zeroesSegments: 52,
  zeroesMayUnmap: 56,
} as const;

/** Bytes of each field. */
export const configurationWidths: readonly number[] = [8, 4, 4, 2, 1, 1, 4, 1, 1, 2, 4, 1, 1, 2, 4, 4, 4, 4, 4, 1];

/** The one field that the driver may write. */
export const writeBackAt: number = at.writeBack;

/** 57 bytes with WRITE_ZEROES, 48 with DISCARD alone, else 36 (QEMU: feature_sizes of virtio-blk). Little-endian. */
export function configurationBytes(configuration: BlkConfiguration): Uint8Array {
  const { sizeBytes, segMax, queues, geometry, blockBytes, writeBack, discard, writeZeroes } = configuration;
  const bytes = new Uint8Array(writeZeroes ? 57 : discard ? at.zeroesSectors : at.discardSectors);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(at.capacity, BigInt(sizeBytes / sectorBytes), true);
  view.setUint32(at.segMax, segMax, true);
  view.setUint16(at.cylinders, geometry.cylinders, true);
  bytes.set([geometry.heads, geometry.sectors], at.heads);
  view.setUint32(at.blkSize, blockBytes, true);
  bytes[at.writeBack] = writeBack ? 1 : 0;
  view.setUint16(at.numQueues, queues, true);
  if (discard) {
    view.setUint32(at.discardSectors, maxRangeSectors, true);
    view.setUint32(at.discardSegments, 1, true);
    view.setUint32(at.discardAlignment, blockBytes / sectorBytes, true);
  }
  if (writeZeroes) {
    view.setUint32(at.zeroesSectors, maxRangeSectors, true);
    view.setUint32(at.zeroesSegments, 1, true);
    bytes[at.zeroesMayUnmap] = 1;
  }
  return bytes;
}

/** As QEMU makes one up for a disk without a partition table: 16 heads of 63 sectors. */
export function guessedGeometry(sizeBytes: number): Geometry {
  const cylinders = Math.floor(sizeBytes / sectorBytes / (16 * 63));
  return { cylinders: Math.min(16_383, Math.max(2, cylinders)), heads: 16, sectors: 63 };
}

/** Capacity in sectors, as an image of configuration space has it; undefined where the image is too short. */
export function capacityOf(config: Uint8Array): bigint | undefined {
  if (config.length < at.capacity + 8) return undefined;
  return new DataView(config.buffer, config.byteOffset, config.byteLength).getBigUint64(at.capacity, true);
}

/** Whether the driver lets the disk have a cache, as an image says; undefined where it is too short. */
export function writeBackOf(config: Uint8Array): boolean | undefined {
  const byte = config[at.writeBack];
  return byte === undefined ? undefined : byte !== 0;
}

/** `num_queues`, both ways round (a legacy big-endian guest has its own order); undefined where it is not in the image. */
export function queuesOf(config: Uint8Array): readonly number[] | undefined {
  if (config.length < at.numQueues + 2) return undefined;
  const view = new DataView(config.buffer, config.byteOffset, config.byteLength);
  return [view.getUint16(at.numQueues, true), view.getUint16(at.numQueues, false)];
}
