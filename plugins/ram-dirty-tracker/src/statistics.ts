// What was sent and received, in numbers. "Normal" pages are those that went with their content.
import type { XbzrleStatistics } from "./xbzrle-sender.ts";

/** What goes out between two syncs of the dirty bitmap. */
export interface RamRound {
  /** Dirty pages when the round began. */
  readonly dirtyPages: number;
  readonly zeroPages: number;
  readonly normalPages: number;
  /** Pages that went as a delta. */
  readonly xbzrlePages: number;
  /** Bytes of the records. */
  readonly bytes: number;
}

/** One attempt to send; of a finished one as it ended. QEMU's names: `duplicate` is zeroPages, `normal` normalPages. */
export interface RamSent {
  /** How often the trackers were asked: QEMU's dirty-sync-count. */
  readonly dirtySyncCount: number;
  readonly zeroPages: number;
  readonly normalPages: number;
  readonly xbzrlePages: number;
  /** Bytes of the sections' data: block list, records, and their ends. */
  readonly bytes: number;
  /** Bytes of the multifd channels. */
  readonly multifdBytes: number;
  readonly remainingPages: number;
  /** QEMU's postcopy-requests; and the pages that went in post-copy, asked for or not. */
  readonly postcopyRequests: number;
  readonly postcopyPages: number;
  readonly rounds: readonly RamRound[];
  /** QEMU's xbzrle-cache; absent where deltas are not sent. */
  readonly xbzrleCache?: XbzrleStatistics;
}

/** One attempt to receive. A page may come more than once. */
export interface RamReceived {
  readonly zeroPages: number;
  readonly normalPages: number;
  /** Pages that came as a delta, and as zlib data. */
  readonly xbzrlePages: number;
  readonly compressedPages: number;
  /** Pages that have not come. They are zero, as QEMU has it; a whole stream leaves none. */
  readonly missingPages: number;
  /** Memory held for the attempt: never more than the local blocks and a bit a page. */
  readonly allocatedBytes: number;
}

export interface RamStatistics {
  /** The latest attempt to send, if there was one. */
  readonly sent: RamSent | undefined;
  /** The latest attempt to receive, if there was one. */
  readonly received: RamReceived | undefined;
}
