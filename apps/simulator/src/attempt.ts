// One migration in the simulated world: two real engines, two processes, and what each of them reports.
import { isMigrationError } from "@godwit/core";
import {
  type DestinationReport,
  type IncomingMigration,
  incomingMigration,
  type OutgoingMigration,
  type OwnershipLog,
  outgoingMigration,
  type SourceReport,
} from "@godwit/migration";
import { multifdSender } from "@godwit/ram-dirty-tracker";
import { machineId } from "./host.ts";
import type { SimulatedMachine } from "./machine.ts";
import type { Network } from "./network.ts";
import type { Plan, Strike } from "./plan.ts";
import type { Random } from "./random.ts";
import type { Trace } from "./trace.ts";
import type { VirtualTime } from "./virtual-time.ts";

/**
 * An operator's patience: a migration that goes on this long is cancelled; one that then does not end has hung. He has
 * more of it where the migration will come to its end by itself.
 */
const patienceMs = { force: 20_000, fail: 20_000, continue: 5000 } as const;
/** As machine types from QEMU 9.0 on have it. */
const multifdForm = { sync: "round", zeroPages: "packets" } as const;

/** How often an operator brings another connection before he gives a paused machine up. */
const mostRecoveries = 10;

export interface AttemptInit {
  readonly name: string;
  readonly time: VirtualTime;
  readonly trace: Trace;
  readonly network: Network;
  readonly random: Random;
  readonly plan: Plan;
  readonly source: SimulatedMachine;
  readonly destination: SimulatedMachine;
  readonly strikes: readonly Strike[];
  /** Both sides' records; without them the hand-over is safe only while both processes live. */
  readonly ownership: { readonly source: OwnershipLog; readonly destination: OwnershipLog } | undefined;
  /** Called with each report, in the moment when it is given. */
  readonly reported: (attempt: Attempt, side: "source" | "destination") => void;
  /** `run` never rejects over a migration that failed. */
  readonly rejected: (error: unknown) => void;
}

export class Attempt {
  readonly source: SimulatedMachine;
  readonly destination: SimulatedMachine;
  readonly outgoing: OutgoingMigration;
  readonly incoming: IncomingMigration;
  sourceReport: SourceReport | undefined;
  destinationReport: DestinationReport | undefined;
  /** The source has given the machine away, as far as it knows; and the destination has taken it. */
  wasReleased = false;
  wasTaken = false;
  /** Its connection broke while pages were still to follow; it came back; an operator has given it up. */
  wasPaused = false;
  wasRecovered = false;
  wasAbandoned = false;
  readonly #init: AttemptInit;
  /** What strikes when a record of this state begins to be written. */
  readonly #atHandOver: Record<string, () => void> = {};
  readonly #recoveries = { source: 0, destination: 0 };

  constructor(init: AttemptInit) {
    this.#init = init;
    this.source = init.source;
    this.destination = init.destination;
    this.outgoing = this.#makeOutgoing();
    this.incoming = this.#makeIncoming();
    this.#listen();
  }

  /** Both have reported, or will never do so. */
  get isOver(): boolean {
    const sourceIsOver = this.sourceReport !== undefined || !this.source.process.isAlive;
    return sourceIsOver && (this.destinationReport !== undefined || !this.destination.process.isAlive);
  }

  /** Nothing disturbs what comes afterwards. */
  disarm(): void {
    for (const { process } of [this.source, this.destination]) process.killIn(Number.POSITIVE_INFINITY);
  }

