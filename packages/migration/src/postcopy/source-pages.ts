// Post-copy at the source: the package, and the pages that follow it, those that somebody waits for before all others.
import { type OutgoingAttempt, Writer } from "@godwit/core";
import { RateLimit } from "../bandwidth.ts";
import { asMigrationError, migrationError } from "../codes.ts";
import type { HostClock, MigratableRam } from "../host.ts";
import type { Interrupt } from "../interrupt.ts";
import type { MigrationParameters } from "../parameters.ts";
import { postcopyListen, postcopyRun, ramDiscards } from "../qemu/commands.ts";
import type { PageChannel } from "../wire.ts";
import type { PageMessage } from "./messages.ts";
import type { SourcePostcopyWire } from "./wire.ts";

/** Of a record beside its page: its word and a block's name, and a share of the section around it. Bytes. */
const recordBytes = 300;
/** What goes out between two looks at what is asked for: more of it would stand in a request's way. Bytes. */
const backgroundBytes = 64 * 1024;
/** What is asked for goes out in pieces, however much that is: a piece is held in memory. Bytes. */
const mostRequestedBytes = 1024 * 1024;
/** Bitmaps are of whole 64-bit words. */
const bitsOfWord = 64;

export interface SourcePagesOptions {
  readonly clock: HostClock;
  readonly ram: MigratableRam;
  readonly attempt: OutgoingAttempt;
  /** As they are now: they may change while this runs. */
  parameters(): MigrationParameters;
  yieldToHost(): Promise<void>;
  /** Of the stream, so far. */
  sentBytes(): number;
}

/** A connection that pages go over: another one after each recovery. */
export interface SourceConnection {
  readonly interrupt: Interrupt;
  /** Adds to the stream. */
  send(chunks: Iterable<Uint8Array>): Promise<void>;
  /** For pages that somebody waits for: the capability postcopy-preempt. What it does ends when `interrupt` is raised. */
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
  async sendPackage(
    connection: SourceConnection,
    holdsBack: boolean,
    commands: NonNullable<SourcePostcopyWire["commands"]> = { before: [], inside: [] },
  ): Promise<Uint8Array | undefined> {
    const { attempt, ram } = this.#options;
    await connection.send(attempt.switchOver());
    for (const { idstr, ranges } of ram.postcopySource.discards()) {
      for (const command of ramDiscards(idstr, ranges)) await connection.send([attempt.command(command)]);
    }
    for (const command of commands.before) await connection.send([attempt.command(command)]);
    const packaged = attempt.package([postcopyListen], [...commands.inside, postcopyRun]);
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

  /** Of a block's bitmap; undefined where there is no such block. */
  bitmapBytes(name: string): number | undefined {
    const { blocks, pageBytes } = this.#options.ram;
    const block = blocks.find(({ idstr }) => idstr === name);
    return block && Math.ceil(block.length / pageBytes / bitsOfWord) * (bitsOfWord / 8);
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
    const { attempt, clock, ram, yieldToHost, sentBytes } = this.#options;
    this.#connection = connection;
    try {
      this.#sendUrgent();
      while (attempt.pending(false).canPostcopyBytes > 0) {
        connection.interrupt.check();
        const askedBytes = ram.postcopySource.requestedPages * (ram.pageBytes + recordBytes);
        const requestedBytes = Math.min(askedBytes, mostRequestedBytes);
        const delayMs = requestedBytes > 0 ? 0 : this.#limit.delayMs(clock.nowMs());
        if (delayMs > 0) {
          await this.#rest(connection.interrupt, delayMs);
          continue;
        }
        const background = this.#limit.budgetBytes(backgroundBytes, clock.nowMs());
        const fromBytes = sentBytes();
        await connection.send(attempt.iterate(requestedBytes > 0 ? requestedBytes : background));
        // Pages that somebody waits for are not held back, and hold back nothing.
        if (requestedBytes === 0) this.#limit.sent(sentBytes() - fromBytes, clock.nowMs());
        await connection.interrupt.wait(yieldToHost());
      }
      await this.#endUrgent(connection);
      await connection.send(attempt.finish());
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

  /** Ends with the connection: its sends do. */
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
