// Post-copy at the source, from the package to the last page: over one connection, or over as many as it takes.
import type { MigrationError, OutgoingAttempt } from "@godwit/core";
import { type BufferedBytes, mostChannelBytes } from "../buffered.ts";
import { asMigrationError, migrationError } from "../codes.ts";
import type { Channel, HostClock, MigratableRam } from "../host.ts";
import { Interrupt } from "../interrupt.ts";
import type { MigrationParameters } from "../parameters.ts";
import type { SourceEvent } from "../source-state.ts";
import type { PageChannel, Resumed, SourceWire } from "../wire.ts";
import { Recovery } from "./recovery.ts";
import { type SourceConnection, SourcePages } from "./source-pages.ts";
import type { SourcePagesWire, SourcePostcopyWire } from "./wire.ts";

export interface SourceAheadOptions {
  readonly clock: HostClock;
  readonly ram: MigratableRam;
  readonly attempt: OutgoingAttempt;
  readonly peerTimeoutMs: number;
  /** The capability postcopy-preempt. */
  readonly hasUrgent: boolean;
  parameters(): MigrationParameters;
  yieldToHost(): Promise<void>;
  connect(): Promise<Channel>;
  sentBytes(): number;
  /** The connection for pages that are asked for has taken so many bytes. */
  sentUrgent(bytes: number): void;
  readonly buffered: BufferedBytes;
  /** Sends stream bytes, and adds them to what was sent. */
  send(wire: SourcePagesWire, chunks: Iterable<Uint8Array>): Promise<void>;
  move(event: SourceEvent): void;
  /** The machine runs over there; the times are of a connection that told them. */
  running(resumed: Resumed | undefined): void;
}

interface Connected extends SourceConnection {
  readonly wire: SourcePagesWire;
}

export class SourceAhead {
  readonly #options: SourceAheadOptions;
  readonly #pages: SourcePages;
  readonly #recovery: Recovery;
  #connected: Connected;
  #sending: Promise<void> | undefined;
  #isRunning = false;
  /** The destination has told of itself, by a later connection, that it has everything. */
  #isComplete = false;

  constructor(options: SourceAheadOptions, wire: SourceWire, interrupt: Interrupt) {
    this.#options = options;
    this.#pages = new SourcePages(options);
    this.#recovery = new Recovery("source", options.clock, options.peerTimeoutMs);
    this.#connected = this.#connection(wire, interrupt, undefined);
    talkOf(wire).hear(
      (message) => this.#pages.hear(message),
      (idstr) => this.#pages.bitmapBytes(idstr),
    );
  }

  /** The machine stands. Gives what lets the destination run it, where that is for the wire to hold back. */
  async sendPackage(wire: SourceWire): Promise<Uint8Array | undefined> {
    const last = await this.#pages.sendPackage(this.#connected, wire.runsOnLast, talkOf(wire).commands);
    // Before the package has gone: a QEMU reads on only when that connection is there.
    await this.#openUrgent(this.#connected.interrupt, () => this.#options.connect());
    if (last !== undefined) return last;
    // Before the machine is given away: checks over there may need pages.
    void this.#send();
    return undefined;
  }

