// Pre-copy: rounds of sending what is dirty while the machine runs, until what is left fits into the downtime limit.
import type { OutgoingAttempt, Pending } from "@godwit/core";
import { BandwidthEstimate, RateLimit } from "./bandwidth.ts";
import { migrationError } from "./codes.ts";
import { AutoConverge, type CpuThrottle } from "./converge/throttle.ts";
import { type Conditions, ConvergenceJudge, type RoundRates, type Verdict } from "./converge/verdict.ts";
import type { HostClock, RamCounters } from "./host.ts";
import type { Interrupt } from "./interrupt.ts";
import type { MigrationParameters } from "./parameters.ts";
import type { RoundSummary, SourceRecorder } from "./statistics.ts";

/**
 * A later round ends when this share of what fits into the downtime limit is left. All of it would be too much: what
 * the guest dirties in the round comes on top. None of it would be sent twice.
 */
const unsentShare = 0.5;
const usualPageBytes = 4096;

export interface PreCopyOptions {
  readonly clock: HostClock;
  readonly interrupt: Interrupt;
  readonly recorder: SourceRecorder;
  readonly attempt: OutgoingAttempt;
  readonly peerTimeoutMs: number;
  /** As they are now: they may change while this runs. */
  parameters(): MigrationParameters;
  readonly autoConverge: boolean;
  readonly throttle: CpuThrottle;
  readonly canThrottle: boolean;
  /** Both sides offer post-copy. */
  readonly canPostcopy: boolean;
  readonly sliceBytes: number;
  readonly maxRounds: number;
  readonly whenNotConverging: "continue" | "force" | "fail";
  yieldToHost(): Promise<void>;
  ramCounters(): RamCounters | undefined;
  /** Somebody wants the machine to go now, and its pages afterwards. */
  postcopyRequested?(): boolean;
  /** What the connections of pages have taken. */
  besideBytes(): number;
  /** Resolves when they have taken all that was for them. */
  settle(): Promise<void>;
  /** Sends stream bytes, and adds them to the recorder. */
  send(chunks: Iterable<Uint8Array>): Promise<void>;
  /** Marks the end of a round in the connection. */
  sendRound(round: number): Promise<void>;
  roundEnded(round: RoundSummary): void;
  nextRound(): void;
  judged(verdict: Verdict): void;
}

export class PreCopy {
  readonly #options: PreCopyOptions;
  readonly #bandwidth: BandwidthEstimate;
  readonly #limit: RateLimit;
  readonly #autoConverge: AutoConverge | undefined;
  readonly #judge = new ConvergenceJudge();
  #receivedBytes = 0;
  #limitedBytes: number;
  #onReceived: (() => void) | undefined;

  constructor(options: PreCopyOptions) {
    const { clock, parameters, throttle } = options;
    this.#options = options;
    this.#limitedBytes = this.#sentBytes();
    const nowMs = clock.nowMs();
    this.#bandwidth = new BandwidthEstimate(nowMs);
    this.#limit = new RateLimit(() => parameters()["max-bandwidth"], nowMs);
    if (options.autoConverge) {
      this.#autoConverge = new AutoConverge(parameters, throttle, nowMs, this.#sentBytes());
    }
  }

