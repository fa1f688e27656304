// What the source measures, under the names that QEMU's `query-migrate` gives it. Times in milliseconds, sizes in bytes.
import type { RamCounters, XbzrleCounters } from "./host.ts";
import type { MigrationParameters } from "./parameters.ts";

export interface RamStatistics {
  /** Stream bytes that the transport has taken, those of connections beside the main one included. */
  readonly transferred: number;
  /** Still to be sent, as of the last look. */
  readonly remaining: number;
  /** The size of all RAM blocks. */
  readonly total: number;
  /** How often the dirty state was synchronised. */
  readonly "dirty-sync-count": number;
  /** The bandwidth as estimated, in 10^6 bit/s. 0 before there is an estimate. */
  readonly mbps: number;
  /** Sent while the machine ran at the source. */
  readonly "precopy-bytes": number;
  /** Sent while the machine stood still. */
  readonly "downtime-bytes": number;
  /** Sent when the machine was the destination's already. */
  readonly "postcopy-bytes": number;
  /** Pages that the destination asked for. */
  readonly "postcopy-requests": number;
  /** Part of `transferred`: what went over multifd's channels. */
  readonly "multifd-bytes": number;
  /** Pages sent as a zero record; absent, like all counts of pages, where the machine does not count them. */
  readonly duplicate?: number;
  readonly normal?: number;
  readonly "normal-bytes"?: number;
  readonly "page-size"?: number;
  /** Pages sent, over the time since the machine state began to flow. */
  readonly "pages-per-second"?: number;
  /** Pages that the guest dirtied, over the time between the last two synchronisations. A second. */
  readonly "dirty-pages-rate"?: number;
}

/** QEMU's xbzrle-cache, of the capability `xbzrle`. */
export type XbzrleStatistics = XbzrleCounters;

interface CommonStatistics {
  /** QEMU's migration status, and `in-doubt`. */
  readonly status: string;
  readonly ram: RamStatistics;
  /** Since the migration was started, up to its end. */
  readonly "total-time": number;
  /** From the destination's consent until the first round. 0 before that. */
  readonly "setup-time": number;
  /** What auto-converge takes from the guest's CPUs. Absent while it takes nothing. Percent. */
  readonly "cpu-throttle-percentage"?: number;
  readonly "xbzrle-cache"?: XbzrleStatistics;
  /** Why it failed, for people; absent unless it did. */
  readonly "error-desc"?: string;
  /** What keeps the machine from migrating at all. */
  readonly "blocked-reasons"?: readonly string[];
  /** Held by the engine beyond RAM blocks: gathered, or given to the transport and not taken by it yet. Bytes. */
  readonly bufferedBytes: number;
  /** The most that it ever was. */
  readonly mostBufferedBytes: number;
}

export interface OngoingStatistics extends CommonStatistics {
  /**
   * What was dirty at the last synchronisation, over the bandwidth of the switch-over. Before both are known: the
   * downtime limit.
   */
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
  /** What auto-converge took from the guest's CPUs during it. Percent. */
  readonly cpuThrottlePercentage: number;
}

/** What a snapshot needs beside what was recorded. */
export interface SnapshotInputs {
  readonly status: string;
  readonly nowMs: number;
  readonly parameters: MigrationParameters;
  readonly counters: RamCounters | undefined;
  readonly throttlePercentage: number;
  readonly bufferedBytes: number;
  readonly mostBufferedBytes: number;
  readonly error: { readonly description: string; readonly blockedReasons: readonly string[] } | undefined;
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
  /** By post-copy's connection for pages that are asked for. */
  urgentBytes = 0;
  bytesAtPause: number | undefined;
  multifdBytesAtPause: number | undefined;
  /** Set when the machine is the destination's and its pages follow. */
  bytesAtPostcopy: number | undefined;
  postcopyRequests = 0;
  pendingBytes = 0;
  totalBytes = 0;
  dirtySyncCount = 0;
  dirtyBytesPerMs = 0;
  /** Dirty as of the last synchronisation. */
  dirtyBytes: number | undefined;
  bandwidthBytesPerMs: number | undefined;
  destinationMs: number | undefined;

