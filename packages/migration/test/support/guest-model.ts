// Pre-copy of a guest that is a rule for writing pages: rounds without bytes, thousands of them in a blink.
import {
  type Conditions,
  ConvergenceJudge,
  type RoundRates,
  type WillNotConverge,
} from "../../src/converge/verdict.ts";

const pageBytes = 4096;
/** What happens so long after a verdict is not what it was about. */
const judgedRounds = 12;

/** Marks what the guest writes between two instants. Milliseconds. */
export type Guest = (fromMs: number, toMs: number, write: (page: number) => void, random: () => number) => void;

/** Writes to pages at random, so many a millisecond, among the first `pages`. */
export function constantRate(pages: number, writesPerMs: number): Guest {
  let owed = 0;
  return (fromMs, toMs, write, random) => {
    owed += (toMs - fromMs) * writesPerMs;
    for (; owed >= 1; owed--) write(Math.floor(random() * pages));
  };
}

/** Writes to the same pages over and over, faster than anybody could send them. */
export function workingSet(pages: number): Guest {
  return (fromMs, toMs, write) => {
    if (toMs > fromMs) for (let page = 0; page < pages; page++) write(page);
  };
}

/** As the other guest for a while, and then not at all for a while. */
export function bursts(guest: Guest, onMs: number, offMs: number, phaseMs: number): Guest {
  const periodMs = onMs + offMs;
  return (fromMs, toMs, write, random) => {
    for (let at = fromMs; at < toMs; ) {
      const inPeriod = (((at + phaseMs) % periodMs) + periodMs) % periodMs;
      const untilMs = Math.min(toMs, at + (inPeriod < onMs ? onMs - inPeriod : periodMs - inPeriod));
      if (inPeriod < onMs) guest(at, untilMs, write, random);
      at = Math.max(untilMs, at + 1e-6);
    }
  };
}

export interface Run {
  readonly pages: number;
  readonly pagesPerMs: number;
  readonly downtimeLimitMs: number;
  readonly guest: Guest;
  readonly seed: number;
  readonly mostRounds: number;
  readonly throttlePercentage?: number;
}

export interface Outcome {
  /** The round after which what is left fits. */
  readonly convergedAfter: number | undefined;
  readonly verdicts: readonly { readonly round: number; readonly atMs: number; readonly judged: Judged }[];
  readonly rounds: readonly RoundRates[];
}

type Judged = NonNullable<ReturnType<ConvergenceJudge["judge"]>>;
export type Hopeless = Extract<Judged, Pick<WillNotConverge, "verdict">>;

export function preCopy(run: Run): Outcome {
  const { pages, pagesPerMs, downtimeLimitMs, guest, mostRounds } = run;
  const random = randomOf(run.seed);
  const threshold = pagesPerMs * downtimeLimitMs;
  const conditions: Conditions = {
    thresholdBytes: threshold * pageBytes,
    downtimeLimitMs,
    bandwidthBytesPerMs: pagesPerMs * pageBytes,
    pageBytes,
    throttlePercentage: run.throttlePercentage ?? 0,
    canThrottle: true,
    canPostcopy: false,
  };
  const judge = new ConvergenceJudge();
  const verdicts: { round: number; atMs: number; judged: Judged }[] = [];
  const rounds: RoundRates[] = [];
  let pending = Array.from({ length: pages }, (_, page) => page);
  let nowMs = 0;
  for (let round = 1; round <= mostRounds; round++) {
    const unsent = round === 1 ? 0 : Math.min(pending.length, Math.floor(threshold / 2));
    const work = pending.length - unsent;
    const durationMs = work / pagesPerMs;
    const rest = pending.slice(work);
    const isPending = new Uint8Array(pages);
    for (const page of rest) isPending[page] = 1;
    let dirty = 0;
    const write = (page: number): void => {
      if (isPending[page] === 1) return;
      isPending[page] = 1;
      dirty++;
    };
    guest(nowMs, nowMs + durationMs, write, random);
    nowMs += durationMs;
    pending = [];
    for (let page = 0; page < pages; page++) if (isPending[page] === 1) pending.push(page);
    const rates: RoundRates = {
      durationMs,
      workBytes: work * pageBytes,
      sentBytes: work * pageBytes,
      dirtyBytes: dirty * pageBytes,
      pendingBytes: pending.length * pageBytes,
    };
    rounds.push(rates);
    const judged = judge.judge(rates, conditions, true);
    if (judged !== undefined) verdicts.push({ round, atMs: nowMs, judged });
    if (verdicts.length === 1 && round > (verdicts[0]?.round ?? round) + judgedRounds) break;
    if (pending.length <= threshold) return { convergedAfter: round, verdicts, rounds };
  }
  return { convergedAfter: undefined, verdicts, rounds };
}

/** Park and Miller's: 2^31 - 1 is prime, 48,271 a generator. */
function randomOf(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}
