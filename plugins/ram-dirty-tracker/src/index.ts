// @godwit/ram-dirty-tracker: RAM blocks, dirty bitmaps, and the ram section of QEMU's stream.

export { type BarrierTracker, barrierTracker } from "./barrier-tracker.ts";
export { type DirtyBitmap, dirtyBitmap } from "./bitmap.ts";
export { type GuestRange, type RamBlock, type RamBlockInit, ramBlock } from "./block.ts";
export { compareTracker } from "./compare-tracker.ts";
export { type DirectDmaRam, type Dma, directDma } from "./dma.ts";
export type { GuestMemory, GuestReader } from "./memory.ts";
export { type RamInit, type RamOffer, ram } from "./ram.ts";
export type { ControlRecord, ListedBlock, PageRecord, RamPhase, RamRecord, RamSection } from "./ram-sink.ts";
export { type RamWalker, type RamWalkerInit, ramWalker } from "./ram-walker.ts";
export type { RamRecordCounts, RamRecordKind } from "./records.ts";
export type { StagedRam } from "./staged-ram.ts";
export type { RamReceived, RamRound, RamSent, RamStatistics } from "./statistics.ts";
export type { DirtyTracker } from "./tracker.ts";