  /** `found`: what a synchronisation newly found dirty, after so much time. */
  synchronised(foundBytes: number, sinceMs: number, pendingBytes: number): void {
    this.dirtySyncCount++;
    this.pendingBytes = this.dirtyBytes = pendingBytes;
    this.dirtyBytesPerMs = sinceMs > 0 ? foundBytes / sinceMs : 0;
  }

  /** What the switch-over is reckoned with: what somebody said of the connection, or what was measured. */
  switchoverBytesPerMs(parameters: MigrationParameters): number | undefined {
    const available = parameters["avail-switchover-bandwidth"];
    return available > 0 ? available / 1000 : this.bandwidthBytesPerMs;
  }

  expectedDowntimeMs(parameters: MigrationParameters): number | undefined {
    const bytesPerMs = this.switchoverBytesPerMs(parameters);
    return bytesPerMs === undefined || this.dirtyBytes === undefined ? undefined : this.dirtyBytes / bytesPerMs;
  }

  snapshot(now: SnapshotInputs): MigrationStatistics {
    const untilMs = this.endMs ?? now.nowMs;
    const { counters, throttlePercentage, error } = now;
    const common: CommonStatistics = {
      status: now.status,
      ram: this.#ram(untilMs, counters),
      "total-time": untilMs - this.startMs,
      "setup-time": this.setupMs === undefined ? 0 : (this.activeMs ?? untilMs) - this.setupMs,
      ...(throttlePercentage > 0 && { "cpu-throttle-percentage": throttlePercentage }),
      ...(counters?.xbzrleCache && { "xbzrle-cache": counters.xbzrleCache }),
      ...(error && { "error-desc": error.description }),
      ...(error && error.blockedReasons.length > 0 && { "blocked-reasons": error.blockedReasons }),
      bufferedBytes: now.bufferedBytes,
      mostBufferedBytes: now.mostBufferedBytes,
    };
    if (this.endMs === undefined) {
      const expected = this.expectedDowntimeMs(now.parameters) ?? now.parameters["downtime-limit"];
      return { ...common, "expected-downtime": expected };
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
    // Multifd's channels carry pages only while the machine runs here, and the last ones when it stands.
    const multifdBytes = counters?.multifdBytes ?? 0;
    const precopyBytes = this.bytesAtPause ?? this.sentBytes;
    const beforePostcopyBytes = this.bytesAtPostcopy ?? this.sentBytes;
    return {
      transferred: this.sentBytes + multifdBytes + this.urgentBytes,
      remaining: this.pendingBytes,
      total: this.totalBytes,
      "dirty-sync-count": this.dirtySyncCount,
      mbps: ((this.bandwidthBytesPerMs ?? 0) * 8) / 1000,
      "precopy-bytes": precopyBytes + (this.multifdBytesAtPause ?? multifdBytes),
      "downtime-bytes": beforePostcopyBytes - precopyBytes + multifdBytes - (this.multifdBytesAtPause ?? multifdBytes),
      "postcopy-bytes": this.sentBytes - beforePostcopyBytes + this.urgentBytes,
      "postcopy-requests": this.postcopyRequests,
      "multifd-bytes": multifdBytes,
      ...(counters === undefined ? {} : this.#pages(untilMs, counters)),
    };
  }

  #pages(untilMs: number, { duplicatePages, normalPages, pageBytes }: RamCounters): Partial<RamStatistics> {
    // In post-copy pages go on after the machine.
    const sentMs = this.bytesAtPostcopy === undefined ? (this.sentMs ?? untilMs) : untilMs;
    const sendingMs = this.activeMs === undefined ? 0 : sentMs - this.activeMs;
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
