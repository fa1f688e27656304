// Whether pre-copy will come to its end, told from the rates of its rounds as early as they show it.
import { type Help, helpFrom } from "./help.ts";

/** So many rounds, one after the other, must say the same. */
const windowRounds = 3;
/** And together they must have lasted so long. Milliseconds. */
const windowMs = 1000;
/** "Will not converge" means: not within so many more rounds. */
const horizonRounds = 10;
/** What is pending must be beyond what would do by this factor: bandwidth is measured, and never twice the same. */
const margin = 1.25;
/** And by so many standard deviations of a count of pages that are dirtied at random. */
const deviations = 4;

/** One round as it was measured. Sizes of pages in bytes of memory, whatever they took on the wire. */
export interface RoundRates {
  readonly durationMs: number;
  /** Pages that were taken off the list. */
  readonly workBytes: number;
  /** Stream bytes. */
  readonly sentBytes: number;
  /** Pages that the synchronisation at its end newly found dirty. */
  readonly dirtyBytes: number;
  /** All that is dirty then. */
  readonly pendingBytes: number;
}

/** What is the same for all rounds, as of now. */
export interface Conditions {
  /** What can be sent within the downtime limit. */
  readonly thresholdBytes: number;
  readonly downtimeLimitMs: number;
  /** Of the switch-over; undefined while it is not known. */
  readonly bandwidthBytesPerMs: number | undefined;
  readonly pageBytes: number;
  readonly throttlePercentage: number;
  readonly canThrottle: boolean;
  readonly canPostcopy: boolean;
}

interface Rates {
  /** Rounds of pre-copy so far. */
  readonly rounds: number;
  readonly pendingBytes: number;
  readonly dirtyBytesPerSecond: number;
  readonly bandwidthBytesPerSecond: number | undefined;
  /** The parameter as it was then. Milliseconds. */
  readonly "downtime-limit": number;
}

/**
 * Pre-copy will not come to its end within the next 10 rounds, if the guest goes on as it does.
 *
 * The rule (`because: "rates"`). In a round of duration t the guest newly dirties D(t). For a guest that goes on in the
 * same way, D(t)/t does not grow with t, since a page counts once however often it is written: a shorter round leaves
 * relatively more behind, never less. So where a round left the share r = dirtied / sent of its pages (`pendingBytes`
 * being P), k rounds later at least P * r^k is pending, and that cannot be within the limit's T before
 * k = ln(P/T) / ln(1/r) rounds; never, for r >= 1. The verdict is given when for each of the last 3 rounds, which
 * together lasted a second or more, k exceeds 10 although T is taken 25% larger and P smaller by 4 standard deviations
 * of a random count of pages. While auto-converge can still slow the guest down, or has just done so, there is none.
 *
 * What it cannot know: that a guest is about to change. A guest whose bursts are shorter than a third of the time that
 * those rounds took, with pauses of two rounds or more, always shows one round that is against it.
 *
 * `because: "max-rounds"`: no such verdict was possible, but `maxRounds` are over.
 */
export interface WillNotConverge extends Rates {
  readonly verdict: "will-not-converge";
  readonly because: "rates" | "max-rounds";
  /** The share of the rounds, since conditions last changed, that say so each for itself; of 0 to 1. */
  readonly confidence: number;
  /** What the verdict rests upon. */
  readonly evidence: { readonly rounds: number; readonly intervalMs: number };
  /** Any one of these would do. */
  readonly help: Help;
}

/** Taken back: two rounds in a row say that it will end within the next 10, or it ends now. */
export interface Converging extends Rates {
  readonly verdict: "converging";
}

export type Verdict = WillNotConverge | Converging;

type Judged =
  | Pick<WillNotConverge, "verdict" | "because" | "confidence" | "evidence" | "help">
  | Pick<Converging, "verdict">;

/** Looks at the rounds, and speaks when its mind changes. */
export class ConvergenceJudge {
  #rounds: RoundRates[] = [];
  #isHopeless = false;

