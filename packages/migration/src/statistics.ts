// What the source measures, under the names that QEMU's `query-migrate` gives it. Times in milliseconds, sizes in bytes.
import type { RamCounters } from "./host.ts";

export interface RamStatistics {
  /** Stream bytes that the transport has taken. */
  readonly transferred: number;
  /** Still to be sent, as of the last look. */
  readonly remaining: number;
  /** The size of all RAM blocks. */
  readonly total: number;
  /** How often the dirty state was synchronised. */
  readonly "dirty-sync-count": number;
  /** The bandwidth as estimated, in 10^6 bit/s. 0 before there is an estimate. */
  readonly mbps: number;
  readonly "precopy-bytes": number;
  /** Sent while the machine stood still. */
  readonly "downtime-bytes": number;
  /** Pages sent as a zero record; absent, like all counts of pages, where the machine does not count them. */
  readonly duplicate?: number;
  readonly normal?: number;
  readonly "normal-bytes"?: number;
  readonly "page-size"?: number;
  /** Pages sent, over the time since the machine state began to flow. */
  readonly "pages-per-second"?: number;
  readonly "dirty-pages-rate"?: number;
}

interface CommonStatistics {
  /** QEMU's migration status, and `in-doubt`. */
  readonly status: string;
  readonly ram: RamStatistics;
  /** Since the migration was started, up to its end. */
  readonly "total-time": number;
  /** From the destination's consent until the first round. 0 before that. */
  readonly "setup-time": number;
}

export interface OngoingStatistics extends CommonStatistics {
  /** What is pending, over the bandwidth. Before there is an estimate: the downtime limit. */
  readonly "expected-downtime": number;
}

/**
 * `downtime` counts from just before the source's machine is paused until a machine runs again: the destination's, as
 * far as the source knows it (its word has arrived here); or, where the migration failed after the pause, the source's
 * own. It includes the last data, the checks and loads on the destination, both ways of the network, and devices'
 * `ready`. It does not include `quiesce`, during which the guest runs. Absent while nobody can say that a machine runs.
 */
export interface EndedStatistics extends CommonStatistics {
  readonly downtime?: number;
  /** The source's part, by its clock: from the pause until the last byte was handed to the transport. */
  readonly "downtime-source"?: number;
  /** The destination's part, by its clock: checks, loads and `ready`. What is missing from the sum was on the way. */
  readonly "downtime-destination"?: number;
}

export type MigrationStatistics = OngoingStatistics | EndedStatistics;

/** One round of pre-copy: from one synchronisation of the dirty state to the next. */
export interface RoundSummary {
  readonly round: number;
  readonly bytes: number;
  readonly durationMs: number;
  /** Dirty after the synchronisation that ended the round. */
  readonly pendingBytes: number;
  /** As fast as the guest made memory dirty during the round. Bytes per second. */
  readonly dirtyBytesPerSecond: number;
  readonly bandwidthBytesPerSecond: number | undefined;
  readonly expectedDowntimeMs: number | undefined;
  readonly duplicatePages: number | undefined;
  readonly normalPages: number | undefined;
}

/** Collects. Only the source's driver writes here. */
export class SourceRecorder {
  startMs = 0;
  setupMs: number | undefined;
  activeMs: number | undefined;
  pausedMs: number | undefined;
  sentMs: number | undefined;
  runningMs: number | undefined;
  endMs: number | undefined;
  sentBytes = 0;
  bytesAtPause: number | undefined;
  pendingBytes = 0;
  totalBytes = 0;
  dirtySyncCount = 0;
  dirtyBytesPerMs = 0;
  bandwidthBytesPerMs: number | undefined;
  destinationMs: number | undefined;

  expectedDowntimeMs(): number | undefined {
    return this.bandwidthBytesPerMs === undefined ? undefined : this.pendingBytes / this.bandwidthBytesPerMs;
  }

  snapshot(now: {
    readonly status: string;
    readonly nowMs: number;
    readonly downtimeLimitMs: number;
    readonly counters: RamCounters | undefined;
  }): MigrationStatistics {
    const untilMs = this.endMs ?? now.nowMs;
    const common: CommonStatistics = {
      status: now.status,
      ram: this.#ram(untilMs, now.counters),
      "total-time": untilMs - this.startMs,
      "setup-time": this.setupMs === undefined ? 0 : (this.activeMs ?? untilMs) - this.setupMs,
    };
    if (this.endMs === undefined) {
      return { ...common, "expected-downtime": this.expectedDowntimeMs() ?? now.downtimeLimitMs };
    }
    return { ...common, ...this.#downtime() };
  }

  #downtime(): Pick<EndedStatistics, "downtime" | "downtime-source" | "downtime-destination"> {
    const { pausedMs, sentMs, runningMs, destinationMs } = this;
    if (pausedMs === undefined || runningMs === undefined) return {};
    return {
      downtime: runningMs - pausedMs,
      ...(sentMs === undefined ? {} : { "downtime-source": sentMs - pausedMs }),
      ...(destinationMs === undefined ? {} : { "downtime-destination": destinationMs }),
    };
  }

  #ram(untilMs: number, counters: RamCounters | undefined): RamStatistics {
    const precopyBytes = this.bytesAtPause ?? this.sentBytes;
    return {
      transferred: this.sentBytes,
      remaining: this.pendingBytes,
      total: this.totalBytes,
      "dirty-sync-count": this.dirtySyncCount,
      mbps: ((this.bandwidthBytesPerMs ?? 0) * 8) / 1000,
      "precopy-bytes": precopyBytes,
      "downtime-bytes": this.sentBytes - precopyBytes,
      ...(counters === undefined ? {} : this.#pages(untilMs, counters)),
    };
  }

  #pages(untilMs: number, { duplicatePages, normalPages, pageBytes }: RamCounters): Partial<RamStatistics> {
    const sendingMs = this.activeMs === undefined ? 0 : (this.sentMs ?? untilMs) - this.activeMs;
    return {
      duplicate: duplicatePages,
      normal: normalPages,
      "normal-bytes": normalPages * pageBytes,
      "page-size": pageBytes,
      "pages-per-second": sendingMs > 0 ? ((duplicatePages + normalPages) * 1000) / sendingMs : 0,
      "dirty-pages-rate": (this.dirtyBytesPerMs * 1000) / pageBytes,
    };
  }
}
