// What would help a guest that does not converge, computed from its rounds.
import { parameterTable } from "../parameters.ts";
import type { Conditions, RoundRates } from "./verdict.ts";

/** Of what would just do, so much is aimed at: rates are measured, and differ each time. */
const reserve = 0.8;
/** Two rounds tell something of the guest's working set when one lasted longer than the other by this factor. */
const unlike = 1.3;

/** Each for itself, if the guest goes on as it did; undefined where it would not help, or rounds do not tell how much. */
export interface Help {
  /** With this value of the parameter what is pending would fit. Milliseconds. */
  readonly "downtime-limit": number | undefined;
  /** With so much taken from the guest's CPUs, in all, it would dirty less than can be sent. Percent. */
  readonly "cpu-throttle-percentage": number | undefined;
  /** A connection that carries so much, and a `max-bandwidth` that lets it. Bytes per second. */
  readonly bandwidth: number | undefined;
  /** Both sides offer post-copy: the machine can go now, and its pages afterwards. */
  readonly "postcopy-ram": boolean;
}

export function helpFrom(rounds: readonly RoundRates[], conditions: Conditions): Help {
  const recent = rounds.slice(-3);
  // The most that any of them left: what is allowed must do at whichever round's end.
  const pendingBytes = Math.max(0, ...recent.map((round) => round.pendingBytes));
  const writesBytesPerMs = writeRate(rounds, conditions.pageBytes);
  return {
    "downtime-limit": downtimeLimit(pendingBytes, conditions),
    "cpu-throttle-percentage": throttlePercentage(writesBytesPerMs, recent, conditions),
    bandwidth: bandwidth(pendingBytes, writesBytesPerMs, recent, conditions),
    "postcopy-ram": conditions.canPostcopy,
  };
}

function downtimeLimit(pendingBytes: number, { bandwidthBytesPerMs }: Conditions): number | undefined {
  if (bandwidthBytesPerMs === undefined) return undefined;
  const neededMs = Math.ceil(pendingBytes / bandwidthBytesPerMs / reserve);
  const { high } = parameterTable["downtime-limit"] as { readonly high: number };
  return neededMs <= high ? neededMs : undefined;
}

/** The guest's writes must take less time than sending what they dirty. */
function throttlePercentage(
  writesBytesPerMs: number | undefined,
  recent: readonly RoundRates[],
  { canThrottle, throttlePercentage: now }: Conditions,
): number | undefined {
  const sendBytesPerMs = workRate(recent);
  if (!canThrottle || writesBytesPerMs === undefined || sendBytesPerMs === undefined) return undefined;
  const unthrottled = writesBytesPerMs / (1 - now / 100);
  const percentage = Math.ceil(100 * (1 - (reserve * sendBytesPerMs) / unthrottled));
  const { high } = parameterTable["max-cpu-throttle"] as { readonly high: number };
  return percentage > now && percentage <= high ? percentage : undefined;
}

/** Enough for what is pending to fit into the downtime limit, or to send faster than the guest writes: the lesser. */
function bandwidth(
  pendingBytes: number,
  writesBytesPerMs: number | undefined,
  recent: readonly RoundRates[],
  { downtimeLimitMs, bandwidthBytesPerMs }: Conditions,
): number | undefined {
  const fits = downtimeLimitMs > 0 ? pendingBytes / downtimeLimitMs : Number.POSITIVE_INFINITY;
  const work = sum(recent, ({ workBytes }) => workBytes);
  // What a page takes on the wire, of its own size.
  const density = work > 0 ? sum(recent, ({ sentBytes }) => sentBytes) / work : 1;
  const outruns = writesBytesPerMs === undefined ? Number.POSITIVE_INFINITY : writesBytesPerMs * density;
  const perSecond = Math.ceil((Math.min(fits, outruns) / reserve) * 1000);
  return Number.isFinite(perSecond) && perSecond > (bandwidthBytesPerMs ?? 0) * 1000 ? perSecond : undefined;
}

/**
 * How fast the guest writes to pages, each write counted, from what two rounds of unlike length saw of it: written at
 * random at the rate w in a working set of M, D(t) = M * (1 - exp(-w * t / M)). Undefined where the two do not tell: a
 * guest that dirtied no more in a long round than in a short one may write to its pages as often as it likes. Bytes per
 * millisecond.
 */
function writeRate(rounds: readonly RoundRates[], pageBytes: number): number | undefined {
  const usable = rounds.filter(({ durationMs, dirtyBytes }) => durationMs > 0 && dirtyBytes > 0);
  const [shortest] = [...usable].sort((a, b) => a.durationMs - b.durationMs);
  const [longest] = [...usable].sort((a, b) => b.durationMs - a.durationMs);
  if (shortest === undefined || longest === undefined) return undefined;
  const times = longest.durationMs / shortest.durationMs;
  if (times < unlike) return undefined;
  const more = longest.dirtyBytes / shortest.dirtyBytes;
  const noise = 1 + 3 / Math.sqrt(shortest.dirtyBytes / pageBytes);
  if (more <= noise) return undefined;
  const linear = shortest.dirtyBytes / shortest.durationMs;
  if (more >= times / 1.02) return linear;
  const filled = fillOf(times, more);
  // The short round saw the share 1 - exp(-x) of the working set while x of it was written.
  return (linear * filled) / (1 - Math.exp(-filled));
}

/** The x for which (1 - exp(-times * x)) / (1 - exp(-x)) is `more`; it falls from `times` to 1 as x grows. */
function fillOf(times: number, more: number): number {
  let low = 0;
  let high = 50;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if ((1 - Math.exp(-times * middle)) / (1 - Math.exp(-middle)) > more) low = middle;
    else high = middle;
  }
  return high;
}

function workRate(rounds: readonly RoundRates[]): number | undefined {
  const ms = sum(rounds, ({ durationMs }) => durationMs);
  return ms > 0 ? sum(rounds, ({ workBytes }) => workBytes) / ms : undefined;
}

function sum(rounds: readonly RoundRates[], of: (round: RoundRates) => number): number {
  return rounds.reduce((total, round) => total + of(round), 0);
}
