// Post-copy at the destination, from the package to the last page: over one connection, or over as many as it takes.
import type { IncomingAttempt, MigrationError } from "@godwit/core";
import type { BufferedBytes } from "../buffered.ts";
import { asMigrationError, migrationError } from "../codes.ts";
import type { DestinationEvent } from "../destination-state.ts";
import type { Channel, HostClock, MigratableRam } from "../host.ts";
import { Interrupt } from "../interrupt.ts";
import type { DestinationWire, WireCommand } from "../wire.ts";
import { Accepting } from "./accepting.ts";
import { type DestinationConnection, DestinationPages } from "./destination-pages.ts";
import { Recovery } from "./recovery.ts";
import type { DestinationPagesWire, DestinationPostcopyWire } from "./wire.ts";

export interface DestinationAheadOptions {
  readonly clock: HostClock;
  readonly ram: MigratableRam;
  readonly peerTimeoutMs: number;
  /** The capability postcopy-preempt. */
  readonly hasUrgent: boolean;
  readonly buffered: BufferedBytes;
  /** The connection behind the main one. */
  accept(): Promise<Channel>;
  move(event: DestinationEvent): void;
}

/** What was missing when the machine began to run, and how the rest came. */
export interface PostcopyReport {
  /** When the guest's first instruction could run here. */
  readonly missingPages: number;
  readonly faults: number;
  readonly requestedPages: number;
  /** Pages that came without being asked for, and those that came again and were not taken. */
  readonly unaskedPages: number;
  readonly ignoredPages: number;
  /** From a request to its page. Milliseconds. */
  readonly latency: {
    readonly count: number;
    readonly meanMs: number;
    readonly medianMs: number;
    readonly p99Ms: number;
    readonly maxMs: number;
  };
  readonly recoveries: number;
}

export class DestinationAhead {
  readonly #options: DestinationAheadOptions;
  readonly #pages: DestinationPages;
  readonly #recovery: Recovery;
  readonly #accepting = new Accepting();
  #wire: DestinationPagesWire;
  #interrupt: Interrupt;
  #isUrgentAwaited = false;
  #missingPages: number | undefined;
  #recoveries = 0;

  constructor(options: DestinationAheadOptions, wire: DestinationWire, interrupt: Interrupt) {
    this.#options = options;
    this.#pages = new DestinationPages(options);
    this.#recovery = new Recovery("destination", options.clock, options.peerTimeoutMs);
    this.#wire = wire;
    this.#interrupt = interrupt;
    this.#pages.connect(this.#connection());
  }

  /** A command of the stream; false: it is not of post-copy. */
  command(command: WireCommand & { readonly name: string; readonly offset: number }): boolean {
    const isOurs = this.#pages.command(command);
    if (this.#options.hasUrgent && !this.#isUrgentAwaited && this.#pages.isListening) {
      this.#isUrgentAwaited = true;
      void this.#takeUrgent(() => this.#options.accept(), this.#interrupt);
    }
    return isOurs;
  }

  /** The package has come whole. */
  get mayRun(): boolean {
    return this.#pages.mayRun;
  }

  /** Pages of a machine that runs here, or is about to, are at the source alone. */
  get lacksPages(): boolean {
    return this.mayRun && this.#options.ram.postcopyDestination.missingPages > 0;
  }

  /** The connection is lost while the machine is loaded: nobody may wait for pages until the answer is called. */
  refuseWaits(): () => void {
    return this.#options.ram.postcopyDestination.refuseWaits();
  }

  /** The machine is about to run. */
  counted(): void {
    this.#missingPages = this.#options.ram.postcopyDestination.missingPages;
  }