  /** The last word was that it will not converge. */
  get isHopeless(): boolean {
    return this.#isHopeless;
  }

  /** The guest or the connection is not what it was: what was measured does not count any more. */
  conditionsChanged(): void {
    this.#rounds = [];
  }

  /** Call after each round. `maySpeak`: a verdict of hopelessness is wanted at all. */
  judge(round: RoundRates, conditions: Conditions, maySpeak: boolean): Judged | undefined {
    this.#rounds.push(round);
    if (this.#isHopeless) {
      if (!this.#looksGood(conditions)) return undefined;
      this.#isHopeless = false;
      return { verdict: "converging" };
    }
    return maySpeak && this.#looksHopeless(conditions) ? this.#hopeless("rates", conditions) : undefined;
  }

  /** The rounds that were allowed are over. Nothing, where that was said already. */
  outOfRounds(conditions: Conditions): Judged | undefined {
    return this.#isHopeless ? undefined : this.#hopeless("max-rounds", conditions);
  }

  #hopeless(because: WillNotConverge["because"], conditions: Conditions): Judged {
    this.#isHopeless = true;
    const saying = this.#rounds.filter((round) => isHopeless(round, conditions)).length;
    const evidence = because === "rates" ? this.#window() : this.#rounds;
    return {
      verdict: "will-not-converge",
      because,
      confidence: this.#rounds.length === 0 ? 0 : saying / this.#rounds.length,
      evidence: { rounds: evidence.length, intervalMs: duration(evidence) },
      help: helpFrom(this.#rounds, conditions),
    };
  }

  #looksHopeless(conditions: Conditions): boolean {
    const window = this.#window();
    return (
      conditions.bandwidthBytesPerMs !== undefined &&
      window.length >= windowRounds &&
      duration(window) >= windowMs &&
      window.every((round) => isHopeless(round, conditions))
    );
  }

  #looksGood(conditions: Conditions): boolean {
    const last = this.#rounds.slice(-2);
    const goal = goalBytes(conditions);
    if ((last.at(-1)?.pendingBytes ?? 0) <= conditions.thresholdBytes) return true;
    return last.length === 2 && last.every((round) => roundsLeft(round, round.pendingBytes, goal) <= horizonRounds);
  }

  /** The last rounds, as many as it takes to have enough of them and to last long enough. */
  #window(): readonly RoundRates[] {
    let from = this.#rounds.length;
    let lastedMs = 0;
    while (from > 0 && (this.#rounds.length - from < windowRounds || lastedMs < windowMs)) {
      from--;
      lastedMs += this.#rounds[from]?.durationMs ?? 0;
    }
    return this.#rounds.slice(from);
  }
}

/** This round alone says that it takes more than the horizon, whatever is in doubt being taken for the best. */
function isHopeless(round: RoundRates, conditions: Conditions): boolean {
  const pending = round.pendingBytes - deviations * Math.sqrt(round.pendingBytes * conditions.pageBytes);
  return roundsLeft(round, pending, goalBytes(conditions) * margin) > horizonRounds;
}

/** Less than a page is nothing. */
function goalBytes({ thresholdBytes, pageBytes }: Conditions): number {
  return Math.max(thresholdBytes, pageBytes);
}

/** At least so many rounds until `pendingBytes` have become `goal`, each leaving the share that this one left. */
function roundsLeft({ workBytes, dirtyBytes }: RoundRates, pendingBytes: number, goal: number): number {
  if (pendingBytes <= goal) return 0;
  if (dirtyBytes >= workBytes) return Number.POSITIVE_INFINITY;
  if (dirtyBytes === 0) return 1;
  return Math.log(pendingBytes / goal) / Math.log(workBytes / dirtyBytes);
}

function duration(rounds: readonly RoundRates[]): number {
  return rounds.reduce((sum, { durationMs }) => sum + durationMs, 0);
}
