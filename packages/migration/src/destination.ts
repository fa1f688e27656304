// The destination: takes a machine in, checks all of it before anything is applied, and runs it once it is its own.
import type { IncomingAttempt, LoadReport, MigrationError } from "@godwit/core";
import { EventEmitter } from "eventemitter3";
import { asMigrationError, migrationError } from "./codes.ts";
import type { ControlMessage } from "./control.ts";
import { Conversation } from "./conversation.ts";
import {
  type DestinationEvent,
  type DestinationState,
  destinationQueryStatus,
  isDestinationOver,
  nextDestinationState,
} from "./destination-state.ts";
import { digestAlgorithm, loadDigest, type StreamDigest } from "./digest.ts";
import { emitSafely } from "./events.ts";
import type { Channel } from "./host.ts";
import { Interrupt } from "./interrupt.ts";
import { defaults, heartbeatMs, type IncomingOptions, positive, progressMs } from "./options.ts";
import { type Misfit, misfitError, misfits } from "./preamble.ts";
import { compareSums, sumOf } from "./stream-sum.ts";

/** The source is told of received bytes at each round's end, and whenever so many came since. Bytes. */
const receivedEveryBytes = 1024 * 1024;

export interface DestinationStatistics {
  /** QEMU's migration status. */
  readonly status: string;
  /** Stream bytes decoded. */
  readonly receivedBytes: number;
  /** Rounds of the source that have ended. */
  readonly rounds: number;
  /** From the source's connection until now, or the end. */
  readonly totalMs: number;
}

export interface DestinationEvents {
  status: [state: DestinationState];
  /** At least four times a second while a source is connected. */
  progress: [statistics: DestinationStatistics];
}

export interface DestinationReport {
  readonly state: DestinationState;
  readonly statistics: DestinationStatistics;
  /** Everything that did not fit, whether it made this side refuse or not. */
  readonly misfits: readonly Misfit[];
  readonly load: LoadReport | undefined;
  /** From the end of the stream until every state was checked, and from ownership to the resumed machine. */
  readonly prepareMs: number | undefined;
  readonly commitMs: number | undefined;
  /** False for a machine that runs here although the source could not be told: there, it is in doubt. */
  readonly sourceTold: boolean;
}

export interface IncomingMigration {
  readonly events: EventEmitter<DestinationEvents>;
  readonly state: DestinationState;
  statistics(): DestinationStatistics;
  /** Waits for one source and runs its migration to its end: the report's state tells which. Only once: `PROTOCOL_ORDER`. */
  run(): Promise<DestinationReport>;
  /** Stops, and leaves the machine here as it was. False where it is too late: the machine is this side's own. */
  cancel(): boolean;
}

/** A migration of a machine from elsewhere into this one, which does not run. `OPTION_INVALID`. */
export function incomingMigration(options: IncomingOptions): IncomingMigration {
  return new Destination(options);
}

class Destination implements IncomingMigration {
  readonly events: EventEmitter<DestinationEvents> = new EventEmitter();
  readonly #options: IncomingOptions;
  readonly #peerTimeoutMs: number;
  readonly #interrupt = new Interrupt();
  #state: DestinationState = { status: "none" };
  #hasRun = false;
  #conversation: Conversation | undefined;
  #incoming: IncomingAttempt | undefined;
  #digest: StreamDigest | undefined;
  #toldBytes = 0;
  #rounds = 0;
  #misfits: readonly Misfit[] = [];
  #isRefused = false;
  #load: LoadReport | undefined;
  #prepareMs: number | undefined;
  #commitMs: number | undefined;
  #sourceTold = false;
  #connectedMs: number | undefined;
  #endMs: number | undefined;
  #stopProgress: (() => void) | undefined;

  constructor(options: IncomingOptions) {
    this.#options = options;
    this.#peerTimeoutMs = positive("peerTimeoutMs", options.peerTimeoutMs, defaults.peerTimeoutMs);
  }

  get state(): DestinationState {
    return this.#state;
  }

