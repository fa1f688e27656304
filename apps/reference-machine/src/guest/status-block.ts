/** What the guest says about itself in RAM. */
import * as map from "../memory-map.ts";

export interface GuestStatus {
  /** STAGE_*; 0 before the guest has begun. */
  stage: number;
  seed: number;
  /** Grows by one each second that the guest runs. */
  heartbeat: number;
  /** Last block that the device may know of. */
  blocksSubmitted: number;
  /** This block and all before it are done. */
  blocksCompleted: number;
  packetsSubmitted: number;
  packetsCompleted: number;
  packetsReceived: number;
  /** First byte of the page pool, from the start of RAM. */
  poolOffset: number;
  poolPages: number;
  /** Pages marked in all. */
  poolVisits: number;
  iommuEnabled: boolean;
  remaps: number;
  interrupts: number;
  diskSectors: number;
  errorCount: number;
  /** ERROR_* of the first error, 0 for none. */
  errorCode: number;
  errorDetail: number;
  trapCause: number;
  trapPc: number;
  trapValue: number;
}

/** Reads the status block from `ram`, which is the whole RAM; `undefined` until the guest has written its magic. */
export function readStatusBlock(ram: Uint8Array): GuestStatus | undefined {
  const view = new DataView(ram.buffer, ram.byteOffset + map.STATUS_BLOCK_OFFSET, map.STATUS_BLOCK_BYTES);
  const field = (offset: number): number => view.getUint32(offset, true);
  if (field(map.STATUS_BLOCK_MAGIC) !== map.STATUS_MAGIC) return undefined;
  return {
    stage: field(map.STATUS_BLOCK_STAGE),
    seed: field(map.STATUS_BLOCK_SEED),
    heartbeat: field(map.STATUS_BLOCK_HEARTBEAT),
    blocksSubmitted: field(map.STATUS_BLOCK_BLOCKS_SUBMITTED),
    blocksCompleted: field(map.STATUS_BLOCK_BLOCKS_COMPLETED),
    packetsSubmitted: field(map.STATUS_BLOCK_PACKETS_SUBMITTED),
    packetsCompleted: field(map.STATUS_BLOCK_PACKETS_COMPLETED),
    packetsReceived: field(map.STATUS_BLOCK_PACKETS_RECEIVED),
    poolOffset: field(map.STATUS_BLOCK_POOL_OFFSET),
    poolPages: field(map.STATUS_BLOCK_POOL_PAGES),
    poolVisits: field(map.STATUS_BLOCK_POOL_VISITS_HIGH) * 2 ** 32 + field(map.STATUS_BLOCK_POOL_VISITS_LOW),
    iommuEnabled: field(map.STATUS_BLOCK_IOMMU_ENABLED) === 1,
    remaps: field(map.STATUS_BLOCK_REMAPS),
    interrupts: field(map.STATUS_BLOCK_INTERRUPTS),
    diskSectors: field(map.STATUS_BLOCK_DISK_SECTORS),
    errorCount: field(map.STATUS_BLOCK_ERROR_COUNT),
    errorCode: field(map.STATUS_BLOCK_ERROR_CODE),
    errorDetail: field(map.STATUS_BLOCK_ERROR_DETAIL),
    trapCause: field(map.STATUS_BLOCK_TRAP_CAUSE),
    trapPc: field(map.STATUS_BLOCK_TRAP_PC),
    trapValue: field(map.STATUS_BLOCK_TRAP_VALUE),
  };
}
