/** What the machine tells the guest before it starts. */
import {
  BOOT_BLOCK_BLOCKS_PER_SECOND,
  BOOT_BLOCK_DIRTY_PAGES_PER_SECOND,
  BOOT_BLOCK_MAGIC,
  BOOT_BLOCK_MAX_BLOCKS,
  BOOT_BLOCK_OFFSET,
  BOOT_BLOCK_PROFILE,
  BOOT_BLOCK_RAM_BYTES,
  BOOT_BLOCK_SEED,
  BOOT_BLOCK_USE_IOMMU,
  BOOT_MAGIC,
} from "../memory-map.ts";

export interface BootParameters {
  /** Any 32 bits; part of every block and packet. */
  seed: number;
  /** Program VT-d, or leave it untouched. */
  useIommu: boolean;
  /** 0: no page is dirtied but by the guest's own work. */
  dirtyPagesPerSecond: number;
  /** 0: as fast as they complete. */
  blocksPerSecond: number;
  /** 0: without end. */
  maxBlocks: number;
}

/** Writes the boot block to its place in `ram`, which is the whole RAM. `profile`: PROFILE_*. */
export function writeBootBlock(ram: Uint8Array, parameters: BootParameters, profile: number): void {
  const view = new DataView(ram.buffer, ram.byteOffset + BOOT_BLOCK_OFFSET);
  view.setUint32(BOOT_BLOCK_MAGIC, BOOT_MAGIC, true);
  view.setUint32(BOOT_BLOCK_RAM_BYTES, ram.byteLength, true);
  view.setUint32(BOOT_BLOCK_SEED, parameters.seed, true);
  view.setUint32(BOOT_BLOCK_DIRTY_PAGES_PER_SECOND, parameters.dirtyPagesPerSecond, true);
  view.setUint32(BOOT_BLOCK_USE_IOMMU, parameters.useIommu ? 1 : 0, true);
  view.setUint32(BOOT_BLOCK_MAX_BLOCKS, parameters.maxBlocks, true);
  view.setUint32(BOOT_BLOCK_BLOCKS_PER_SECOND, parameters.blocksPerSecond, true);
  view.setUint32(BOOT_BLOCK_PROFILE, profile, true);
}
