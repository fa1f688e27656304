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
  /** Pieces of entropy drawn. */
  draws: number;
  drawsLastNumber: number;
  drawsRepeated: number;
  drawsTorn: number;
  /** Of the guest. */
  linesSubmitted: number;
  linesCompleted: number;
  /** Of the host. */
  linesTaken: number;
  linesLost: number;
  linesRepeated: number;
  linesTorn: number;
  /** First byte of the balloon's pages, from the start of RAM. */
  balloonOffset: number;
  balloonPages: number;
  balloonTarget: number;
  /** So many pages are given up for certain. */
  balloonActual: number;
  /** From this page on they are the guest's. */
  balloonGiven: number;
  /** Pages taken back in all. */
  balloonReturns: number;
  scsiSubmitted: number;
  scsiCompleted: number;
  scsiSectors: number;
  jobsSubmitted: number;
  jobsCompleted: number;
  jobsWrong: number;
  interruptsRemapped: boolean;
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
    draws: field(map.STATUS_BLOCK_DRAWS),
    drawsLastNumber: field(map.STATUS_BLOCK_DRAWS_LAST_NUMBER),
    drawsRepeated: field(map.STATUS_BLOCK_DRAWS_REPEATED),
    drawsTorn: field(map.STATUS_BLOCK_DRAWS_TORN),
    linesSubmitted: field(map.STATUS_BLOCK_LINES_SUBMITTED),
    linesCompleted: field(map.STATUS_BLOCK_LINES_COMPLETED),
    linesTaken: field(map.STATUS_BLOCK_LINES_TAKEN),
    linesLost: field(map.STATUS_BLOCK_LINES_LOST),
    linesRepeated: field(map.STATUS_BLOCK_LINES_REPEATED),
    linesTorn: field(map.STATUS_BLOCK_LINES_TORN),
    balloonOffset: field(map.STATUS_BLOCK_BALLOON_OFFSET),
    balloonPages: field(map.STATUS_BLOCK_BALLOON_PAGES),
    balloonTarget: field(map.STATUS_BLOCK_BALLOON_TARGET),
    balloonActual: field(map.STATUS_BLOCK_BALLOON_ACTUAL),
    balloonGiven: field(map.STATUS_BLOCK_BALLOON_GIVEN),
    balloonReturns: field(map.STATUS_BLOCK_BALLOON_RETURNS),
    scsiSubmitted: field(map.STATUS_BLOCK_SCSI_SUBMITTED),
    scsiCompleted: field(map.STATUS_BLOCK_SCSI_COMPLETED),
    scsiSectors: field(map.STATUS_BLOCK_SCSI_SECTORS),
    jobsSubmitted: field(map.STATUS_BLOCK_JOBS_SUBMITTED),
    jobsCompleted: field(map.STATUS_BLOCK_JOBS_COMPLETED),
    jobsWrong: field(map.STATUS_BLOCK_JOBS_WRONG),
    interruptsRemapped: field(map.STATUS_BLOCK_INTERRUPTS_REMAPPED) === 1,
  };
}
