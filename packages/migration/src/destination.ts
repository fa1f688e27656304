// The destination: takes a machine in, checks all of it before anything is applied, and runs it once it is its own.
import { type IncomingAttempt, isMigrationError, type LoadReport, MigrationError } from "@godwit/core";
import { EventEmitter } from "eventemitter3";
import { BufferedBytes } from "./buffered.ts";
import { agreedModes, type Capabilities, checkedCapabilities } from "./capabilities.ts";
import { asMigrationError, migrationError, overFor } from "./codes.ts";
import type {
  DestinationEvents,
  DestinationReport,
  DestinationStatistics,
  IncomingMigration,
} from "./destination-contract.ts";
import {
  type DestinationEvent,
  type DestinationState,
  destinationQueryStatus,
  isDestinationOver,
  nextDestinationState,
} from "./destination-state.ts";
import { emitSafely } from "./events.ts";
import { godwitDestinationWire } from "./godwit/destination-wire.ts";
import { loadDigests } from "./godwit/digest.ts";
import { type Misfit, misfitError } from "./godwit/preamble.ts";
import type { Channel } from "./host.ts";
import { Interrupt } from "./interrupt.ts";
import { capabilityHost, defaults, type IncomingOptions, progressMs, timeout } from "./options.ts";
import { DestinationOwnership } from "./ownership/holder.ts";
import { PageReceivers } from "./pages/page-receivers.ts";
import { checkedParameters, type MigrationParameters } from "./parameters.ts";
import { DestinationAhead } from "./postcopy/destination-ahead.ts";
import { tellEvery } from "./progress.ts";
import { qemuDestinationWire } from "./qemu/destination-wire.ts";
import type { MigrationInfo } from "./query.ts";
import { Reception } from "./reception.ts";
import type { DestinationWire, Farewell, WireCommand } from "./wire.ts";

/** A migration of a machine from elsewhere into this one, which does not run. `OPTION_INVALID`, `CAPABILITY_CONFLICT`. */
export function incomingMigration(options: IncomingOptions): IncomingMigration {
  return new Destination(options);
}

class Destination implements IncomingMigration {
  readonly events: EventEmitter<DestinationEvents> = new EventEmitter();
  readonly #options: IncomingOptions;
  readonly capabilities: Capabilities;
  #parameters: MigrationParameters;
  readonly #buffered = new BufferedBytes();
  readonly #peerTimeoutMs: number;
  readonly #interrupt = new Interrupt();
  #state: DestinationState = { status: "none" };
  #hasRun = false;
  #wire: DestinationWire | undefined;
  #reception: Reception | undefined;
  #pages: PageReceivers | undefined;
  #ahead: DestinationAhead | undefined;
  #incoming: IncomingAttempt | undefined;
  readonly #ownership: DestinationOwnership;
  /** Nobody will run the machine here any more, and that is durable. */
  #willNever = false;
  #cleanupError: MigrationError | undefined;
  /** Of the stream, whichever connection brought it. */
  #receivedBytes = 0;
  #rounds = 0;
  #misfits: readonly Misfit[] = [];
  #load: LoadReport | undefined;
  #prepareMs: number | undefined;
  #commitMs: number | undefined;
  #sourceTold = false;
  #connectedMs: number | undefined;
  #endMs: number | undefined;
  #stopProgress: (() => void) | undefined;

