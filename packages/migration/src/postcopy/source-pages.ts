// Post-copy at the source: the package, and the pages that follow it, those that somebody waits for before all others.
import { type OutgoingAttempt, Writer } from "@godwit/core";
import { RateLimit } from "../bandwidth.ts";
import { asMigrationError, migrationError } from "../codes.ts";
import type { HostClock, MigratableRam } from "../host.ts";
import type { Interrupt } from "../interrupt.ts";
import type { MigrationParameters } from "../parameters.ts";
import { ping, postcopyListen, postcopyRun, ramDiscards } from "../qemu/commands.ts";
import type { PageChannel } from "../wire.ts";
import type { PageMessage } from "./messages.ts";

/** PINGs that QEMU puts around and into the package; a destination answers them. */
const pings = { before: 2, packaged: 3, behind: 4 } as const;
/** Of a record beside its page: its word and a block's name, and a share of the section around it. Bytes. */
const recordBytes = 300;
/** What goes out between two looks at what is asked for: more of it would stand in a request's way. Bytes. */
const backgroundBytes = 64 * 1024;

export interface SourcePagesOptions {
  readonly clock: HostClock;
  readonly ram: MigratableRam;
  readonly attempt: OutgoingAttempt;
  /** As they are now: they may change while this runs. */
  parameters(): MigrationParameters;
  yieldToHost(): Promise<void>;
}

/** A connection that pages go over: another one after each recovery. */
export interface SourceConnection {
  readonly interrupt: Interrupt;
  /** Adds to the stream. */
  send(chunks: Iterable<Uint8Array>): Promise<void>;
  /** For pages that somebody waits for: the capability postcopy-preempt. */
  readonly urgent?: PageChannel | undefined;
}

export class SourcePages {
  readonly #options: SourcePagesOptions;
  readonly #limit: RateLimit;
  #connection: SourceConnection | undefined;
  #wake: (() => void) | undefined;
  #urgent: Promise<void> | undefined;
  /** Blocks whose bitmap has come, in a recovery. */
  #told = new Set<string>();
  #onResumed: (() => void) | undefined;

  constructor(options: SourcePagesOptions) {
    this.#options = options;
    const { clock, parameters } = options;
    this.#limit = new RateLimit(() => parameters()["max-postcopy-bandwidth"], clock.nowMs());
  }

  /**
   * The machine stands: what the destination must drop, and the package, which lets it run the machine. With
   * `holdsBack` the package is not sent, but given out.
   */
  async sendPackage(connection: SourceConnection, holdsBack: boolean): Promise<Uint8Array | undefined> {
    const { attempt, ram } = this.#options;
    await connection.send(attempt.switchOver());
    for (const { idstr, ranges } of ram.postcopySource.discards()) {
      for (const command of ramDiscards(idstr, ranges)) await connection.send([attempt.command(command)]);
    }
    await connection.send([attempt.command(ping(pings.before))]);
    const packaged = attempt.package([postcopyListen], [ping(pings.packaged), postcopyRun]);
    if (holdsBack) return packaged;
    await connection.send([packaged]);
    return undefined;
  }

  /** What a destination says. `RAM_BLOCK_UNKNOWN`, `RAM_OFFSET`, `RAM_BLOCK_MISMATCH`, `PROTOCOL_ORDER`. */
  hear(message: PageMessage): void {
    const { postcopySource, blocks } = this.#options.ram;
    if (message.kind === "page-request") {
      postcopySource.request(message.idstr, message.start, message.length);
      this.#sendUrgent();
      this.#wake?.();
    } else if (message.kind === "received-bitmap") {
      if (this.#onResumed === undefined || this.#told.has(message.idstr)) throw unasked(message.kind);
      postcopySource.received(message.idstr, message.bitmap);
      this.#told.add(message.idstr);
    } else {
      const missing = blocks.filter(({ idstr }) => !this.#told.has(idstr));
      if (this.#onResumed === undefined || missing.length > 0) throw unasked(message.kind);
      this.#onResumed();
      this.#onResumed = undefined;
    }
  }

  /** A new connection: resolves when the destination has said of every block what it has. */
  resumed(interrupt: Interrupt): Promise<void> {
    this.#told = new Set();
    return interrupt.race<void>((resolve) => {
      this.#onResumed = () => resolve();
      return () => {
        this.#onResumed = undefined;
      };
    });
  }

  /** Sends pages until all have gone; those that are asked for first. The answer ends with the connection. */
  async send(connection: SourceConnection): Promise<void> {
    const { attempt, clock, ram, yieldToHost } = this.#options;
    this.#connection = connection;
    try {
      this.#sendUrgent();
      while (attempt.pending(false).canPostcopyBytes > 0) {
        connection.interrupt.check();
        const requestedBytes = ram.postcopySource.requestedPages * (ram.pageBytes + recordBytes);
        const delayMs = requestedBytes > 0 ? 0 : this.#limit.delayMs(clock.nowMs());
        if (delayMs > 0) {
          await this.#rest(connection.interrupt, delayMs);
          continue;
        }
        const background = this.#limit.budgetBytes(backgroundBytes, clock.nowMs());
        const chunks = [...attempt.iterate(requestedBytes > 0 ? requestedBytes : background)];
        await connection.send(chunks);
        // Pages that somebody waits for are not held back, and hold back nothing.
        const bytes = chunks.reduce((sum, { length }) => sum + length, 0);
        if (requestedBytes === 0) this.#limit.sent(bytes, clock.nowMs());
        await connection.interrupt.wait(yieldToHost());
      }
      await this.#endUrgent(connection);
      // All of it at once: a section that was begun for one connection must not be ended on another.
      await connection.send([...attempt.finish()]);
    } finally {
      this.#connection = undefined;
    }
  }

  /** Until background pages may go again, or somebody asks for one. */
  async #rest(interrupt: Interrupt, delayMs: number): Promise<void> {
    await interrupt.race<void>((resolve) => {
      const stop = this.#options.clock.after(delayMs, () => resolve());
      this.#wake = () => {
        stop();
        resolve();
      };
      return stop;
    });
    this.#wake = undefined;
  }

  /** What is asked for while the channel is busy waits for it, or goes by the stream if that is free before. */
  #sendUrgent(): void {
    const { urgent, interrupt } = this.#connection ?? {};
    if (urgent === undefined || interrupt === undefined || this.#urgent !== undefined) return;
    this.#urgent = this.#pump(urgent)
      .catch((error: unknown) => interrupt.raise(asMigrationError(error, "source")))
      .finally(() => {
        this.#urgent = undefined;
      });
  }

  async #pump(urgent: PageChannel): Promise<void> {
    const { postcopySource } = this.#options.ram;
    while (postcopySource.requestedPages > 0) {
      const out = new Writer(backgroundBytes);
      postcopySource.urgent(out, backgroundBytes);
      if (out.pos === 0) return;
      await urgent.send(out.flush());
    }
  }

  async #endUrgent({ urgent, interrupt }: SourceConnection): Promise<void> {
    if (urgent === undefined) return;
    await interrupt.wait(this.#urgent ?? Promise.resolve());
    const out = new Writer(8);
    this.#options.ram.postcopySource.urgentEnd(out);
    await interrupt.wait(urgent.send(out.flush()));
    await interrupt.wait(urgent.close());
  }
}

function unasked(kind: string) {
  return migrationError("PROTOCOL_ORDER", "the destination says what it was not asked, or not all of it", {
    side: "source",
    found: kind,
  });
}
