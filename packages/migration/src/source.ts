// The source: pre-copies a machine while it runs, pauses it, hands it over, and takes it back if that fails.
import type { Manifest, MigrationError, OutgoingAttempt, SectionSummary } from "@godwit/core";
import { EventEmitter } from "eventemitter3";
import { BufferedBytes, mostChannelBytes } from "./buffered.ts";
import { agreedModes, type Capabilities, checkedCapabilities } from "./capabilities.ts";
import { asMigrationError, migrationError } from "./codes.ts";
import { CpuThrottle } from "./converge/throttle.ts";
import type { Verdict } from "./converge/verdict.ts";
import { emitSafely } from "./events.ts";
import { loadDigests } from "./godwit/digest.ts";
import { type Misfit, misfitError, sameManifest } from "./godwit/preamble.ts";
import { godwitSourceWire } from "./godwit/source-wire.ts";
import type { Channel, MigratableRam } from "./host.ts";
import { Interrupt } from "./interrupt.ts";
import { capabilityHost, defaults, type OutgoingOptions, positive, progressMs, ramCountersOf } from "./options.ts";
import { type OwnershipOffer, SourceOwnership } from "./ownership/holder.ts";
import { type OwnershipConnection, type OwnershipResolution, resolveOwnership } from "./ownership/resolve.ts";
import { PageSenders } from "./pages/page-senders.ts";
import { checkedParameters, type MigrationParameters } from "./parameters.ts";
import { SourceAhead } from "./postcopy/source-ahead.ts";
import type { SourcePagesWire } from "./postcopy/wire.ts";
import { PreCopy } from "./precopy.ts";
import { tellEvery } from "./progress.ts";
import { commandNumber, postcopyAdvise } from "./qemu/commands.ts";
import { qemuSourceWire } from "./qemu/source-wire.ts";
import { type MigrationInfo, queryMigrate } from "./query.ts";
import {
  isSourceOver,
  nextSourceState,
  type SourceEvent,
  type SourceState,
  sourceQueryStatus,
} from "./source-state.ts";
import { type MigrationStatistics, type RoundSummary, SourceRecorder } from "./statistics.ts";
import type { Farewell, Resumed, SourceWire, WireCommand } from "./wire.ts";

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
  /** What QEMU's `query-migrate` would answer, by its keys. */
  query(): MigrationInfo;
  readonly capabilities: Capabilities;
  readonly parameters: MigrationParameters;
  /** QEMU's `migrate-set-parameters`, also while it runs. All or nothing: `OPTION_INVALID`. */
  setParameters(parameters: Partial<MigrationParameters>): void;
  /** QEMU's `migrate-continue`: what waits in `pre-switchover` goes on. False where nothing waits. */
  continue(): boolean;
  /** Runs the migration to its end, whichever that is: the report's state tells. Only once: `PROTOCOL_ORDER`. */
  run(): Promise<SourceReport>;
  /**
   * QEMU's `migrate-start-postcopy`: the machine goes now, and its pages follow. `CAPABILITY_CONFLICT` without the
   * capability postcopy-ram, `PROTOCOL_ORDER` where it is too early or too late.
   */
  startPostcopy(): void;
  /**
   * QEMU's `migrate resume`: goes on with a post-copy that is paused, over another connection. Resolves when pages flow
   * again; rejects with the reason why they do not, and it may be tried again. `PROTOCOL_ORDER` where nothing is paused.
   */
  recover(connect: () => Promise<Channel>): Promise<void>;
  /** Gives up a post-copy that is paused: the report is then in doubt. False where nothing is paused. */
  abandon(): boolean;
  /** Stops, and leaves the machine as if nothing had been. False where it is too late: the machine is given away. */
  cancel(): boolean;
  /**
   * In doubt: asks the destination over a new connection, as often as is needed. "taken" ends in `completed`; after
   * "never" the machine runs here again and the state is `failed`, with the error that led into the doubt; "lost" in
   * `lost`. Otherwise it stays in doubt. `PROTOCOL_ORDER` where there is no doubt, or no ownership record.
   */
  resolve(by: OwnershipConnection): Promise<OwnershipResolution>;
}

/** A migration of this machine to elsewhere. `OPTION_INVALID`, `CAPABILITY_CONFLICT`. */
export function outgoingMigration(options: OutgoingOptions): OutgoingMigration {
  return new Source(options);
}