  constructor(options: IncomingOptions) {
    this.#options = options;
    this.capabilities = checkedCapabilities(options.capabilities, capabilityHost(options), "destination");
    this.#parameters = checkedParameters(options.parameters);
    this.#peerTimeoutMs = timeout("peerTimeoutMs", options.peerTimeoutMs, defaults.peerTimeoutMs);
    this.#ownership = new DestinationOwnership(options.ownership, {
      clock: options.clock,
      timeoutMs: this.#peerTimeoutMs,
    });
  }

  get state(): DestinationState {
    return this.#state;
  }

  get holds(): boolean {
    const state = this.#state;
    const isOurs = isOwn(state.status) || (state.status === "failed" && state.ownership !== "none");
    return state.status === "completed" || (isOurs && this.#ahead?.lacksPages !== true);
  }

  statistics(): DestinationStatistics {
    const untilMs = this.#endMs ?? this.#now();
    return {
      status: destinationQueryStatus(this.#state),
      receivedBytes: this.#receivedBytes,
      rounds: this.#rounds,
      totalMs: untilMs - (this.#connectedMs ?? untilMs),
      bufferedBytes: this.#buffered.bytes,
      mostBufferedBytes: this.#buffered.mostBytes,
    };
  }

  query(): MigrationInfo {
    const { status } = this.statistics();
    return status === "none" ? {} : { status };
  }

  get parameters(): MigrationParameters {
    return this.#parameters;
  }

  setParameters(parameters: Partial<MigrationParameters>): void {
    this.#parameters = checkedParameters(parameters, this.#parameters);
  }

  cancel(): boolean {
    const { status } = this.#state;
    if (status === "cancelled") return true;
    if (isOwn(status) || isDestinationOver(this.#state)) return false;
    this.#move({ type: "cancel" });
    const error = migrationError("MIGRATION_CANCELLED", "the migration was cancelled", { side: "destination" });
    this.#interrupt.raise(error);
    return true;
  }

  recover(accept: () => Promise<Channel>): Promise<void> {
    if (this.#ahead !== undefined && this.#state.status === "completed") return this.#ahead.completeAgain(accept);
    if (this.#ahead !== undefined) return this.#ahead.recover(accept);
    const detail = "there is no post-copy to recover";
    return Promise.reject(migrationError("PROTOCOL_ORDER", detail, { side: "destination" }));
  }

  abandon(): boolean {
    return this.#ahead?.abandon() ?? false;
  }

  async run(): Promise<DestinationReport> {
    if (this.#hasRun) throw migrationError("PROTOCOL_ORDER", "a migration runs only once", { side: "destination" });
    this.#hasRun = true;
    try {
      this.#interrupt.check();
      this.#step({ type: "start" });
      await this.#receive();
    } catch (error) {
      await this.#giveUp(asMigrationError(error, "destination"));
    }
    this.#endMs = this.#now();
    this.#stopProgress?.();
    this.#emit("progress", this.statistics());
    await this.#hangUp();
    return {
      state: this.#state,
      statistics: this.statistics(),
      misfits: this.#misfits,
      load: this.#load,
      prepareMs: this.#prepareMs,
      commitMs: this.#commitMs,
      postcopy: this.#ahead?.report(),
      sourceTold: this.#sourceTold,
      cleanupError: this.#cleanupError,
    };
  }

  async #receive(): Promise<void> {
    const wire = await this.#connect();
    this.#move({ type: "connected" });
    // What both sides must do alike is what is agreed on here, whatever becomes of the parameters.
    const agreed = this.#parameters;
    const modes = agreedModes(this.capabilities, agreed);
    const { machine } = this.#options;
    this.#misfits = await wire.agree(
      machine.manifest(),
      modes,
      (offer) => this.#ownership.misfits(offer),
      machine.misfits && ((offered) => machine.misfits?.(offered) ?? []),
    );
    if (this.#misfits.some((misfit) => misfit.refuses)) throw misfitError(this.#misfits);
    await this.#interrupt.wait(this.#ownership.accept());
    const incoming = machine.incoming({ onCommand: (command) => this.#hearCommand(wire, command) });
    this.#incoming = incoming;
    this.#takePages(wire, agreed["multifd-channels"]);
    this.#step({ type: "accepted" });
    await wire.accept(this.#misfits);
    const isWhole = (await wire.ended()) === "whole";
    if (!isWhole) this.#expectPackage();
    this.#step({ type: "stream-ended" });
    const endedMs = this.#now();
    if (isWhole) incoming.end();
    await this.#interrupt.wait(incoming.prepare());
    this.#interrupt.check();
    this.#prepareMs = this.#now() - endedMs;
    this.#step({ type: "checked" });
    await wire.prepared();
    this.#move({ type: "released" });
    await this.#own(incoming, isWhole);
    if (isWhole) await this.#tellSource(() => wire.resumed(this.#times()));
    else await this.#takeRest(incoming);
  }

  #times(): { readonly prepareMs: number; readonly commitMs: number } {
    return { prepareMs: this.#prepareMs ?? 0, commitMs: this.#commitMs ?? 0 };
  }

  #expectPackage(): void {
    if (this.#ahead?.mayRun === true) return;
    const detail = "the package has ended, and it did not let this side run the machine";
    throw migrationError("PROTOCOL_ORDER", detail, { side: "destination", expected: "POSTCOPY_RUN" });
  }

  /** The machine runs: what it lacks comes behind it, and nothing but giving it up ends that. */
  async #takeRest(incoming: IncomingAttempt): Promise<void> {
    const ahead = this.#ahead as DestinationAhead;
    try {
      await ahead.follow(incoming, this.#times());
    } catch (error) {
      // Without its pages it can neither run on here nor anywhere else. Where only the stream's last words are missing,
      // they say nothing that is needed.
      const isLost = ahead.lacksPages;
      if (isLost) this.#cleanly(() => this.#options.machine.pause());
      this.#cleanly(() => incoming.discard());
      this.#move(isLost ? { type: "abandon", error: asMigrationError(error, "destination") } : { type: "received" });
      return;
    }
    this.#move({ type: "received" });
    await this.#tellSource(() => ahead.complete());
  }

  /**
   * No interrupt counts any more: the machine is loaded, then durably this side's, and only then does it run. A load that
   * fails is still the source's gain: the record says that this side will never have the machine.
   */
  async #own(incoming: IncomingAttempt, isWhole: boolean): Promise<void> {
    const ownedMs = this.#now();
    this.#load = await (isWhole ? incoming.commit() : this.#commitAhead(incoming));
    await this.#ownership.own();
    this.#move({ type: "owned" });
    if (!isWhole) this.#ahead?.counted();
    try {
      this.#options.machine.resume();
    } catch (error) {
      // It may run all the same, and a machine whose failure is reported must not.
      this.#options.machine.pause();
      throw error;
    }
    this.#commitMs = this.#now() - ownedMs;
    this.#move({ type: isWhole ? "resumed" : "running" });
  }

  /**
   * Devices may wait for pages before they are ready, and only the connection brings those: when it breaks, nobody may wait
   * any more, and the load fails. One that waits for none goes on: the machine becomes this side's, and may be recovered.
   */
  async #commitAhead(incoming: IncomingAttempt): Promise<LoadReport> {
    const committing = incoming.commit();
    try {
      return await this.#interrupt.wait(committing);
    } catch (error) {
      const { reason } = this.#interrupt;
      if (reason === undefined) throw error;
      const mayWait = (this.#ahead as DestinationAhead).refuseWaits();
      try {
        return await committing;
      } catch (problem) {
        throw isMigrationError(problem) && isWaitRefused(problem.cause) ? reason : problem;
      } finally {
        mayWait();
      }
    }
  }

  #cleanly(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#cleanupError = asMigrationError(error, "destination");
    }
  }

  async #tellSource(tell: () => Promise<void>): Promise<void> {
    try {
      await tell();
      this.#sourceTold = true;
    } catch {
      // The machine runs here whether or not that can be told; the report says that it could not.
      this.#sourceTold = false;
    }
  }

  async #connect(): Promise<DestinationWire> {
    const { clock } = this.#options;
    const common = { clock, peerTimeoutMs: this.#peerTimeoutMs, interrupt: this.#interrupt };
    const digests = await this.#interrupt.wait(loadDigests());
    const reception = new Reception({ ...common, accept: () => this.#options.accept() });
    this.#reception = reception;
    const { kind, channel } = await reception.main();
    this.#connectedMs = this.#now();
    this.#stopProgress = tellEvery(clock, progressMs, () => this.#emit("progress", this.statistics()));
    const options = {
      ...common,
      channel,
      buffered: this.#buffered,
      stream: (bytes: Uint8Array) => this.#decode(bytes),
      roundEnded: (round: number) => {
        this.#rounds = round;
      },
    };
    const isQemu = kind === "qemu" && (this.#options.peers ?? ["godwit", "qemu"]).includes("qemu");
    this.#wire = isQemu
      ? qemuDestinationWire({ ...options, streamEnd: () => this.#incoming?.streamEnd ?? "open" })
      : godwitDestinationWire(options, digests);
    return this.#wire;
  }

  /** `COMMAND_UNEXPECTED` for one that nobody here asked for. */
  #hearCommand(wire: DestinationWire, command: WireCommand & { readonly name: string; readonly offset: number }): void {
    if (wire.command(command) || this.#ahead?.command(command) === true) return;
    throw new MigrationError("COMMAND_UNEXPECTED", `${command.name} came, and nothing here serves it`, {
      side: "destination",
      section: "command",
      path: "command",
      offset: command.offset,
    });
  }

  /** What else connects brings pages, from now on. */
  #takePages(wire: DestinationWire, channels: number): void {
    const { clock, ram } = this.#options;
    if (this.capabilities["postcopy-ram"] && ram !== undefined) {
      const options = {
        clock,
        ram,
        peerTimeoutMs: this.#peerTimeoutMs,
        buffered: this.#buffered,
        hasUrgent: this.capabilities["postcopy-preempt"],
        accept: () => this.#options.accept(),
        move: (event: DestinationEvent) => this.#move(event),
      };
      this.#ahead = new DestinationAhead(options, wire, this.#interrupt);
    }
    if (!this.capabilities.multifd || ram === undefined) return;
    const pages = new PageReceivers({
      interrupt: this.#interrupt,
      clock,
      peerTimeoutMs: this.#peerTimeoutMs,
      buffered: this.#buffered,
      inputs: () => (this.#incoming === undefined ? undefined : ram.multifd()),
      read: (channel) => wire.readPages(channel),
      stranger: (channel, why) => this.#reception?.returned(channel, why),
      synced: () => this.#push(new Uint8Array(0)),
    });
    this.#pages = pages;
    this.#reception?.takePages(channels, (channel) => pages.add(channel));
  }

  #decode(bytes: Uint8Array): Promise<void> | undefined {
    if (!["active", ...(this.#ahead?.mayRun === true ? runningAhead : [])].includes(this.#state.status)) {
      throw migrationError("PROTOCOL_ORDER", "stream bytes came where they may not", {
        side: "destination",
        found: `${bytes.length} bytes while ${this.#state.status}`,
      });
    }
    this.#receivedBytes += bytes.length;
    this.#push(bytes);
    if (this.#pages === undefined) return undefined;
    this.#pages.moved();
    return this.#options.ram?.multifd()?.isAwaited === true ? this.#pages.mainMayGoOn() : undefined;
  }

  #push(bytes: Uint8Array): void {
    try {
      this.#incoming?.push(bytes);
    } catch (error) {
      throw asMigrationError(error, "destination");
    }
  }

  async #giveUp(error: MigrationError): Promise<void> {
    const { status } = this.#state;
    const said = status === "resuming" ? undefined : await this.#refuse();
    // The record may say that the machine is this side's although its write failed: so it is, and stands still.
    if (said === "owned" && this.#state.status === "committing") this.#move({ type: "owned" });
    const doubt = said === "unknown" && status === "committing" ? ({ ownership: said } as const) : {};
    if (!isDestinationOver(this.#state)) {
      const isCancelled = error.code === "MIGRATION_CANCELLED" && !["committing", "resuming"].includes(status);
      this.#move(isCancelled ? { type: "cancel" } : { type: "fail", error, ...doubt });
    }
    if (this.#state.status !== "completed") this.#cleanly(() => this.#incoming?.discard());
  }

  /** Nobody will run the machine here: once that is durable, the source may hear so. */
  async #refuse(): Promise<"refused" | "owned" | "never-accepted" | "unknown"> {
    try {
      const answer = await this.#ownership.refuse();
      this.#willNever = answer === "refused";
      return answer;
    } catch (error) {
      this.#cleanupError = asMigrationError(error, "destination");
      return "unknown";
    }
  }

  async #hangUp(): Promise<void> {
    this.#reception?.end();
    this.#ahead?.end();
    const later = this.#ahead?.wire;
    if (later === undefined || later === this.#wire) await this.#wire?.close(farewellOf(this.#state, this.#willNever));
    else await later.close({ kind: this.#state.status === "completed" ? "completed" : "lost" });
    // After the last word: a broken channel must not be all that the source hears of it.
    if (this.#state.status === "completed") await this.#pages?.close();
    else this.#pages?.abort(this.#interrupt.reason ?? overFor("destination"));
  }

  /** Whoever hears of it may cancel, and then nothing of the next step is begun. */
  #step(event: DestinationEvent): void {
    this.#move(event);
    this.#interrupt.check();
  }

  /** The only place that changes the state. */
  #move(event: DestinationEvent): void {
    this.#state = nextDestinationState(this.#state, event);
    this.#emit("status", this.#state);
  }

  #emit<K extends keyof DestinationEvents>(name: K, ...values: DestinationEvents[K]): void {
    emitSafely(this.events, this.#options.clock, name, values);
  }

  #now(): number {
    return this.#options.clock.nowMs();
  }
}

/** Where pages may come behind the package. */
const runningAhead: readonly string[] = [
  "checking",
  "prepared",
  "committing",
  "resuming",
  "postcopy-active",
  "postcopy-recover",
] satisfies DestinationState["status"][];

/** The machine is this side's, or is being made so. */
function isOwn(status: DestinationState["status"]): boolean {
  return status === "committing" || status === "resuming" || status.startsWith("postcopy-");
}

function isWaitRefused(error: unknown): boolean {
  return isMigrationError(error) && error.code === "ATTEMPT_ENDED";
}

function farewellOf(state: DestinationState, never: boolean): Farewell {
  if (state.status === "failed") return { kind: "failed", error: state.error, never };
  return state.status === "completed" ? { kind: "completed" } : { kind: "cancelled", never };
}
