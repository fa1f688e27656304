// Pre-copy: rounds of sending what is dirty while the machine runs, until what is left fits into the downtime limit.
import type { OutgoingAttempt, Pending } from "@godwit/core";
import { BandwidthEstimate, RateLimit } from "./bandwidth.ts";
import { migrationError } from "./codes.ts";
import type { HostClock, RamCounters } from "./host.ts";
import type { Interrupt } from "./interrupt.ts";
import type { RoundSummary, SourceRecorder } from "./statistics.ts";

/** The migration will not come to its end by itself, and the limit with which it would. */
export interface Verdict {
  readonly verdict: "will-not-converge";
  readonly rounds: number;
  readonly pendingBytes: number;
  readonly dirtyBytesPerSecond: number;
  readonly bandwidthBytesPerSecond: number | undefined;
  readonly downtimeLimitMs: number;
  /** The downtime limit with which it would have switched over now. Milliseconds. */
  readonly neededDowntimeLimitMs: number | undefined;
}

export interface PreCopyOptions {
  readonly clock: HostClock;
  readonly interrupt: Interrupt;
  readonly recorder: SourceRecorder;
  readonly attempt: OutgoingAttempt;
  readonly peerTimeoutMs: number;
  readonly downtimeLimitMs: number;
  readonly maxBandwidthBytesPerSecond: number | undefined;
  readonly sliceBytes: number;
  readonly maxRounds: number;
  readonly whenNotConverging: "continue" | "force" | "fail";
  yieldToHost(): Promise<void>;
  ramCounters(): RamCounters | undefined;
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
  readonly #limit: RateLimit | undefined;
  #receivedBytes = 0;
  #onReceived: (() => void) | undefined;

  constructor(options: PreCopyOptions) {
    this.#options = options;
    const nowMs = options.clock.nowMs();
    const maxRate = options.maxBandwidthBytesPerSecond;
    this.#bandwidth = new BandwidthEstimate(nowMs);
    this.#limit = maxRate === undefined ? undefined : new RateLimit(maxRate, nowMs);
  }

  /** The destination has decoded so much of the stream. */
  received(bytes: number): void {
    if (bytes === this.#receivedBytes) return;
    this.#receivedBytes = bytes;
    this.#bandwidth.received(bytes, this.#options.clock.nowMs());
    this.#options.recorder.bandwidthBytesPerMs = this.#bandwidth.bytesPerMs;
    const notify = this.#onReceived;
    this.#onReceived = undefined;
    notify?.();
  }

  /** Resolves when it is time to switch over. `WILL_NOT_CONVERGE` where that was asked for. */
  async run(): Promise<void> {
    const { interrupt, maxRounds, whenNotConverging } = this.#options;
    for (let round = 1; ; round++) {
      const pendingBytes = await this.#round(round);
      interrupt.check();
      if (pendingBytes <= this.#thresholdBytes()) return;
      if (round === maxRounds) this.#judge(round);
      if (round >= maxRounds && whenNotConverging === "force") return;
      this.#options.nextRound();
    }
  }

  /** Sends what was dirty when the round began, and synchronises. What is dirty then. Bytes. */
  async #round(round: number): Promise<number> {
    const { attempt, recorder, clock } = this.#options;
    const startMs = clock.nowMs();
    const startBytes = recorder.sentBytes;
    const before = this.#options.ramCounters();
    await this.#sendDirty(round);
    await this.#barrier(round);
    const unsentBytes = total(attempt.pending(false));
    const pendingBytes = total(attempt.pending(true));
    const durationMs = clock.nowMs() - startMs;
    const after = this.#options.ramCounters();
    recorder.dirtySyncCount++;
    recorder.pendingBytes = pendingBytes;
    recorder.dirtyBytesPerMs = durationMs > 0 ? Math.max(0, pendingBytes - unsentBytes) / durationMs : 0;
    this.#options.roundEnded({
      round,
      bytes: recorder.sentBytes - startBytes,
      durationMs,
      pendingBytes,
      dirtyBytesPerSecond: recorder.dirtyBytesPerMs * 1000,
      bandwidthBytesPerSecond: perSecond(recorder.bandwidthBytesPerMs),
      expectedDowntimeMs: recorder.expectedDowntimeMs(),
      duplicatePages: difference(after?.duplicatePages, before?.duplicatePages),
      normalPages: difference(after?.normalPages, before?.normalPages),
    });
    return pendingBytes;
  }

  /**
   * The first round sends everything: what was never sent costs downtime, and sending it early costs none. A later one
   * ends as soon as the rest fits, since it would only be sent twice.
   */
  async #sendDirty(round: number): Promise<void> {
    const { attempt, recorder, clock, interrupt, sliceBytes } = this.#options;
    for (;;) {
      interrupt.check();
      recorder.pendingBytes = total(attempt.pending(false));
      if (recorder.pendingBytes <= (round === 1 ? 0 : this.#thresholdBytes())) return;
      const fromBytes = recorder.sentBytes;
      await this.#options.send(attempt.iterate(this.#limit?.sliceBytes(sliceBytes) ?? sliceBytes));
      const delayMs = this.#limit?.delayAfterMs(recorder.sentBytes - fromBytes, clock.nowMs()) ?? 0;
      if (delayMs > 0) await interrupt.sleep(clock, delayMs);
      await interrupt.wait(this.#options.yieldToHost());
    }
  }

  /**
   * Waits until the destination has decoded all that was sent: nothing hides in buffers when the round is judged. A
   * destination that is alive and gets no further has lost something on the way.
   */
  async #barrier(round: number): Promise<void> {
    const { clock, interrupt, recorder, peerTimeoutMs } = this.#options;
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

  /** What can be sent within the downtime limit. Nothing while the bandwidth is not known. Bytes. */
  #thresholdBytes(): number {
    return (this.#options.recorder.bandwidthBytesPerMs ?? 0) * this.#options.downtimeLimitMs;
  }

  #judge(rounds: number): void {
    const { recorder, downtimeLimitMs, whenNotConverging } = this.#options;
    this.#options.judged({
      verdict: "will-not-converge",
      rounds,
      pendingBytes: recorder.pendingBytes,
      dirtyBytesPerSecond: recorder.dirtyBytesPerMs * 1000,
      bandwidthBytesPerSecond: perSecond(recorder.bandwidthBytesPerMs),
      downtimeLimitMs,
      neededDowntimeLimitMs: recorder.expectedDowntimeMs(),
    });
    if (whenNotConverging !== "fail") return;
    throw migrationError("WILL_NOT_CONVERGE", "the guest dirties memory faster than it can be sent", {
      side: "source",
      expected: `at most ${Math.floor(this.#thresholdBytes())} bytes after ${rounds} rounds`,
      found: `${recorder.pendingBytes} bytes`,
    });
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
