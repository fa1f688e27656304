// What QEMU's `query-migrate` would answer: exactly its keys, whole numbers where it has whole numbers.
import type { EndedStatistics, MigrationStatistics, OngoingStatistics, XbzrleStatistics } from "./statistics.ts";

/** QEMU's MigrationStats, as of 7.2. */
export interface QueriedRam {
  readonly transferred: number;
  readonly remaining: number;
  readonly total: number;
  /** Zero pages. */
  readonly duplicate: number;
  /** Always 0, as in QEMU, which has given it up. */
  readonly skipped: number;
  readonly normal: number;
  readonly "normal-bytes": number;
  readonly "dirty-pages-rate": number;
  readonly mbps: number;
  readonly "dirty-sync-count": number;
  readonly "postcopy-requests": number;
  readonly "page-size": number;
  readonly "multifd-bytes": number;
  readonly "pages-per-second": number;
  readonly "precopy-bytes": number;
  readonly "downtime-bytes": number;
  readonly "postcopy-bytes": number;
  /** Always 0: memory is not sent from where it is. */
  readonly "dirty-sync-missed-zero-copy": number;
}

/**
 * QEMU's MigrationInfo. As QEMU does, it answers with nothing before a migration, with the status alone for one that is
 * being set up, cancelled or failed (and there with `error-desc`), and with figures while it goes on and when it is
 * completed. Times in milliseconds, `mbps` in 10^6 bit/s; the definition of `downtime` is `EndedStatistics`'s.
 */
export interface MigrationInfo {
  readonly status?: string;
  readonly ram?: QueriedRam;
  readonly "xbzrle-cache"?: XbzrleStatistics;
  readonly "total-time"?: number;
  readonly "setup-time"?: number;
  readonly "expected-downtime"?: number;
  readonly downtime?: number;
  readonly "cpu-throttle-percentage"?: number;
  readonly "error-desc"?: string;
  readonly "blocked-reasons"?: readonly string[];
}

/** Statuses of which QEMU tells nothing more. */
const bare: ReadonlySet<string> = new Set(["setup", "cancelling", "cancelled", "failed"]);

export function queryMigrate(statistics: MigrationStatistics): MigrationInfo {
  const { status } = statistics;
  const blocked = pick(statistics, "blocked-reasons");
  if (status === "none") return blocked;
  const told = { status, ...blocked, ...pick(statistics, "error-desc") };
  if (bare.has(status)) return told;
  return {
    ...told,
    ram: ramOf(statistics),
    ...pick(statistics, "xbzrle-cache"),
    "total-time": Math.round(statistics["total-time"]),
    "setup-time": Math.round(statistics["setup-time"]),
    ...rounded("expected-downtime", (statistics as OngoingStatistics)["expected-downtime"]),
    ...rounded("downtime", (statistics as EndedStatistics).downtime),
    ...pick(statistics, "cpu-throttle-percentage"),
  };
}

function ramOf({ ram }: MigrationStatistics): QueriedRam {
  return {
    transferred: ram.transferred,
    remaining: ram.remaining,
    total: ram.total,
    duplicate: ram.duplicate ?? 0,
    skipped: 0,
    normal: ram.normal ?? 0,
    "normal-bytes": ram["normal-bytes"] ?? 0,
    "dirty-pages-rate": Math.round(ram["dirty-pages-rate"] ?? 0),
    mbps: ram.mbps,
    "dirty-sync-count": ram["dirty-sync-count"],
    "postcopy-requests": ram["postcopy-requests"],
    "page-size": ram["page-size"] ?? 0,
    "multifd-bytes": ram["multifd-bytes"],
    "pages-per-second": Math.round(ram["pages-per-second"] ?? 0),
    "precopy-bytes": ram["precopy-bytes"],
    "downtime-bytes": ram["downtime-bytes"],
    "postcopy-bytes": ram["postcopy-bytes"],
    "dirty-sync-missed-zero-copy": 0,
  };
}

function pick<T extends object, K extends keyof T & string>(from: T, key: K): { readonly [P in K]?: T[P] } {
  return from[key] === undefined ? {} : ({ [key]: from[key] } as { readonly [P in K]?: T[P] });
}

function rounded<K extends string>(key: K, value: number | undefined): { readonly [P in K]?: number } {
  return value === undefined ? {} : ({ [key]: Math.round(value) } as { readonly [P in K]?: number });
}