  statistics(): DestinationStatistics {
    const untilMs = this.#endMs ?? this.#now();
    return {
      status: destinationQueryStatus(this.#state),
      receivedBytes: this.#digest?.bytes ?? 0,
      rounds: this.#rounds,
      totalMs: untilMs - (this.#connectedMs ?? untilMs),
    };
  }

  cancel(): boolean {
    const { status } = this.#state;
    if (status === "cancelled") return true;
    if (status === "committing" || isDestinationOver(this.#state)) return false;
    this.#move({ type: "cancel" });
    const error = migrationError("MIGRATION_CANCELLED", "the migration was cancelled", { side: "destination" });
    this.#interrupt.raise(error);
    return true;
  }

  async run(): Promise<DestinationReport> {
    if (this.#hasRun) throw migrationError("PROTOCOL_ORDER", "a migration runs only once", { side: "destination" });
    this.#hasRun = true;
    try {
      this.#interrupt.check();
      this.#move({ type: "start" });
      await this.#receive();
    } catch (error) {
      this.#giveUp(asMigrationError(error, "destination"));
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
      sourceTold: this.#sourceTold,
    };
  }

  async #receive(): Promise<void> {
    const digest = (await this.#interrupt.wait(loadDigest()))();
    this.#digest = digest;
    const peer = this.#converse(await this.#interrupt.wait(this.#openChannel()));
    this.#move({ type: "connected" });
    const sourceHeartbeatMs = await this.#agree(peer);
    const incoming = this.#options.machine.incoming();
    this.#incoming = incoming;
    this.#move({ type: "accepted" });
    await peer.say({ kind: "accepted", heartbeatMs: heartbeatMs(this.#peerTimeoutMs), warnings: this.#misfits });
    peer.link.keepAlive(sourceHeartbeatMs, () => ({ kind: "received", bytes: digest.bytes }));
    const sent = await peer.expect("stream-end");
    this.#move({ type: "stream-ended" });
    const endedMs = this.#now();
    compareSums(sent, sumOf(digest), "destination");
    incoming.end();
    await this.#interrupt.wait(incoming.prepare());
    this.#interrupt.check();
    this.#prepareMs = this.#now() - endedMs;
    this.#move({ type: "checked" });
    await peer.say({ kind: "prepared", ...sumOf(digest) });
    await peer.expectSoon("released");
    this.#move({ type: "released" });
    await this.#own(incoming);
    await this.#tellSource(peer);
  }

  /** The machine is this side's from here on. No interrupt counts any more: it runs here, or nowhere. */
  async #own(incoming: IncomingAttempt): Promise<void> {
    const ownedMs = this.#now();
    this.#load = await incoming.commit();
    try {
      this.#options.machine.resume();
    } catch (error) {
      // It may run all the same, and a machine whose failure is reported must not.
      this.#options.machine.pause();
      throw error;
    }
    this.#commitMs = this.#now() - ownedMs;
    this.#move({ type: "resumed" });
  }

  async #tellSource(peer: Conversation): Promise<void> {
    try {
      await peer.say({ kind: "resumed", prepareMs: this.#prepareMs ?? 0, commitMs: this.#commitMs ?? 0 });
      this.#sourceTold = true;
    } catch {
      // The machine runs here whether or not that can be told; the report says that it could not.
      this.#sourceTold = false;
    }
  }

  /** A connection that comes when nobody waits for it any more is closed again. */
  #openChannel(): Promise<Channel> {
    const opening = this.#options.accept();
    opening.then(
      (channel) => {
        if (this.#interrupt.reason !== undefined) channel.abort(this.#interrupt.reason);
      },
      () => {},
    );
    return opening;
  }

  #converse(channel: Channel): Conversation {
    this.#connectedMs = this.#now();
    this.#tellProgress();
    const peer = new Conversation({
      channel,
      clock: this.#options.clock,
      side: "destination",
      peerTimeoutMs: this.#peerTimeoutMs,
      interrupt: this.#interrupt,
      // Not before the source has shown that it is Godwit: a QEMU would take our bytes for an answer of its own kind.
      opened: () => this.#inBackground(peer.link.sendMagic()),
      stream: (bytes) => this.#decode(peer, bytes),
      atOnce: (message) => this.#hearRound(peer, message),
    });
    this.#conversation = peer;
    return peer;
  }

  /** Compares the machines. How often the source must hear something, in milliseconds. */
  async #agree(peer: Conversation): Promise<number> {
    const offer = await peer.expectSoon("offer");
    this.#misfits = misfits(offer.manifest, this.#options.machine.manifest());
    if (offer.digest !== digestAlgorithm) {
      const digestMisfit = { subject: "stream digest", refuses: true, expected: digestAlgorithm, found: offer.digest };
      this.#misfits = [{ code: "CAPABILITY_MISMATCH", ...digestMisfit }, ...this.#misfits];
    }
    if (!this.#misfits.some((misfit) => misfit.refuses)) return offer.heartbeatMs;
    await peer.say({ kind: "refused", misfits: this.#misfits });
    this.#isRefused = true;
    throw misfitError(this.#misfits);
  }

  #decode(peer: Conversation, bytes: Uint8Array): void {
    const digest = this.#digest;
    if (this.#state.status !== "active" || digest === undefined) {
      throw migrationError("PROTOCOL_ORDER", "stream bytes came where they may not", {
        side: "destination",
        found: `${bytes.length} bytes while ${this.#state.status}`,
      });
    }
    digest.update(bytes);
    try {
      this.#incoming?.push(bytes);
    } catch (error) {
      throw asMigrationError(error, "destination");
    }
    if (digest.bytes - this.#toldBytes >= receivedEveryBytes) this.#tellReceived(peer, digest.bytes);
  }

  #hearRound(peer: Conversation, message: ControlMessage): boolean {
    if (message.kind !== "round") return false;
    this.#rounds = message.round;
    this.#tellReceived(peer, this.#digest?.bytes ?? 0);
    return true;
  }

  #tellReceived(peer: Conversation, bytes: number): void {
    this.#toldBytes = bytes;
    this.#inBackground(peer.link.send({ kind: "received", bytes }));
  }

  #inBackground(sending: Promise<void>): void {
    sending.catch((error: unknown) => this.#interrupt.raise(asMigrationError(error, "destination")));
  }

  #giveUp(error: MigrationError): void {
    if (!isDestinationOver(this.#state)) {
      const isCancelled = error.code === "MIGRATION_CANCELLED" && this.#state.status !== "committing";
      this.#move(isCancelled ? { type: "cancel" } : { type: "fail", error });
    }
    if (this.#state.status !== "completed") this.#incoming?.discard();
  }

  async #hangUp(): Promise<void> {
    const peer = this.#conversation;
    const state = this.#state;
    if (peer === undefined) return;
    if (state.status === "failed" && state.error.code === "PROTOCOL_VERSION") {
      // The answer to a version that is not spoken here is the one that is.
      this.#inBackground(peer.link.sendMagic());
      await peer.close();
    } else if (!peer.isOpen || peer.peerGaveUp || this.#isRefused || state.status === "completed") await peer.close();
    else if (state.status === "failed") await peer.close({ kind: "failed", error: state.error.toJSON() });
    else await peer.close({ kind: "cancelled" });
  }

  #tellProgress(): void {
    this.#stopProgress = this.#options.clock.after(progressMs, () => {
      this.#emit("progress", this.statistics());
      this.#tellProgress();
    });
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