  /**
   * The machine runs here: takes what is left. A connection that breaks is waited for: this rejects only where somebody
   * has called `abandon`.
   */
  async follow(
    incoming: IncomingAttempt,
    times: { readonly prepareMs: number; readonly commitMs: number },
  ): Promise<void> {
    let isTold = false;
    for (;;) {
      try {
        if (!isTold) await talkOf(this.#wire).running(times);
        isTold = true;
        await talkOf(this.#wire).finished((atLastRecord) => this.#urgentEnded(atLastRecord));
        incoming.end();
        return;
      } catch (error) {
        isTold = true;
        await this.#pause(incoming, asMigrationError(error, "destination"));
      }
    }
  }

  complete(): Promise<void> {
    return talkOf(this.#wire).complete();
  }

  recover(accept: () => Promise<Channel>): Promise<void> {
    return this.#recovery.recover(accept);
  }

  /** Everything is here: tells a source that has not heard it. `PROTOCOL_ORDER` where there is nothing to tell. */
  async completeAgain(accept: () => Promise<Channel>): Promise<void> {
    const talk = talkOf(this.#wire);
    if (this.#missingPages === undefined || talk.completeAgain === undefined) {
      throw migrationError("PROTOCOL_ORDER", "there is no post-copy to recover", { side: "destination" });
    }
    const interrupt = new Interrupt();
    const channel = await this.#accept(accept, interrupt);
    try {
      await talk.completeAgain(channel, interrupt);
    } catch (error) {
      channel.abort(error);
      throw error;
    }
  }

  /** The migration is over: no connection beside the main one is wanted any more. */
  end(): void {
    this.#accepting.end();
    this.#pages.disconnect(migrationError("PEER_CLOSED", "the migration is over", { side: "destination" }));
  }

  abandon(): boolean {
    return this.#recovery.abandon();
  }

  get wire(): DestinationPagesWire {
    return this.#wire;
  }

  report(): PostcopyReport | undefined {
    if (this.#missingPages === undefined) return undefined;
    const { latenciesMs, ...counted } = this.#options.ram.postcopyDestination.statistics();
    return { missingPages: this.#missingPages, ...counted, latency: latenciesMs(), recoveries: this.#recoveries };
  }

  async #pause(incoming: IncomingAttempt, error: MigrationError): Promise<void> {
    const wire = this.#wire;
    this.#interrupt.raise(error);
    this.#pages.disconnect(error);
    // Before anybody hears that it is paused: who hears it may have the next connection at hand.
    let wanted = this.#recovery.wanted(error);
    this.#options.move({ type: "connection-lost", error });
    // Nothing waits for a connection that is broken.
    wire.close({ kind: "lost" }).catch(() => {});
    for (;;) {
      const accept = await wanted;
      this.#options.move({ type: "recover" });
      try {
        await this.#reconnect(wire, accept, incoming);
        this.#options.move({ type: "running" });
        this.#recoveries++;
        this.#recovery.done();
        return;
      } catch (problem) {
        const known = asMigrationError(problem, "destination");
        this.#pages.disconnect(known);
        const failed = this.#recovery.failing();
        wanted = this.#recovery.wanted(known);
        this.#options.move({ type: "connection-lost", error: known });
        failed(known);
      }
    }
  }

  async #reconnect(
    before: DestinationPagesWire,
    accept: () => Promise<Channel>,
    incoming: IncomingAttempt,
  ): Promise<void> {
    const interrupt = new Interrupt();
    const channel = await this.#accept(accept, interrupt);
    try {
      incoming.restart();
      this.#wire = await talkOf(before).resume(channel, interrupt);
      this.#interrupt = interrupt;
      const resumed = this.#pages.resume(this.#connection());
      await this.#recovery.soon(resumed, interrupt, "the source does not take what this side says");
      if (this.#options.hasUrgent) void this.#takeUrgent(accept, interrupt);
    } catch (error) {
      interrupt.raise(asMigrationError(error, "destination"));
      channel.abort(error);
      throw error;
    }
  }

  async #urgentEnded(atLastRecord = false): Promise<void> {
    if (!this.#options.hasUrgent) return;
    const detail = "the connection for pages that are asked for does not come to its end";
    await this.#recovery.soon(this.#pages.urgentEnded(atLastRecord), this.#interrupt, detail);
  }

  /** The connection for pages that are asked for comes behind the main one. */
  async #takeUrgent(accept: () => Promise<Channel>, interrupt: Interrupt): Promise<void> {
    try {
      this.#pages.takeUrgent(await this.#accept(accept, interrupt));
    } catch (error) {
      interrupt.raise(asMigrationError(error, "destination"));
    }
  }

  #accept(accept: () => Promise<Channel>, interrupt: Interrupt): Promise<Channel> {
    return this.#recovery.soon(this.#accepting.take(accept, interrupt), interrupt, "nobody answers");
  }

  #connection(): DestinationConnection {
    const wire = this.#wire;
    return {
      interrupt: this.#interrupt,
      say: (message) => talkOf(wire).say(message),
      readPages: (channel) => wire.readPages(channel),
    };
  }
}

function talkOf(wire: { readonly postcopy?: DestinationPostcopyWire | undefined }): DestinationPostcopyWire {
  if (wire.postcopy !== undefined) return wire.postcopy;
  throw migrationError("PROTOCOL_ORDER", "this connection knows no post-copy", { side: "destination" });
}
