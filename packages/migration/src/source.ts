// The source: pre-copies a machine while it runs, pauses it, hands it over, and takes it back if that fails.
import type { Manifest, MigrationError, OutgoingAttempt, SectionSummary } from "@godwit/core";
import { EventEmitter } from "eventemitter3";
import { asMigrationError, migrationError } from "./codes.ts";
import type { ControlMessage } from "./control.ts";
import { Conversation } from "./conversation.ts";
import { digestAlgorithm, loadDigest, type StreamDigest } from "./digest.ts";
import { emitSafely } from "./events.ts";
import type { Channel } from "./host.ts";
import { Interrupt } from "./interrupt.ts";
import { defaults, heartbeatMs, type OutgoingOptions, positive, progressMs } from "./options.ts";
import { type Misfit, misfitError, sameManifest } from "./preamble.ts";
import { PreCopy, type Verdict } from "./precopy.ts";
import {
  isSourceOver,
  nextSourceState,
  type SourceEvent,
  type SourceState,
  sourceQueryStatus,
} from "./source-state.ts";
import { type MigrationStatistics, type RoundSummary, SourceRecorder } from "./statistics.ts";
import { compareSums, sumOf } from "./stream-sum.ts";

export interface SourceEvents {
  status: [state: SourceState];
  /** At least four times a second while the migration goes on. */
  progress: [statistics: MigrationStatistics];
  round: [round: RoundSummary];
  /** A section was sent. */
  section: [section: SectionSummary];
  verdict: [verdict: Verdict];
}

export interface SourceReport {
  readonly state: SourceState;
  readonly statistics: MigrationStatistics;
  /** Why the destination refused; it refuses before the first page. */
  readonly misfits: readonly Misfit[];
  /** What the destination noticed, without refusing. */
  readonly warnings: readonly Misfit[];
  readonly sections: readonly SectionSummary[];
  /** The migration is over as `state` says, but the handlers' own clean-up threw this. */
  readonly cleanupError: MigrationError | undefined;
}

export interface OutgoingMigration {
  readonly events: EventEmitter<SourceEvents>;
  readonly state: SourceState;
  statistics(): MigrationStatistics;
  /** Runs the migration to its end, whichever that is: the report's state tells. Only once: `PROTOCOL_ORDER`. */
  run(): Promise<SourceReport>;
  /** Stops, and leaves the machine as if nothing had been. False where it is too late: the machine is given away. */
  cancel(): boolean;
}

/** A migration of this machine to elsewhere. `OPTION_INVALID`. */
export function outgoingMigration(options: OutgoingOptions): OutgoingMigration {
  return new Source(options);
}

class Source implements OutgoingMigration {
  readonly events: EventEmitter<SourceEvents> = new EventEmitter();
  readonly #options: OutgoingOptions;
  readonly #peerTimeoutMs: number;
  readonly #downtimeLimitMs: number;
  readonly #switchoverTimeoutMs: number;
  readonly #preCopyLimits: { readonly sliceBytes: number; readonly maxRounds: number };
  readonly #interrupt = new Interrupt();
  readonly #recorder = new SourceRecorder();
  #state: SourceState = { status: "none" };
  #hasRun = false;
  #conversation: Conversation | undefined;
  #attempt: OutgoingAttempt | undefined;
  #preCopy: PreCopy | undefined;
  #isQuiesced = false;
  #isPaused = false;
  #sectionsTold = 0;
  #receivedBytes = 0;
  #misfits: readonly Misfit[] = [];
  #warnings: readonly Misfit[] = [];
  #cleanupError: MigrationError | undefined;
  #stopProgress: (() => void) | undefined;

