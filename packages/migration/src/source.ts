// The source: pre-copies a machine while it runs, pauses it, hands it over, and takes it back if that fails.
import type { Manifest, MigrationError, OutgoingAttempt } from "@godwit/core";
import { EventEmitter } from "eventemitter3";
import { BufferedBytes, mostChannelBytes } from "./buffered.ts";
import { agreedModes, type Capabilities, checkedCapabilities } from "./capabilities.ts";
import { asMigrationError, migrationError, overFor } from "./codes.ts";
import { emitSafely } from "./events.ts";
import { type Misfit, misfitError, sameManifest } from "./godwit/preamble.ts";
import type { Channel, MigratableRam } from "./host.ts";
import { Interrupt } from "./interrupt.ts";
import { orAborted } from "./opening.ts";
import {
  capabilityHost,
  defaults,
  type OutgoingOptions,
  positive,
  progressMs,
  ramCountersOf,
  timeout,
} from "./options.ts";
import { type OwnershipOffer, SourceOwnership } from "./ownership/holder.ts";
import { type OwnershipConnection, type OwnershipResolution, resolveOwnership } from "./ownership/resolve.ts";
import { checkedParameters, type MigrationParameters } from "./parameters.ts";
import { SourceAhead } from "./postcopy/source-ahead.ts";
import type { SourcePagesWire } from "./postcopy/wire.ts";
import { PreCopy } from "./precopy.ts";
import { tellEvery } from "./progress.ts";
import { commandNumber, postcopyAdvise } from "./qemu/commands.ts";
import { type MigrationInfo, queryMigrate } from "./query.ts";
import { connectSource } from "./source-connection.ts";
import type { OutgoingMigration, SourceEvents, SourceReport } from "./source-contract.ts";
import { SourceMachine } from "./source-machine.ts";
import {
  isSourceOver,
  nextSourceState,
  type SourceEvent,
  type SourceState,
  sourceQueryStatus,
} from "./source-state.ts";
import { SourceStream } from "./source-stream.ts";
import { type MigrationStatistics, SourceRecorder } from "./statistics.ts";
import type { Farewell, Resumed, SourceWire, WireCommand } from "./wire.ts";

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
  /** As they were when the destination was asked. */
  #agreed: MigrationParameters;
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
  readonly #machine: SourceMachine;
  readonly #stream: SourceStream;
  #wire: SourceWire | undefined;
  readonly #ownership: SourceOwnership;
  #offer: OwnershipOffer | undefined;
  #isResolving = false;
  #preCopy: PreCopy | undefined;
  #isPostcopyWanted = false;
  #ahead: SourceAhead | undefined;
  #decodedBytes = 0;
  #misfits: readonly Misfit[] = [];
  #warnings: readonly Misfit[] = [];
  #stopProgress: (() => void) | undefined;

  constructor(options: OutgoingOptions) {
    this.#options = options;
    this.#peerTimeoutMs = timeout("peerTimeoutMs", options.peerTimeoutMs, defaults.peerTimeoutMs);
    this.#agreed = this.#parameters = checkedParameters(options.parameters);
    this.#ownership = new SourceOwnership(options.ownership, {
      clock: options.clock,
      timeoutMs: this.#peerTimeoutMs,
    });
    this.capabilities = checkedCapabilities(options.capabilities, capabilityHost(options), "source");
    this.#machine = new SourceMachine(options.machine, options.ram);
    this.#stream = new SourceStream({
      clock: options.clock,
      interrupt: this.#interrupt,
      peerTimeoutMs: this.#peerTimeoutMs,
      buffered: this.#buffered,
      recorder: this.#recorder,
      connect: () => this.#openChannel(),
      sectionSent: (section) => this.#emit("section", section),
    });
    this.#switchoverTimeoutMs = timeout(
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
      throttlePercentage: this.#machine.throttle.percentage,
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
      this.#step({ type: "start" });
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
      sections: this.#stream.sections,
      cleanupError: this.#machine.cleanupError,
    };
  }

  async #migrate(): Promise<void> {
    // No manifest goes to a QEMU: there is nobody to compare it.
    const manifest = this.#options.machine.manifest(this.#options.peer === "qemu" ? {} : { needed: true });
    this.#recorder.totalBytes = manifest.ramBlocks.reduce((sum, { bytes }) => sum + bytes, 0);
    this.#offer = await this.#interrupt.wait(this.#ownership.offer());
    const wire = await this.#connect();
    // Not a step like the others: the destination can be told of a cancel only when it has heard who we are.
    this.#move({ type: "connected" });
    await this.#agree(wire, manifest);
    this.#step({ type: "accepted" });
    const attempt = await this.#setUp(wire, manifest);
    this.#step({ type: "set-up" });
    const how = await this.#copyWhileRunning(wire, attempt);
    this.#step({ type: "switch-over" });
    await this.#stopMachine();
    if (this.capabilities["pause-before-switchover"]) await this.#awaitContinue();
    this.#step({ type: "paused" });
    this.#switchoverMs = this.#now();
    this.#ahead = how === "postcopy" ? this.#goAhead(wire, attempt) : undefined;
    const last = await (this.#ahead?.sendPackage(wire) ?? this.#stream.sendRest(wire, attempt));
    this.#recorder.sentMs = this.#now();
    this.#recorder.pendingBytes = this.#ahead === undefined ? 0 : attempt.pending(false).canPostcopyBytes;
    if (this.#ahead !== undefined) this.#recorder.bytesAtPostcopy = this.#recorder.sentBytes;
    this.#step({ type: "sent" });
    await this.#awaitPrepared(wire);
    this.#interrupt.check();
    this.#step({ type: "release" });
    await this.#interrupt.wait(this.#ownership.release());
    // The last moment to turn back. Behind this check and the transition nothing may resume the machine here, unless the
    // destination has said that it never will.
    this.#interrupt.check();
    this.#move({ type: "released" });
    await (this.#ahead?.follow(last) ?? this.#release(wire, last));
    this.#recorder.endMs = this.#now();
    this.#recorder.pendingBytes = 0;
    this.#move({ type: "resumed" });
    this.#machine.endAttempt(true);
  }

  async #connect(): Promise<SourceWire> {
    const { clock, peer, ram } = this.#options;
    this.#wire = await connectSource({
      peer,
      ram,
      clock,
      peerTimeoutMs: this.#peerTimeoutMs,
      interrupt: this.#interrupt,
      buffered: this.#buffered,
      connect: () => this.#openChannel(),
      decoded: (bytes: number) => {
        this.#decodedBytes = bytes;
        this.#preCopy?.received(bytes);
      },
    });
    return this.#wire;
  }

  #openChannel(): Promise<Channel> {
    return orAborted(this.#options.connect(), () => this.#interrupt.reason);
  }

  async #agree(wire: SourceWire, manifest: Manifest): Promise<void> {
    // What both sides must do alike is what is agreed on here, whatever becomes of the parameters.
    this.#agreed = this.#parameters;
    const modes = agreedModes(this.capabilities, this.#agreed);
    const { isRefused, misfits } = await wire.agree(manifest, modes, this.#offer);
    if (!isRefused) this.#warnings = misfits;
    else {
      this.#misfits = misfits;
      throw misfitError(misfits);
    }
  }

  async #setUp(wire: SourceWire, manifest: Manifest): Promise<OutgoingAttempt> {
    this.#recorder.setupMs = this.#now();
    const { sendOver } = this.#options;
    const { xbzrle, multifd, "postcopy-ram": postcopy } = this.capabilities;
    this.#machine.sendBy({
      postcopy,
      ...(xbzrle && { xbzrle: { cacheBytes: this.#parameters["xbzrle-cache-size"] } }),
    });
    if (multifd && sendOver !== undefined) {
      sendOver(await this.#stream.openPages(wire, this.#agreed["multifd-channels"]));
    }
    const attempt = this.#machine.begin();
    this.#stream.begin(attempt);
    await this.#stream.send(wire, attempt.setup([...wire.opening, ...this.#advice(wire)]));
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
        await this.#stream.send(to, chunks);
        if (isGivenAway(this.#state.status)) this.#recorder.pendingBytes = attempt.pending(false).canPostcopyBytes;
      },
      move: (event: SourceEvent) => this.#move(event),
      running: (resumed: Resumed | undefined) => this.#runsThere(resumed),
    };
    return new SourceAhead(options, wire, this.#interrupt);
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
      throttle: this.#machine.throttle,
      canThrottle: options.machine.throttle !== undefined,
      canPostcopy: this.capabilities["postcopy-ram"],
      postcopyRequested: () => this.#isPostcopyWanted,
      ...this.#preCopyLimits,
      whenNotConverging: options.whenNotConverging ?? "continue",
      yieldToHost: () => options.yieldToHost(),
      ramCounters: () => ramCountersOf(options),
      besideBytes: () => this.#stream.besideBytes,
      settle: () => this.#stream.settle(),
      send: (chunks) => this.#stream.send(wire, chunks),
      sendRound: (round) => wire.endRound(round, (command) => this.#stream.command(wire, attempt, command)),
      roundEnded: (round) => this.#emit("round", round),
      nextRound: () => this.#move({ type: "round-ended" }),
      judged: (verdict) => this.#emit("verdict", verdict),
    });
    this.#preCopy.received(this.#decodedBytes);
    return await this.#preCopy.run();
  }

  async #stopMachine(): Promise<void> {
    await this.#machine.stop(this.#interrupt, () => {
      this.#recorder.pausedMs = this.#now();
      this.#recorder.bytesAtPause = this.#recorder.sentBytes;
      this.#recorder.multifdBytesAtPause = ramCountersOf(this.#options)?.multifdBytes;
    });
  }

  async #awaitContinue(): Promise<void> {
    // Whoever is told of `pre-switchover` may say so at once.
    const goOn = new Promise<void>((resolve) => {
      this.#goOn = resolve;
    });
    this.#move({ type: "held" });
    await this.#interrupt.wait(goOn);
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

  /** Back to where the machine was before; or, if it is not ours any more, a truthful end. */
  async #giveUp(error: MigrationError): Promise<void> {
    this.#recorder.endMs = this.#now();
    this.#machine.unthrottle();
    if (isGivenAway(this.#state.status)) {
      const isReturned = this.#state.status === "released" && this.#wire?.peerWillNever === true;
      const isOurs = isReturned && (await this.#takeBack());
      this.#machine.endAttempt(false);
      if (isOurs) return this.#move({ type: "returned", error: this.#resumeHere() ?? error });
      const destination = this.#wire?.peerGaveUp === true ? "reported-failure" : "unknown";
      this.#move({ type: "lost", error, destination });
    } else if (!isSourceOver(this.#state)) {
      // The word was not said: nobody else can run it, whatever becomes of the record.
      await this.#takeBack();
      // Both in one go: between them no guest instruction runs that the dirty tracking, which ends here, would miss.
      this.#machine.endAttempt(false);
      const problem = this.#machine.isHeld ? this.#resumeHere() : undefined;
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
      this.#machine.cleanupError = asMigrationError(error, "source");
      return false;
    }
  }

  #resumeHere(): MigrationError | undefined {
    const problem = this.#machine.resume();
    if (problem === undefined) this.#recorder.runningMs = this.#recorder.endMs = this.#now();
    return problem;
  }

  async #hangUp(): Promise<void> {
    if (this.#state.status !== "completed") this.#ahead?.end(this.#interrupt.reason);
    // After a recovery the connection is another one, which knows no farewell but its end.
    const { kind } = farewellOf(this.#state);
    const later = this.#ahead?.wire;
    if (later === undefined || later === this.#wire) await this.#wire?.close(farewellOf(this.#state));
    else await later.close({ kind: kind === "completed" ? kind : "in-doubt" });
    // After the last word: a broken channel must not be all that the destination hears of it.
    if (this.#state.status === "completed") await this.#stream.close();
    else this.#stream.abort(this.#interrupt.reason ?? overFor("source"));
  }

  /** Whoever hears of it may cancel, and then nothing of the next step is begun. */
  #step(event: SourceEvent): void {
    this.#move(event);
    this.#interrupt.check();
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
