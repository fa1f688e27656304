// @godwit/ram-dirty-tracker: RAM blocks, dirty bitmaps, and the ram section of QEMU's stream.

export { type AbsentPages, absentPage, type LatencySummary, type PostcopyReceived } from "./absence.ts";
export { type BarrierTracker, barrierTracker } from "./barrier-tracker.ts";
export { type DirtyBitmap, dirtyBitmap } from "./bitmap.ts";
export { type GuestRange, type RamBlock, type RamBlockInit, ramBlock } from "./block.ts";
export { compareTracker } from "./compare-tracker.ts";
export { type AbsentMemory, type DirectDmaRam, type Dma, directDma } from "./dma.ts";
export { type RamErrorCode, ramErrorCodes } from "./error-codes.ts";
export { type HashTrackerInit, hashTracker } from "./hash-tracker.ts";
export { type ListFormat, listFormat } from "./list-format.ts";
export {
  type MappedHeader,
  mappedAlignmentBytes,
  mappedBitmapBytes,
  mappedHeaderAt,
  mappedHeaderBytes,
} from "./mapped-header.ts";
export { type MappedRamInit, type MappedRamWriter, mappedRamWriter, mappedSectionData } from "./mapped-ram-writer.ts";
export type { Place } from "./mapped-stream.ts";
export type { GuestMemory, GuestReader } from "./memory.ts";
export type { PageTarget } from "./multifd/channel-reader.ts";
export { decodeHello, encodeHello, helloBytes, type MultifdHello, multifdMagic } from "./multifd/hello.ts";
export {
  decodePacket,
  encodePacket,
  type MultifdPacket,
  multifdPacket,
  type PacketInit,
  packetHeaderBytes,
} from "./multifd/packet.ts";
export {
  type MultifdInput,
  type MultifdReceiver,
  type MultifdReceiverInit,
  type MultifdSync,
  multifdReceiver,
} from "./multifd/receiver.ts";
export { type MultifdSender, type MultifdSenderInit, multifdSender } from "./multifd/sender.ts";
export { type PageHash, pageHash } from "./page-hash.ts";
export { type PostcopyDestination, type RamInit, type RamOffer, type ReceiveModes, ram } from "./ram.ts";
export { type ImageBlock, type RamImage, type RamImageInit, ramImage } from "./ram-image.ts";
export type {
  ControlRecord,
  ListedBlock,
  ListedExtra,
  PageRecord,
  RamPhase,
  RamRecord,
  RamSection,
} from "./ram-sink.ts";
export { type RamWalker, type RamWalkerInit, ramWalker } from "./ram-walker.ts";
export type { PostcopySource, SendModes } from "./ram-writer.ts";
export { writeListedBlock, writeRamRecord } from "./record-writer.ts";
export type { RamRecordCounts, RamRecordKind } from "./records.ts";
export { type RewriteRamInit, type RewrittenRam, rewriteRam } from "./rewrite-ram.ts";
export type { StagedRam } from "./staged-ram.ts";
export type { RamReceived, RamRound, RamSent, RamStatistics } from "./statistics.ts";
export { storedDeflate, storedZstd } from "./stored-codecs.ts";
export {
  type DeflateRaw,
  type InflateRaw,
  noCompression,
  type PageCompression,
  type StreamCodec,
  type ZstdStreams,
} from "./stream-codec.ts";
export type { DirtyTracker } from "./tracker.ts";
export type { UrgentInput } from "./urgent-channel.ts";
export { xbzrleDecode, xbzrleEncode } from "./xbzrle.ts";
export type { XbzrleInit, XbzrleStatistics } from "./xbzrle-sender.ts";
export { type ZlibFunctions, zlibCompression } from "./zlib-compression.ts";
export { zstdCompression } from "./zstd-compression.ts";