  start(): void {
    const { time, plan, strikes, random } = this.#init;
    for (const [index, strike] of strikes.entries()) this.#prime(strike, random.fork(`strike ${index}`));
    time.after(plan.destinationDelayMs, () => this.destination.process.run(() => this.#runIncoming()));
    time.after(0, () => this.source.process.run(() => this.#runOutgoing()));
    const longMs = patienceMs[plan.whenNotConverging];
    time.after(longMs, () => this.#stop("source"));
    time.after(2 * longMs, () => this.#stop("destination"));
  }

  #makeOutgoing(): OutgoingMigration {
    const { plan, network, ownership } = this.#init;
    const { process, kernel, ram } = this.source;
    return outgoingMigration({
      machine: kernel,
      clock: process.clock,
      connect: () => network.connect(process, this.destination.process, "migration"),
      ...(ownership && { ownership: { machine: machineId, log: this.#watched(ownership.source, "released") } }),
      yieldToHost: () => new Promise((resolve) => process.clock.after(0.05, resolve)),
      peerTimeoutMs: plan.peerTimeoutMs,
      switchoverTimeoutMs: plan.switchoverTimeoutMs,
      ram,
      capabilities: plan.capabilities,
      sendOver: (channels) => ram.sendBy({ multifd: multifdSender({ channels, ...multifdForm }) }),
      parameters: {
        "multifd-channels": plan.multifdChannels,
        "downtime-limit": plan.downtimeLimitMs,
        "max-bandwidth": plan.maxBandwidthBytesPerSecond ?? 0,
        "max-postcopy-bandwidth": plan.maxPostcopyBandwidth,
      },
      sliceBytes: plan.sliceBytes,
      maxRounds: plan.maxRounds,
      whenNotConverging: plan.whenNotConverging,
    });
  }

  #makeIncoming(): IncomingMigration {
    const { plan, network, ownership } = this.#init;
    const { process, kernel, ram } = this.destination;
    const { multifd } = plan.capabilities;
    ram.receiveBy(multifd ? { multifd: { channels: plan.multifdChannels, sync: multifdForm.sync } } : {});
    return incomingMigration({
      machine: kernel,
      clock: process.clock,
      accept: () => network.accept(process, "migration"),
      ...(ownership && { ownership: { log: this.#watched(ownership.destination, "owned") } }),
      peerTimeoutMs: plan.peerTimeoutMs,
      ram,
      capabilities: plan.capabilities,
      parameters: { "multifd-channels": plan.multifdChannels },
    });
  }

  #listen(): void {
    const { name, trace } = this.#init;
    this.outgoing.events.on("status", (state) => {
      const detail = "error" in state ? ` ${state.error.code}` : "round" in state ? ` ${state.round}` : "";
      trace.add(`${name} ${this.source.process.name}: ${state.status}${detail}`);
      if (state.status === "released") this.wasReleased = true;
      if (state.status === "active" && state.round === 1) this.#goAhead();
      if (state.status === "pre-switchover") this.#continue();
      if (state.status === "postcopy-paused") this.#recover("source");
    });
    this.incoming.events.on("status", (state) => {
      const detail = "error" in state ? ` ${state.error.code}` : "";
      trace.add(`${name} ${this.destination.process.name}: ${state.status}${detail}`);
      if (state.status === "committing") this.wasTaken = true;
      if (state.status === "postcopy-paused") this.#recover("destination");
      if (state.status === "postcopy-active" && this.wasPaused) this.wasRecovered = true;
    });
  }

  /** `migrate-start-postcopy`, where it is not too late. */
  #goAhead(): void {
    const { plan, trace, name } = this.#init;
    if (plan.capabilities["postcopy-ram"] !== true) return;
    this.source.process.clock.after(plan.postcopyMs, () => {
      if (this.outgoing.state.status !== "active") return;
      trace.add(`${name} ${this.source.process.name}: post-copy`);
      this.outgoing.startPostcopy();
    });
  }

  /** `migrate-continue`: somebody has made sure of something. */
  #continue(): void {
    const { plan, trace, name } = this.#init;
    this.source.process.clock.after(plan.recoverMs, () => {
      trace.add(`${name} ${this.source.process.name}: continue: ${this.outgoing.continue()}`);
    });
  }

  /** An operator on each side brings another connection, again and again, and gives up where none serves. */
  #recover(side: "source" | "destination"): void {
    const { plan, network, trace, name } = this.#init;
    const [{ process }, migration] =
      side === "source" ? ([this.source, this.outgoing] as const) : ([this.destination, this.incoming] as const);
    this.wasPaused = true;
    process.clock.after(plan.recoverMs, () => {
      if (migration.state.status !== "postcopy-paused") return;
      if (++this.#recoveries[side] > mostRecoveries) {
        this.wasAbandoned = true;
        trace.add(`${name} ${process.name}: abandon: ${migration.abandon()}`);
        return;
      }
      const peer = this.destination.process;
      const open = () =>
        side === "source" ? network.connect(process, peer, "migration") : network.accept(process, "migration");
      migration.recover(open).then(
        () => trace.add(`${name} ${process.name}: recovered`),
        (error: unknown) => trace.add(`${name} ${process.name}: not recovered: ${codeOfError(error)}`),
      );
    });
  }

  #runOutgoing(): void {
    this.outgoing.run().then((report) => {
      if (!this.source.process.isAlive) return;
      this.sourceReport = report;
      this.#init.reported(this, "source");
      // Nobody will come to a destination that waits for this source.
      this.#init.time.after(1000, () => {
        if (["none", "waiting"].includes(this.incoming.state.status)) this.#stop("destination");
      });
    }, this.#init.rejected);
  }

  #runIncoming(): void {
    this.incoming.run().then((report) => {
      if (!this.destination.process.isAlive) return;
      this.destinationReport = report;
      this.#init.reported(this, "destination");
    }, this.#init.rejected);
  }

  #stop(side: "source" | "destination"): void {
    const { name, trace } = this.#init;
    const [{ process }, migration, report] =
      side === "source"
        ? [this.source, this.outgoing, this.sourceReport]
        : [this.destination, this.incoming, this.destinationReport];
    if (report !== undefined || !process.isAlive) return;
    process.run(() => trace.add(`${name} ${process.name}: cancel: ${migration.cancel()}`));
  }

  #watched(log: OwnershipLog, state: string): OwnershipLog {
    return {
      read: (machine) => log.read(machine),
      write: (record, previous) => {
        if (record.state === state) this.#atHandOver[state]?.();
        return log.write(record, previous);
      },
    };
  }

  #prime(strike: Strike, random: Random): void {
    const { time } = this.#init;
    const { when } = strike;
    const act = (): void => this.#strike(strike.what, random);
    if (when.at === "time") time.after(when.ms, act);
    else if (when.at === "write") {
      const state = strike.what === "kill-source" ? "released" : "owned";
      this.#atHandOver[state] = () => time.after(when.delayMs, act);
    } else if (when.at === "step") {
      (strike.what === "kill-source" ? this.source : this.destination).process.killIn(when.steps);
    } else {
      let isDone = false;
      const hear = ({ status }: { readonly status: string }): void => {
        if (isDone || status !== when.status) return;
        isDone = true;
        if (when.delayMs === 0) act();
        else time.after(when.delayMs, act);
      };
      if (when.at === "source") this.outgoing.events.on("status", hear);
      else this.incoming.events.on("status", hear);
    }
  }

  #strike(what: Strike["what"], random: Random): void {
    // What comes after the end would be another story.
    if (this.isOver) return;
    const { plan, network } = this.#init;
    const own = network.connections.filter(
      ({ server, port }) => server === this.destination.process && port === "migration",
    );
    // The newest one, most of the time, or the main one.
    const connection = random.chance(0.5) ? own.at(-1) : random.chance(0.7) ? own[0] : random.pick(own);
    const processes = [this.source.process, this.destination.process];
    const longMs = random.between(1, random.pick([0.1, 0.8, 3]) * plan.peerTimeoutMs);
    if (what === "cut") connection?.cut("both");
    else if (what === "half-cut") connection?.cut(random.pick(["client", "server"]));
    else if (what === "stall") connection?.stall(random.pick(["there", "back", "both"]), longMs);
    else if (what === "freeze") random.pick(processes).freeze(longMs);
    else if (what === "kill-source") this.source.process.kill("");
    else if (what === "kill-destination") this.destination.process.kill("");
    else this.#stop(what === "cancel-source" ? "source" : "destination");
  }
}

function codeOfError(error: unknown): string {
  return isMigrationError(error) ? error.code : String(error);
}