  constructor(options: OutgoingOptions) {
    this.#options = options;
    this.#peerTimeoutMs = positive("peerTimeoutMs", options.peerTimeoutMs, defaults.peerTimeoutMs);
    this.#downtimeLimitMs = positive("downtimeLimitMs", options.downtimeLimitMs, defaults.downtimeLimitMs);
    this.#switchoverTimeoutMs = positive(
      "switchoverTimeoutMs",
      options.switchoverTimeoutMs,
      defaults.switchoverTimeoutMs,
    );
    this.#preCopyLimits = {
      sliceBytes: positive("sliceBytes", options.sliceBytes, defaults.sliceBytes),
      maxRounds: positive("maxRounds", options.maxRounds, defaults.maxRounds),
    };
    positive("maxBandwidthBytesPerSecond", options.maxBandwidthBytesPerSecond, Number.POSITIVE_INFINITY);
  }

  get state(): SourceState {
    return this.#state;
  }

  statistics(): MigrationStatistics {
    return this.#recorder.snapshot({
      status: sourceQueryStatus(this.#state),
      nowMs: this.#now(),
      downtimeLimitMs: this.#downtimeLimitMs,
      counters: this.#options.ramCounters?.(),
    });
  }

  cancel(): boolean {
    const { status } = this.#state;
    if (status === "cancelling") return true;
    if (status === "released" || isSourceOver(this.#state)) return false;
    this.#move({ type: "cancel" });
    this.#interrupt.raise(migrationError("MIGRATION_CANCELLED", "the migration was cancelled", { side: "source" }));
    return true;
  }

  async run(): Promise<SourceReport> {
    if (this.#hasRun) throw migrationError("PROTOCOL_ORDER", "a migration runs only once", { side: "source" });
    this.#hasRun = true;
    this.#recorder.startMs = this.#now();
    this.#tellProgress();
    try {
      this.#interrupt.check();
      this.#move({ type: "start" });
      await this.#migrate();
    } catch (error) {
      this.#giveUp(asMigrationError(error, "source"));
    }
    this.#stopProgress?.();
    this.#emit("progress", this.statistics());
    await this.#hangUp();
    return {
      state: this.#state,
      statistics: this.statistics(),
      misfits: this.#misfits,
      warnings: this.#warnings,
      sections: this.#attempt?.sections ?? [],
      cleanupError: this.#cleanupError,
    };
  }

  async #migrate(): Promise<void> {
    const manifest = this.#options.machine.manifest();
    this.#recorder.totalBytes = manifest.ramBlocks.reduce((sum, { bytes }) => sum + bytes, 0);
    const digest = (await this.#interrupt.wait(loadDigest()))();
    const peer = await this.#connect();
    this.#move({ type: "connected" });
    await this.#agree(peer, manifest);
    this.#move({ type: "accepted" });
    const send = (chunks: Iterable<Uint8Array>): Promise<void> => this.#send(peer, digest, chunks);
    const attempt = await this.#setUp(send, manifest);
    this.#move({ type: "set-up" });
    await this.#copyWhileRunning(peer, attempt, send);
    this.#move({ type: "switch-over" });
    await this.#stopMachine();
    this.#move({ type: "paused" });
    await send(attempt.complete());
    await peer.say({ kind: "stream-end", ...sumOf(digest) });
    this.#recorder.sentMs = this.#now();
    this.#recorder.pendingBytes = 0;
    this.#move({ type: "sent" });
    await this.#awaitPrepared(peer, digest);
    // The last moment to turn back. Behind this check and the transition nothing may resume the machine here.
    this.#interrupt.check();
    this.#move({ type: "release" });
    await this.#release(peer);
    this.#move({ type: "resumed" });
    this.#endAttempt(true);
  }

  async #connect(): Promise<Conversation> {
    const { clock } = this.#options;
    const detail = `nobody answers for ${this.#peerTimeoutMs} ms`;
    const stop = clock.after(this.#peerTimeoutMs, () => {
      this.#interrupt.raise(migrationError("PEER_SILENT", detail, { side: "source" }));
    });
    try {
      this.#conversation = new Conversation({
        channel: await this.#interrupt.wait(this.#openChannel()),
        clock,
        side: "source",
        peerTimeoutMs: this.#peerTimeoutMs,
        interrupt: this.#interrupt,
        stream: () => {
          throw migrationError("PROTOCOL_FRAME", "a destination sends no stream", { side: "source" });
        },
        atOnce: (message) => this.#hearReceived(message),
      });
      return this.#conversation;
    } finally {
      stop();
    }
  }

  /** A connection that comes when nobody waits for it any more is closed again. */
  #openChannel(): Promise<Channel> {
    const opening = this.#options.connect();
    opening.then(
      (channel) => {
        if (this.#interrupt.reason !== undefined) channel.abort(this.#interrupt.reason);
      },
      () => {},
    );
    return opening;
  }

  async #agree(peer: Conversation, manifest: Manifest): Promise<void> {
    await this.#interrupt.wait(peer.link.sendMagic());
    await peer.say({
      kind: "offer",
      manifest,
      digest: digestAlgorithm,
      heartbeatMs: heartbeatMs(this.#peerTimeoutMs),
    });
    const answer = await peer.expectSoon("accepted", "refused");
    if (answer.kind === "refused") {
      this.#misfits = answer.misfits;
      throw misfitError(answer.misfits);
    }
    this.#warnings = answer.warnings;
    peer.link.keepAlive(answer.heartbeatMs, () => ({ kind: "alive" }));
  }

  async #setUp(send: (chunks: Iterable<Uint8Array>) => Promise<void>, manifest: Manifest): Promise<OutgoingAttempt> {
    this.#recorder.setupMs = this.#now();
    const attempt = this.#options.machine.outgoing();
    this.#attempt = attempt;
    await send(attempt.setup());
    // From setup on the registry is frozen. What the destination agreed to must be what is there now.
    if (!sameManifest(manifest, this.#options.machine.manifest())) {
      throw migrationError("MANIFEST_CHANGED", "devices came or went while the migration began", { side: "source" });
    }
    this.#recorder.activeMs = this.#now();
    return attempt;
  }

  async #copyWhileRunning(
    peer: Conversation,
    attempt: OutgoingAttempt,
    send: (chunks: Iterable<Uint8Array>) => Promise<void>,
  ): Promise<void> {
    const options = this.#options;
    this.#preCopy = new PreCopy({
      clock: options.clock,
      interrupt: this.#interrupt,
      recorder: this.#recorder,
      attempt,
      peerTimeoutMs: this.#peerTimeoutMs,
      downtimeLimitMs: this.#downtimeLimitMs,
      maxBandwidthBytesPerSecond: options.maxBandwidthBytesPerSecond,
      ...this.#preCopyLimits,
      whenNotConverging: options.whenNotConverging ?? "continue",
      yieldToHost: () => options.yieldToHost(),
      ramCounters: () => options.ramCounters?.(),
      send,
      sendRound: (round) => peer.say({ kind: "round", round }),
      roundEnded: (round) => this.#emit("round", round),
      nextRound: () => this.#move({ type: "round-ended" }),
      judged: (verdict) => this.#emit("verdict", verdict),
    });
    this.#preCopy.received(this.#receivedBytes);
    await this.#preCopy.run();
  }

  async #stopMachine(): Promise<void> {
    this.#isQuiesced = true;
    await this.#interrupt.wait(this.#options.machine.quiesce());
    this.#interrupt.check();
    this.#recorder.pausedMs = this.#now();
    this.#recorder.bytesAtPause = this.#recorder.sentBytes;
    this.#options.machine.pause();
    this.#isPaused = true;
  }

  async #awaitPrepared(peer: Conversation, digest: StreamDigest): Promise<void> {
    const spentMs = this.#now() - (this.#recorder.pausedMs ?? this.#now());
    const stop = this.#options.clock.after(Math.max(0, this.#switchoverTimeoutMs - spentMs), () => {
      const detail = `the destination is not prepared ${this.#switchoverTimeoutMs} ms after the pause`;
      this.#interrupt.raise(migrationError("SWITCHOVER_TIMEOUT", detail, { side: "source" }));
    });
    try {
      compareSums(sumOf(digest), await peer.expect("prepared"), "source");
    } finally {
      stop();
    }
  }

  async #release(peer: Conversation): Promise<void> {
    await peer.say({ kind: "released" });
    const { prepareMs, commitMs } = await peer.expect("resumed");
    this.#recorder.runningMs = this.#recorder.endMs = this.#now();
    this.#recorder.destinationMs = prepareMs + commitMs;
  }

  async #send(peer: Conversation, digest: StreamDigest, chunks: Iterable<Uint8Array>): Promise<void> {
    for (const chunk of chunks) {
      digest.update(chunk);
      this.#recorder.sentBytes += chunk.length;
      await this.#interrupt.wait(peer.link.sendStream(chunk));
    }
    await this.#interrupt.wait(peer.link.flushStream());
    this.#tellSections();
  }

  #hearReceived(message: ControlMessage): boolean {
    if (message.kind !== "received") return false;
    const { bytes } = message;
    if (bytes < this.#receivedBytes || bytes > this.#recorder.sentBytes) {
      throw migrationError("PROTOCOL_ORDER", "the destination has received what was not sent", {
        side: "source",
        expected: `${this.#receivedBytes} to ${this.#recorder.sentBytes} bytes`,
        found: `${bytes} bytes`,
      });
    }
    this.#receivedBytes = bytes;
    this.#preCopy?.received(bytes);
    return true;
  }

  /** Back to where the machine was before; or, if it is not ours any more, a truthful end. */
  #giveUp(error: MigrationError): void {
    this.#recorder.endMs = this.#now();
    if (this.#state.status === "released") {
      this.#endAttempt(false);
      const destination = this.#conversation?.peerGaveUp === true ? "reported-failure" : "unknown";
      this.#move({ type: "lost", error, destination });
    } else if (!isSourceOver(this.#state)) {
      // Both in one go: between them no guest instruction runs that the dirty tracking, which ends here, would miss.
      this.#endAttempt(false);
      const problem = this.#isQuiesced ? this.#resumeHere() : undefined;
      if (problem !== undefined) this.#move({ type: "fail", error: problem });
      else if (this.#state.status === "cancelling") this.#move({ type: "restored" });
      else this.#move({ type: "fail", error });
    }
  }

  /** What `quiesce` held back goes on only with a resume, and only a machine that stands is resumed. */
  #resumeHere(): MigrationError | undefined {
    try {
      if (!this.#isPaused) this.#options.machine.pause();
      this.#options.machine.resume();
      this.#recorder.runningMs = this.#recorder.endMs = this.#now();
      return undefined;
    } catch (cause) {
      return migrationError("MACHINE_FAILED", "the machine could not be resumed", { side: "source", cause });
    }
  }

  #endAttempt(completed: boolean): void {
    try {
      this.#attempt?.end(completed);
    } catch (error) {
      this.#cleanupError = asMigrationError(error, "source");
    }
  }

  async #hangUp(): Promise<void> {
    const peer = this.#conversation;
    const state = this.#state;
    if (peer?.peerGaveUp === true || state.status === "completed" || state.status === "in-doubt") await peer?.close();
    else if (state.status === "failed") await peer?.close({ kind: "failed", error: state.error.toJSON() });
    else await peer?.close({ kind: "cancelled" });
  }

  #tellSections(): void {
    const sections = this.#attempt?.sections ?? [];
    for (; this.#sectionsTold < sections.length; this.#sectionsTold++) {
      this.#emit("section", sections[this.#sectionsTold] as SectionSummary);
    }
  }

  #tellProgress(): void {
    this.#stopProgress = this.#options.clock.after(progressMs, () => {
      this.#emit("progress", this.statistics());
      this.#tellProgress();
    });
  }

  /** The only place that changes the state. */
  #move(event: SourceEvent): void {
    this.#state = nextSourceState(this.#state, event);
    this.#emit("status", this.#state);
  }

  #emit<K extends keyof SourceEvents>(name: K, ...values: SourceEvents[K]): void {
    emitSafely(this.events, this.#options.clock, name, values);
  }

  #now(): number {
    return this.#options.clock.nowMs();
  }
}