  packaged(): Promise<void> {
    return talkOf(this.#connected.wire).packaged();
  }

  /**
   * Gives the machine away, and sends what is left of it. A connection that breaks is waited for: this rejects only where
   * the destination has said that its attempt is over, or somebody has called `abandon`.
   */
  async follow(last: Uint8Array | undefined): Promise<void> {
    for (;;) {
      try {
        await this.#followOver(last);
        return;
      } catch (error) {
        await this.#pause(asMigrationError(error, "source"));
      }
    }
  }

  recover(connect: () => Promise<Channel>): Promise<void> {
    return this.#recovery.recover(connect);
  }

  abandon(): boolean {
    return this.#recovery.abandon();
  }

  /** The connection of now. */
  get wire(): SourcePagesWire {
    return this.#connected.wire;
  }

  /** The migration is over; a connection for pages that are asked for may have been left open. */
  end(error: unknown): void {
    this.#connected.urgent?.abort(error);
  }

  async #followOver(last: Uint8Array | undefined): Promise<void> {
    if (this.#isComplete) return;
    const { wire } = this.#connected;
    if (!this.#isRunning) {
      const resumed = await talkOf(wire).running(last);
      this.#runs(resumed);
    }
    await (this.#sending ?? this.#send());
    await talkOf(wire).finished();
  }

  #runs(resumed: Resumed | undefined): void {
    this.#isRunning = true;
    this.#options.move({ type: "running" });
    this.#options.running(resumed);
  }

  /** Nothing is lost: what the destination lacks is here, and it says what that is when it can be heard again. */
  async #pause(error: MigrationError): Promise<void> {
    const { wire, interrupt, urgent } = this.#connected;
    interrupt.raise(error);
    urgent?.abort(error);
    await this.#sending?.catch(() => {});
    this.#sending = undefined;
    if (wire.peerGaveUp) throw error;
    // Before anybody hears that it is paused: who hears it may have the next connection at hand.
    let wanted = this.#recovery.wanted(error);
    this.#options.move({ type: "connection-lost", error });
    // Nothing waits for a connection that is broken.
    wire.close({ kind: "in-doubt" }).catch(() => {});
    for (;;) {
      const connect = await wanted;
      this.#options.move({ type: "recover" });
      try {
        await this.#reconnect(wire, connect);
        this.#recovery.done();
        return;
      } catch (problem) {
        const known = asMigrationError(problem, "source");
        const failed = this.#recovery.failing();
        wanted = this.#recovery.wanted(known);
        this.#options.move({ type: "connection-lost", error: known });
        failed(known);
      }
    }
  }

  async #reconnect(before: SourcePagesWire, connect: () => Promise<Channel>): Promise<void> {
    const interrupt = new Interrupt();
    const channel = await this.#recovery.open(connect, interrupt);
    const told = this.#pages.resumed(interrupt);
    told.catch(() => {});
    let wire: SourcePagesWire | undefined;
    try {
      wire = await talkOf(before).resume(channel, interrupt);
      this.#isComplete = wire.isComplete === true;
      if (!this.#isComplete) await this.#recovery.soon(told, interrupt, "the destination does not say what it has");
      this.#connected = this.#connection(wire, interrupt, undefined);
      if (!this.#isComplete) await this.#openUrgent(interrupt, connect);
    } catch (error) {
      interrupt.raise(asMigrationError(error, "source"));
      channel.abort(error);
      throw error;
    }
    if (this.#isRunning) this.#options.move({ type: "running" });
    else this.#runs(undefined);
  }

  #send(): Promise<void> {
    const { interrupt } = this.#connected;
    this.#sending = this.#pages.send(this.#connected);
    // Whoever waits for another thing meanwhile is told at once.
    this.#sending.catch((error: unknown) => interrupt.raise(asMigrationError(error, "source")));
    return this.#sending;
  }

  async #openUrgent(interrupt: Interrupt, connect: () => Promise<Channel>): Promise<void> {
    if (!this.#options.hasUrgent) return;
    const { wire } = this.#connected;
    const channel = await this.#recovery.open(connect, interrupt);
    try {
      const page = await this.#recovery.soon(wire.openPages(channel, 0), interrupt, takesNothing);
      this.#connected = this.#connection(wire, interrupt, this.#watched(page, interrupt));
    } catch (error) {
      channel.abort(error);
      throw error;
    }
  }

  /** Counts what goes by it. The main connection's watch does not see it: what it does not take ends the connection, too. */
  #watched(page: PageChannel, interrupt: Interrupt): PageChannel {
    const { buffered, sentUrgent } = this.#options;
    const held = buffered.channel(mostChannelBytes);
    return {
      send: async (bytes) => {
        held.add(bytes.length);
        try {
          await this.#recovery.soon(page.send(bytes), interrupt, takesNothing);
        } finally {
          held.remove(bytes.length);
        }
        sentUrgent(bytes.length);
      },
      close: () => this.#recovery.soon(page.close(), interrupt, takesNothing),
      abort: (error) => page.abort(error),
    };
  }

  #connection(wire: SourcePagesWire, interrupt: Interrupt, urgent: PageChannel | undefined): Connected {
    return { wire, interrupt, urgent, send: (chunks) => this.#options.send(wire, chunks) };
  }
}

const takesNothing = "the connection for pages that are asked for takes nothing";

function talkOf(wire: { readonly postcopy?: SourcePostcopyWire | undefined }): SourcePostcopyWire {
  if (wire.postcopy !== undefined) return wire.postcopy;
  throw migrationError("PROTOCOL_ORDER", "this connection knows no post-copy", { side: "source" });
}
