// What the engine needs of the program around it: a machine, a clock with timers, and a channel. Structural, all three.
import type {
  IncomingAttempt,
  IncomingInit,
  Manifest,
  ManifestInit,
  OutgoingAttempt,
  OutgoingInit,
  Writer,
} from "@godwit/core";
import type { Misfit } from "./godwit/preamble.ts";

/** A machine that can migrate. A kernel of `@godwit/core` is one. */
export interface MigratableMachine {
  /** With `needed`, sections say which of their subsections their state needs now. */
  manifest(init?: ManifestInit): Manifest;
  /** With `reuse`, a chunk is asked for when the one before is sent: the engine does not keep any. */
  outgoing(init?: OutgoingInit): OutgoingAttempt;
  incoming(init?: IncomingInit): IncomingAttempt;
  /** What speaks against a machine that wants to come here. Without it, both manifests are compared; a vault takes any. */
  readonly misfits?: ((offered: Manifest) => readonly Misfit[]) | undefined;
  /** Waits for what must not be cut in two, and holds back what would begin anew. The engine pauses right afterwards. */
  quiesce(): Promise<void>;
  pause(): void;
  /** The machine runs, and what `quiesce` held back goes on. */
  resume(): void;
  /** Slows the CPUs by this fraction, 0 to 1; 0: full speed. Absent where the machine cannot. */
  readonly throttle?: ((fraction: number) => void) | undefined;
}

/** Host time. Tests and simulators give one that they move themselves. */
export interface HostClock {
  /** Monotonic; where it starts does not matter. Milliseconds. */
  nowMs(): number;
  /** Calls `callback` once, not earlier than after `delayMs`. The answer takes it back. */
  after(delayMs: number, callback: () => void): () => void;
}

/** One connection, as `@godwit/transport` defines it. */
export interface Channel {
  send(bytes: Uint8Array): Promise<void>;
  receive(): AsyncIterable<Uint8Array>;
  /** A chunk of `receive` that is read and of which no view is left; for speed alone, and not needed. */
  recycle?(chunk: Uint8Array): void;
  close(): Promise<void>;
  abort(error: unknown): void;
}

/** What RAM's handler counted, for the statistics. Totals since the attempt began. */
export interface RamCounters {
  /** Pages sent as a zero record. */
  readonly duplicatePages: number;
  /** Pages sent as they are. */
  readonly normalPages: number;
  readonly pageBytes: number;
  /** Bytes that went over multifd's channels. */
  readonly multifdBytes?: number | undefined;
  readonly xbzrleCache?: XbzrleCounters | undefined;
}

/** QEMU's xbzrle-cache. */
export interface XbzrleCounters {
  readonly "cache-size": number;
  /** Sent instead of the pages that were found in the cache. */
  readonly bytes: number;
  /** Pages that were found in the cache. */
  readonly pages: number;
  readonly "cache-miss": number;
  /** Misses of all look-ups; 0 to 1. */
  readonly "cache-miss-rate": number;
  /** Bytes of the pages to the bytes sent for them; 0 while there were none. */
  readonly "encoding-rate": number;
  /** Pages whose delta would not have been shorter. */
  readonly overflow: number;
}

/** How the ram handler's next attempts send. */
export interface RamSendModes {
  readonly xbzrle?: { readonly cacheBytes: number };
  /** Post-copy may follow: what is dirty counts as what can. */
  readonly postcopy?: boolean;
}

/** What the ram handler counted in its latest attempt to send, if there was one. */
export interface RamHandlerStatistics {
  readonly sent:
    | {
        readonly zeroPages: number;
        readonly normalPages: number;
        readonly multifdBytes: number;
        readonly postcopyRequests?: number;
        readonly xbzrleCache?: XbzrleCounters;
      }
    | undefined;
}

/** A range of a RAM block. Bytes. */
export interface RamRange {
  readonly start: number;
  readonly length: number;
}

/** Pages that follow a machine, at the source. The ram handler's, as `@godwit/ram-dirty-tracker` offers it. */
export interface PostcopySource {
  /** The machine stands: synchronises, and gives what the destination must drop. */
  discards(): Iterable<{ readonly idstr: string; readonly ranges: readonly RamRange[] }>;
  /** These pages go out before all others. `RAM_BLOCK_UNKNOWN`, `RAM_OFFSET`. */
  request(idstr: string, start: number, length: number): void;
  readonly requestedPages: number;
  /** Records of requested pages alone, without a section around them, for a channel of their own. True: none is left. */
  urgent(out: Writer, budgetBytes: number): boolean;
  urgentEnd(out: Writer): void;
  /** After a broken connection: all that the destination has not is to be sent again. Little-endian longs, a bit a page. */
  received(idstr: string, bitmap: Uint8Array): void;
}

/** How pages came behind a machine. */
export interface PostcopyCounters {
  readonly faults: number;
  readonly requestedPages: number;
  readonly unaskedPages: number;
  readonly ignoredPages: number;
  /** Milliseconds. */
  latenciesMs(): {
    readonly count: number;
    readonly meanMs: number;
    readonly medianMs: number;
    readonly p99Ms: number;
    readonly maxMs: number;
  };
}

/** Pages that follow a machine, at the destination. */
export interface PostcopyDestination {
  /** Pages that came and count no more. Where the stream says so, and before anything behind that. */
  discard(idstr: string, ranges: readonly RamRange[]): void;
  /** From now on pages that have not come trap; each is told once. */
  listen(onMissing: (idstr: string, start: number, length: number) => void, nowMs?: () => number): void;
  /** Tells anew what somebody waits for: the source may not have heard it. */
  retell(): void;
  /** Nobody brings pages: whoever waits for one, or begins to, is told `ATTEMPT_ENDED`, until the answer is called. */
  refuseWaits(): () => void;
  received(idstr: string): Uint8Array;
  readonly missingPages: number;
  statistics(): PostcopyCounters;
  /** What takes the bytes of a channel of requested pages. */
  urgent(): { push(bytes: Uint8Array): void; end(): void; readonly isEnded: boolean };
}

/** What the engine needs of RAM, beyond its being a handler. The offer of `@godwit/ram-dirty-tracker` is one. */
export interface MigratableRam {
  readonly pageBytes: number;
  readonly blocks: readonly { readonly idstr: string; readonly length: number }[];
  statistics(): RamHandlerStatistics;
  /** `ATTEMPT_ACTIVE` while one is under way. */
  sendBy(modes: RamSendModes): void;
  readonly postcopySource: PostcopySource;
  readonly postcopyDestination: PostcopyDestination;
  /** Of the latest attempt to receive with multifd. */
  multifd(): MultifdInputs | undefined;
}

/** One connection of multifd, as its bytes come. */
export interface MultifdInput {
  /** It waits for the main stream: what is pushed now is kept in memory. */
  readonly isHeld: boolean;
  push(bytes: Uint8Array): void;
  end(): void;
}

/** Where multifd's connections go, and where they meet the main stream. `@godwit/ram-dirty-tracker`'s `MultifdReceiver`. */
export interface MultifdInputs {
  accept(): MultifdInput;
  readonly isSynced: boolean;
  /** The main stream stands, and waits for every connection's SYNC. */
  readonly isAwaited: boolean;
}