  /** The destination has decoded so much of the stream. */
  received(bytes: number): void {
    if (bytes === this.#receivedBytes) return;
    this.#receivedBytes = bytes;
    this.#bandwidth.received(bytes + this.#options.besideBytes(), this.#options.clock.nowMs());
    this.#options.recorder.bandwidthBytesPerMs = this.#bandwidth.bytesPerMs;
    const notify = this.#onReceived;
    this.#onReceived = undefined;
    notify?.();
  }

  /** What was measured under another limit says nothing about what comes. */
  bandwidthChanged(): void {
    this.#judge.conditionsChanged();
  }

  /** Resolves when it is time to switch over, and how. `WILL_NOT_CONVERGE` where that was asked for. */
  async run(): Promise<"switch-over" | "postcopy"> {
    const { interrupt, recorder, maxRounds, whenNotConverging } = this.#options;
    for (let round = 1; ; round++) {
      const rates = await this.#round(round);
      interrupt.check();
      if (rates === "postcopy") return rates;
      this.#weigh(round, rates);
      if (recorder.pendingBytes <= this.#thresholdBytes()) return "switch-over";
      if (round === maxRounds) this.#outOfRounds(round);
      if (round >= maxRounds && whenNotConverging === "force") return "switch-over";
      this.#options.nextRound();
    }
  }

  /** Sends what was dirty when the round began, and synchronises. */
  async #round(round: number): Promise<RoundRates | "postcopy"> {
    const { attempt, recorder, clock, throttle } = this.#options;
    const startMs = clock.nowMs();
    const startBytes = this.#sentBytes();
    const before = this.#options.ramCounters();
    const toSendBytes = total(attempt.pending(false));
    if ((await this.#sendDirty(round)) === "postcopy") return "postcopy";
    await this.#barrier(round);
    const unsentBytes = total(attempt.pending(false));
    const pendingBytes = total(attempt.pending(true));
    const nowMs = clock.nowMs();
    const after = this.#options.ramCounters();
    const rates: RoundRates = {
      durationMs: nowMs - startMs,
      workBytes: Math.max(0, toSendBytes - unsentBytes),
      sentBytes: this.#sentBytes() - startBytes,
      dirtyBytes: Math.max(0, pendingBytes - unsentBytes),
      pendingBytes,
    };
    recorder.synchronised(rates.dirtyBytes, rates.durationMs, pendingBytes);
    this.#options.roundEnded({
      round,
      bytes: rates.sentBytes,
      durationMs: rates.durationMs,
      pendingBytes,
      dirtyBytesPerSecond: recorder.dirtyBytesPerMs * 1000,
      bandwidthBytesPerSecond: perSecond(recorder.bandwidthBytesPerMs),
      expectedDowntimeMs: this.#expectedDowntimeMs(),
      duplicatePages: difference(after?.duplicatePages, before?.duplicatePages),
      normalPages: difference(after?.normalPages, before?.normalPages),
      cpuThrottlePercentage: throttle.percentage,
    });
    return rates;
  }

  /**
   * The first round sends everything: what was never sent costs downtime, and sending it early costs none. A later one
   * ends as soon as enough of the rest fits, since it would only be sent twice.
   */
  async #sendDirty(round: number): Promise<"sent" | "postcopy"> {
    const { attempt, recorder, clock, interrupt, sliceBytes } = this.#options;
    for (;;) {
      interrupt.check();
      const pending = attempt.pending(false);
      recorder.pendingBytes = total(pending);
      if (this.#options.postcopyRequested?.() === true && pending.mustPrecopyBytes <= this.#thresholdBytes()) {
        return "postcopy";
      }
      if (recorder.pendingBytes <= (round === 1 ? 0 : unsentShare * this.#thresholdBytes())) return "sent";
      await this.#options.send(attempt.iterate(this.#limit.budgetBytes(sliceBytes, clock.nowMs())));
      this.#account();
      await this.#holdBack();
      await interrupt.wait(this.#options.yieldToHost());
    }
  }

  /** What the connections of pages take later than they are given it counts as well. */
  #account(): void {
    const bytes = this.#sentBytes();
    this.#limit.sent(bytes - this.#limitedBytes, this.#options.clock.nowMs());
    this.#limitedBytes = bytes;
  }

  /** Over all connections. */
  #sentBytes(): number {
    return this.#options.recorder.sentBytes + this.#options.besideBytes();
  }

  /** Waits for as long as the maximum bandwidth asks for; it may change meanwhile. */
  async #holdBack(): Promise<void> {
    const { clock, interrupt } = this.#options;
    for (;;) {
      const delayMs = this.#limit.delayMs(clock.nowMs());
      if (delayMs <= 0 || this.#options.postcopyRequested?.() === true) return;
      await interrupt.sleep(clock, delayMs);
    }
  }

  /**
   * Waits until the destination has decoded all that was sent: nothing hides in buffers when the round is judged. A
   * destination that is alive and gets no further has lost something on the way.
   */
  async #barrier(round: number): Promise<void> {
    const { clock, interrupt, recorder, peerTimeoutMs } = this.#options;
    await this.#options.settle();
    await this.#options.sendRound(round);
    while (this.#receivedBytes < recorder.sentBytes) {
      const detail = `the destination has decoded nothing for ${peerTimeoutMs} ms`;
      const stop = clock.after(peerTimeoutMs, () => {
        interrupt.raise(migrationError("PEER_SILENT", detail, { side: "source" }));
      });
      try {
        await interrupt.race<void>((resolve) => {
          this.#onReceived = () => resolve();
          return undefined;
        });
      } finally {
        stop();
      }
    }
  }