class Source implements OutgoingMigration {
  readonly events: EventEmitter<SourceEvents> = new EventEmitter();
  readonly #options: OutgoingOptions;
  readonly #peerTimeoutMs: number;
  readonly capabilities: Capabilities;
  #parameters: MigrationParameters;
  readonly #throttle: CpuThrottle;
  /** Ends the wait in `pre-switchover`. */
  #goOn: (() => void) | undefined;
  #switchoverMs: number | undefined;
  readonly #buffered = new BufferedBytes();
  readonly #switchoverTimeoutMs: number;
  readonly #preCopyLimits: { readonly sliceBytes: number; readonly maxRounds: number };
  readonly #interrupt = new Interrupt();
  readonly #recorder = new SourceRecorder();
  #state: SourceState = { status: "none" };
  #hasRun = false;
  #wire: SourceWire | undefined;
  #pages: PageSenders | undefined;
  #attempt: OutgoingAttempt | undefined;
  readonly #ownership: SourceOwnership;
  #offer: OwnershipOffer | undefined;
  #isResolving = false;
  #preCopy: PreCopy | undefined;
  #isQuiesced = false;
  #isPaused = false;
  #isPostcopyWanted = false;
  #ahead: SourceAhead | undefined;
  #sectionsTold = 0;
  #decodedBytes = 0;
  #misfits: readonly Misfit[] = [];
  #warnings: readonly Misfit[] = [];
  #cleanupError: MigrationError | undefined;
  #stopProgress: (() => void) | undefined;

  constructor(options: OutgoingOptions) {
    this.#options = options;
    this.#peerTimeoutMs = positive("peerTimeoutMs", options.peerTimeoutMs, defaults.peerTimeoutMs);
    this.#parameters = checkedParameters(options.parameters);
    this.#ownership = new SourceOwnership(options.ownership, {
      clock: options.clock,
      timeoutMs: this.#peerTimeoutMs,
    });
    this.capabilities = checkedCapabilities(options.capabilities, capabilityHost(options), "source");
    this.#throttle = new CpuThrottle(options.machine);
    this.#switchoverTimeoutMs = positive(
      "switchoverTimeoutMs",
      options.switchoverTimeoutMs,
      defaults.switchoverTimeoutMs,
    );
    this.#preCopyLimits = {
      sliceBytes: sliceBytesOf(options, this.capabilities),
      maxRounds: positive("maxRounds", options.maxRounds, defaults.maxRounds),
    };
  }

  get state(): SourceState {
    return this.#state;
  }

  statistics(): MigrationStatistics {
    this.#recorder.postcopyRequests = this.#options.ram?.statistics().sent?.postcopyRequests ?? 0;
    return this.#recorder.snapshot({
      status: sourceQueryStatus(this.#state),
      nowMs: this.#now(),
      parameters: this.#parameters,
      counters: ramCountersOf(this.#options),
      throttlePercentage: this.#throttle.percentage,
      bufferedBytes: this.#buffered.bytes,
      mostBufferedBytes: this.#buffered.mostBytes,
      error: "error" in this.#state ? describe(this.#state.error) : undefined,
    });
  }

  query(): MigrationInfo {
    return queryMigrate(this.statistics());
  }

  get parameters(): MigrationParameters {
    return this.#parameters;
  }

  setParameters(parameters: Partial<MigrationParameters>): void {
    const before = this.#parameters;
    this.#parameters = checkedParameters(parameters, before);
    const isOther = (["max-bandwidth", "avail-switchover-bandwidth"] as const).some(
      (name) => this.#parameters[name] !== before[name],
    );
    if (isOther) this.#preCopy?.bandwidthChanged();
  }

  startPostcopy(): void {
    const { status } = this.#state;
    if (!this.capabilities["postcopy-ram"]) {
      throw migrationError("CAPABILITY_CONFLICT", "post-copy needs the capability postcopy-ram", { side: "source" });
    }
    if (status !== "setup" && status !== "active") {
      const detail = "post-copy is begun while a machine's memory is copied";
      throw migrationError("PROTOCOL_ORDER", detail, { side: "source", expected: "active", found: status });
    }
    this.#isPostcopyWanted = true;
  }

  recover(connect: () => Promise<Channel>): Promise<void> {
    if (this.#ahead !== undefined) return this.#ahead.recover(connect);
    return Promise.reject(migrationError("PROTOCOL_ORDER", "there is no post-copy to recover", { side: "source" }));
  }

  abandon(): boolean {
    return this.#ahead?.abandon() ?? false;
  }

  continue(): boolean {
    if (this.#state.status !== "pre-switchover") return false;
    this.#goOn?.();
    return true;
  }

  cancel(): boolean {
    const { status } = this.#state;
    if (status === "cancelling") return true;
    if (isGivenAway(status) || isSourceOver(this.#state)) return false;
    this.#move({ type: "cancel" });
    this.#interrupt.raise(migrationError("MIGRATION_CANCELLED", "the migration was cancelled", { side: "source" }));
    return true;
  }

  async resolve(by: OwnershipConnection): Promise<OwnershipResolution> {
    const { ownership, clock } = this.#options;
    const state = this.#state;
    if (state.status !== "in-doubt" || ownership === undefined || this.#isResolving) {
      const detail = ownership === undefined ? "there is no ownership record" : "there is no doubt to resolve";
      throw migrationError("PROTOCOL_ORDER", detail, { side: "source" });
    }
    this.#isResolving = true;
    try {
      const { machine, log } = ownership;
      const resolution = await resolveOwnership({
        ...by,
        machine,
        log,
        clock,
        copy: "kept",
        peerTimeoutMs: this.#peerTimeoutMs,
      });
      if (resolution.outcome === "taken") this.#move({ type: "taken" });
      else if (resolution.outcome === "lost") this.#move({ type: "owner-lost", error: state.error });
      else if (resolution.outcome === "owned")
        this.#move({ type: "returned", error: this.#resumeHere() ?? state.error });
      return resolution;
    } finally {
      this.#isResolving = false;
    }
  }

  async run(): Promise<SourceReport> {
    if (this.#hasRun) throw migrationError("PROTOCOL_ORDER", "a migration runs only once", { side: "source" });
    this.#hasRun = true;
    this.#recorder.startMs = this.#now();
    this.#stopProgress = tellEvery(this.#options.clock, progressMs, () => this.#emit("progress", this.statistics()));
    try {
      this.#interrupt.check();
      this.#move({ type: "start" });
      await this.#migrate();
    } catch (error) {
      await this.#giveUp(asMigrationError(error, "source"));
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
    this.#offer = await this.#interrupt.wait(this.#ownership.offer());
    const wire = await this.#connect();
    this.#move({ type: "connected" });
    await this.#agree(wire, manifest);
    this.#move({ type: "accepted" });
    const attempt = await this.#setUp(wire, manifest);
    this.#move({ type: "set-up" });
    const how = await this.#copyWhileRunning(wire, attempt);
    this.#move({ type: "switch-over" });
    await this.#stopMachine();
    if (this.capabilities["pause-before-switchover"]) await this.#awaitContinue();
    this.#move({ type: "paused" });
    this.#switchoverMs = this.#now();
    this.#ahead = how === "postcopy" ? this.#goAhead(wire, attempt) : undefined;
    const last = await (this.#ahead?.sendPackage(wire) ?? this.#sendRest(wire, attempt));
    this.#recorder.sentMs = this.#now();
    this.#recorder.pendingBytes = this.#ahead === undefined ? 0 : attempt.pending(false).canPostcopyBytes;
    if (this.#ahead !== undefined) this.#recorder.bytesAtPostcopy = this.#recorder.sentBytes;
    this.#move({ type: "sent" });
    await this.#awaitPrepared(wire);
    this.#interrupt.check();
    this.#move({ type: "release" });
    await this.#interrupt.wait(this.#ownership.release());
    // The last moment to turn back. Behind this check and the transition nothing may resume the machine here, unless the
    // destination has said that it never will.
    this.#interrupt.check();
    this.#move({ type: "released" });
    await (this.#ahead?.follow(last) ?? this.#release(wire, last));
    this.#recorder.endMs = this.#now();
    this.#recorder.pendingBytes = 0;
    this.#move({ type: "resumed" });
    this.#endAttempt(true);
  }

  async #connect(): Promise<SourceWire> {
    const { clock } = this.#options;
    const digests = await this.#interrupt.wait(loadDigests());
    const detail = `nobody answers for ${this.#peerTimeoutMs} ms`;
    const stop = clock.after(this.#peerTimeoutMs, () => {
      this.#interrupt.raise(migrationError("PEER_SILENT", detail, { side: "source" }));
    });
    try {
      const options = {
        channel: await this.#interrupt.wait(this.#openChannel()),
        clock,
        peerTimeoutMs: this.#peerTimeoutMs,
        interrupt: this.#interrupt,
        buffered: this.#buffered,
        decoded: (bytes: number) => {
          this.#decodedBytes = bytes;
          this.#preCopy?.received(bytes);
        },
      };
      const { ram } = this.#options;
      this.#wire =
        this.#options.peer === "qemu"
          ? qemuSourceWire({ ...options, blocks: () => ram?.blocks ?? [], pageBytes: ram?.pageBytes })
          : godwitSourceWire(options, digests);
      return this.#wire;
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

  async #agree(wire: SourceWire, manifest: Manifest): Promise<void> {
    const modes = agreedModes(this.capabilities, this.#parameters);
    const { refused, warnings } = await wire.agree(manifest, modes, this.#offer);
    this.#misfits = refused;
    this.#warnings = warnings;
    if (refused.length > 0) throw misfitError(refused);
  }

  async #setUp(wire: SourceWire, manifest: Manifest): Promise<OutgoingAttempt> {
    this.#recorder.setupMs = this.#now();
    const { ram, machine } = this.#options;
    const { xbzrle, "postcopy-ram": postcopy } = this.capabilities;
    ram?.sendBy({ postcopy, ...(xbzrle && { xbzrle: { cacheBytes: this.#parameters["xbzrle-cache-size"] } }) });
    await this.#openPages(wire);
    const attempt = machine.outgoing({ reuse: true });
    this.#attempt = attempt;
    await this.#send(wire, attempt.setup([...wire.opening, ...this.#advice(wire)]));
    // From setup on the registry is frozen. What the destination agreed to must be what is there now.
    if (!sameManifest(manifest, this.#options.machine.manifest())) {
      throw migrationError("MANIFEST_CHANGED", "devices came or went while the migration began", { side: "source" });
    }
    this.#recorder.activeMs = this.#now();
    return attempt;
  }

  /** Before the first page the destination must know that some may be dropped again. */
  #advice({ opening }: SourceWire): WireCommand[] {
    const { ram } = this.#options;
    const isSaid = opening.some(({ command }) => command === commandNumber.postcopyAdvise);
    if (!this.capabilities["postcopy-ram"] || ram === undefined || isSaid) return [];
    return [postcopyAdvise({ pageSizes: ram.pageBytes, targetPageBytes: ram.pageBytes })];
  }

  #goAhead(wire: SourceWire, attempt: OutgoingAttempt): SourceAhead {
    const { clock, ram, yieldToHost, connect } = this.#options;
    const options = {
      clock,
      // The capability postcopy-ram needs it.
      ram: ram as MigratableRam,
      attempt,
      peerTimeoutMs: this.#peerTimeoutMs,
      hasUrgent: this.capabilities["postcopy-preempt"],
      parameters: () => this.#parameters,
      yieldToHost: () => yieldToHost(),
      connect: () => connect(),
      sentBytes: () => this.#recorder.sentBytes,
      buffered: this.#buffered,
      sentUrgent: (bytes: number) => {
        this.#recorder.urgentBytes += bytes;
      },
      send: async (to: SourcePagesWire, chunks: Iterable<Uint8Array>) => {
        await this.#send(to, chunks);
        if (isGivenAway(this.#state.status)) this.#recorder.pendingBytes = attempt.pending(false).canPostcopyBytes;
      },
      move: (event: SourceEvent) => this.#move(event),
      running: (resumed: Resumed | undefined) => this.#runsThere(resumed),
    };
    return new SourceAhead(options, wire, this.#interrupt);
  }

  async #openPages(wire: SourceWire): Promise<void> {
    const { sendOver } = this.#options;
    if (!this.capabilities.multifd || sendOver === undefined) return;
    this.#pages = new PageSenders({
      channels: this.#parameters["multifd-channels"],
      clock: this.#options.clock,
      interrupt: this.#interrupt,
      peerTimeoutMs: this.#peerTimeoutMs,
      wire,
      buffered: this.#buffered,
      connect: () => this.#openChannel(),
    });
    await this.#pages.open();
    sendOver(this.#pages.sinks);
  }

  async #copyWhileRunning(wire: SourceWire, attempt: OutgoingAttempt): Promise<"switch-over" | "postcopy"> {
    const options = this.#options;
    this.#preCopy = new PreCopy({
      clock: options.clock,
      interrupt: this.#interrupt,
      recorder: this.#recorder,
      attempt,
      peerTimeoutMs: this.#peerTimeoutMs,
      parameters: () => this.#parameters,
      autoConverge: this.capabilities["auto-converge"],
      throttle: this.#throttle,
      canThrottle: options.machine.throttle !== undefined,
      canPostcopy: this.capabilities["postcopy-ram"],
      postcopyRequested: () => this.#isPostcopyWanted,
      ...this.#preCopyLimits,
      whenNotConverging: options.whenNotConverging ?? "continue",
      yieldToHost: () => options.yieldToHost(),
      ramCounters: () => ramCountersOf(options),
      besideBytes: () => this.#pages?.takenBytes ?? 0,
      settle: async () => await this.#pages?.empty(),
      send: (chunks) => this.#send(wire, chunks),
      sendRound: (round) => wire.endRound(round, (command) => this.#command(wire, attempt, command)),
      roundEnded: (round) => this.#emit("round", round),
      nextRound: () => this.#move({ type: "round-ended" }),
      judged: (verdict) => this.#emit("verdict", verdict),
    });
    this.#preCopy.received(this.#decodedBytes);
    return await this.#preCopy.run();
  }

  async #stopMachine(): Promise<void> {
    this.#isQuiesced = true;
    await this.#interrupt.wait(this.#options.machine.quiesce());
    this.#interrupt.check();
    this.#recorder.pausedMs = this.#now();
    this.#recorder.bytesAtPause = this.#recorder.sentBytes;
    this.#recorder.multifdBytesAtPause = ramCountersOf(this.#options)?.multifdBytes;
    this.#options.machine.pause();
    this.#isPaused = true;
    this.#unthrottle();
  }

  async #awaitContinue(): Promise<void> {
    this.#move({ type: "held" });
    await this.#interrupt.race<void>((resolve) => {
      this.#goOn = () => resolve();
      return undefined;
    });
  }

  async #awaitPrepared(wire: SourceWire): Promise<void> {
    const spentMs = this.#now() - (this.#switchoverMs ?? this.#now());
    const stop = this.#options.clock.after(Math.max(0, this.#switchoverTimeoutMs - spentMs), () => {
      const detail = `the destination is not prepared ${this.#switchoverTimeoutMs} ms after the pause`;
      this.#interrupt.raise(migrationError("SWITCHOVER_TIMEOUT", detail, { side: "source" }));
    });
    try {
      await (this.#ahead?.packaged() ?? wire.prepared());
    } finally {
      stop();
    }
  }

  async #release(wire: SourceWire, last: Uint8Array | undefined): Promise<void> {
    if (last !== undefined) this.#recorder.sentBytes += last.length;
    this.#runsThere(await wire.release(last));
  }

  #runsThere({ prepareMs, commitMs }: Partial<Resumed> = {}): void {
    this.#recorder.runningMs = this.#now();
    if (prepareMs !== undefined && commitMs !== undefined) this.#recorder.destinationMs = prepareMs + commitMs;
  }

  async #send(wire: SourcePagesWire, chunks: Iterable<Uint8Array>): Promise<void> {
    for (const chunk of chunks) await this.#sendChunk(wire, chunk);
    await wire.flush();
    this.#tellSections();
  }

  async #sendChunk(wire: SourcePagesWire, chunk: Uint8Array): Promise<void> {
    this.#recorder.sentBytes += chunk.length;
    await wire.send(chunk);
    await this.#pages?.room();
  }

  async #command(wire: SourceWire, attempt: OutgoingAttempt, command: WireCommand): Promise<void> {
    await this.#sendChunk(wire, attempt.command(command));
    await wire.flush();
  }

  /** What is left, the machine standing. Gives what lets the destination run, where that is for the wire to hold back. */
  async #sendRest(wire: SourceWire, attempt: OutgoingAttempt): Promise<Uint8Array | undefined> {
    let last: Uint8Array | undefined;
    for (const chunk of attempt.complete()) {
      if (last !== undefined) await this.#sendChunk(wire, last);
      // A chunk is ours until the next one is asked for; what is held back must outlive that.
      last = wire.runsOnLast ? chunk.slice() : undefined;
      if (last === undefined) await this.#sendChunk(wire, chunk);
    }
    await wire.flush();
    this.#tellSections();
    await this.#pages?.empty();
    await wire.end();
    return last;
  }

  /** Back to where the machine was before; or, if it is not ours any more, a truthful end. */
  async #giveUp(error: MigrationError): Promise<void> {
    this.#recorder.endMs = this.#now();
    this.#unthrottle();
    if (isGivenAway(this.#state.status)) {
      const isReturned = this.#state.status === "released" && this.#wire?.peerWillNever === true;
      const isOurs = isReturned && (await this.#takeBack());
      this.#endAttempt(false);
      if (isOurs) return this.#move({ type: "returned", error: this.#resumeHere() ?? error });
      const destination = this.#wire?.peerGaveUp === true ? "reported-failure" : "unknown";
      this.#move({ type: "lost", error, destination });
    } else if (!isSourceOver(this.#state)) {
      // The word was not said: nobody else can run it, whatever becomes of the record.
      await this.#takeBack();
      // Both in one go: between them no guest instruction runs that the dirty tracking, which ends here, would miss.
      this.#endAttempt(false);
      const problem = this.#isQuiesced ? this.#resumeHere() : undefined;
      if (problem !== undefined) this.#move({ type: "fail", error: problem });
      else if (this.#state.status === "cancelling") this.#move({ type: "restored" });
      else this.#move({ type: "fail", error });
    }
  }

  /** True when the record says again that the machine is this side's. */
  async #takeBack(): Promise<boolean> {
    try {
      await this.#ownership.takeBack();
      return true;
    } catch (error) {
      this.#cleanupError = asMigrationError(error, "source");
      return false;
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

  /** Nothing but a running pre-copy slows a machine down, wherever it runs next. */
  #unthrottle(): void {
    try {
      this.#throttle.release();
    } catch (error) {
      this.#cleanupError = asMigrationError(error, "source");
    }
  }

  async #hangUp(): Promise<void> {
    if (this.#state.status !== "completed") this.#ahead?.end(this.#interrupt.reason);
    // After a recovery the connection is another one, which knows no farewell but its end.
    const { kind } = farewellOf(this.#state);
    const later = this.#ahead?.wire;
    if (later === undefined || later === this.#wire) await this.#wire?.close(farewellOf(this.#state));
    else await later.close({ kind: kind === "completed" ? kind : "in-doubt" });
    // After the last word: a broken channel must not be all that the destination hears of it.
    if (this.#state.status === "completed") void this.#pages?.close();
    else this.#pages?.abort(this.#interrupt.reason);
  }

  #tellSections(): void {
    const sections = this.#attempt?.sections ?? [];
    for (; this.#sectionsTold < sections.length; this.#sectionsTold++) {
      this.#emit("section", sections[this.#sectionsTold] as SectionSummary);
    }
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

/** The destination may run the machine, or does. */
function isGivenAway(status: SourceState["status"]): boolean {
  return status === "released" || status.startsWith("postcopy-");
}

function farewellOf(state: SourceState): Farewell {
  if (state.status === "failed") return { kind: "failed", error: state.error };
  const { status } = state;
  return { kind: status === "completed" || status === "in-doubt" || status === "lost" ? status : "cancelled" };
}

/** A slice may go over one of the channels altogether, which must have room for it. */
function sliceBytesOf(options: OutgoingOptions, { multifd }: Capabilities): number {
  const chosen = positive("sliceBytes", options.sliceBytes, defaults.sliceBytes);
  return multifd ? Math.min(chosen, mostChannelBytes / 2) : chosen;
}

function describe(error: MigrationError): { description: string; blockedReasons: readonly string[] } {
  return { description: error.message, blockedReasons: error.code === "DEVICE_UNMIGRATABLE" ? [error.message] : [] };
}