  /** Slows the guest down where that was asked for, and says how it looks. */
  #weigh(round: number, rates: RoundRates): void {
    const { clock } = this.#options;
    const { dirtyBytes } = rates;
    const isSlower = this.#autoConverge?.synchronised({
      nowMs: clock.nowMs(),
      dirtyBytes,
      sentBytes: this.#sentBytes(),
    });
    // What the guest did at its old speed is no measure of what it will do.
    if (isSlower === true) this.#judge.conditionsChanged();
    else this.#say(round, this.#judge.judge(rates, this.#conditions(), this.#autoConverge?.isExhausted ?? true));
  }

  #outOfRounds(rounds: number): void {
    this.#say(rounds, this.#judge.outOfRounds(this.#conditions()));
    if (this.#options.whenNotConverging !== "fail") return;
    throw migrationError("WILL_NOT_CONVERGE", "the guest dirties memory faster than it can be sent", {
      side: "source",
      expected: `at most ${Math.floor(this.#thresholdBytes())} bytes after ${rounds} rounds`,
      found: `${this.#options.recorder.pendingBytes} bytes`,
    });
  }

  #say(rounds: number, judged: ReturnType<ConvergenceJudge["judge"]>): void {
    if (judged === undefined) return;
    const { recorder, parameters } = this.#options;
    this.#options.judged({
      ...judged,
      rounds,
      pendingBytes: recorder.pendingBytes,
      dirtyBytesPerSecond: recorder.dirtyBytesPerMs * 1000,
      bandwidthBytesPerSecond: perSecond(recorder.bandwidthBytesPerMs),
      "downtime-limit": parameters()["downtime-limit"],
    });
  }

  #conditions(): Conditions {
    const { parameters, recorder, throttle, canThrottle, canPostcopy } = this.#options;
    return {
      thresholdBytes: this.#thresholdBytes(),
      downtimeLimitMs: parameters()["downtime-limit"],
      bandwidthBytesPerMs: recorder.switchoverBytesPerMs(parameters()),
      pageBytes: this.#options.ramCounters()?.pageBytes ?? usualPageBytes,
      throttlePercentage: throttle.percentage,
      canThrottle,
      canPostcopy,
    };
  }

  /** What can be sent within the downtime limit. Nothing while the bandwidth is not known. Bytes. */
  #thresholdBytes(): number {
    const parameters = this.#options.parameters();
    return (this.#options.recorder.switchoverBytesPerMs(parameters) ?? 0) * parameters["downtime-limit"];
  }

  #expectedDowntimeMs(): number | undefined {
    return this.#options.recorder.expectedDowntimeMs(this.#options.parameters());
  }
}

function total(pending: Pending): number {
  return pending.mustPrecopyBytes + pending.canPostcopyBytes;
}

function perSecond(perMs: number | undefined): number | undefined {
  return perMs === undefined ? undefined : perMs * 1000;
}

function difference(after: number | undefined, before: number | undefined): number | undefined {
  return after === undefined || before === undefined ? undefined : after - before;
}
