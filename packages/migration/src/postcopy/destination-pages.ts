// Post-copy at the destination: what the stream says of pages, what this side asks for, and what it has.
import { type BufferedBytes, mostChannelBytes } from "../buffered.ts";
import { asMigrationError, migrationError } from "../codes.ts";
import type { Channel, HostClock, MigratableRam } from "../host.ts";
import type { Interrupt } from "../interrupt.ts";
import { decodeCommand } from "../qemu/commands.ts";
import type { WireCommand } from "../wire.ts";
import type { PageMessage } from "./messages.ts";

export interface DestinationPagesOptions {
  readonly clock: HostClock;
  readonly ram: MigratableRam;
  readonly buffered: BufferedBytes;
}

/** A connection that pages come by: another one after each recovery. */
export interface DestinationConnection {
  readonly interrupt: Interrupt;
  say(message: PageMessage): Promise<void>;
  /** What a connection for pages that were asked for brings. */
  readPages(channel: Channel): AsyncIterable<Uint8Array>;
}

/** Where the stream stands (wire reference 9.3). */
type Phase = "none" | "advised" | "discarding" | "listening" | "running";

const order: Readonly<Record<string, readonly Phase[]>> = {
  "postcopy-advise": ["none"],
  "ram-discard": ["advised", "discarding"],
  packaged: ["advised", "discarding"],
  "postcopy-listen": ["advised", "discarding"],
  "postcopy-run": ["listening"],
};

export class DestinationPages {
  readonly #options: DestinationPagesOptions;
  #connection: DestinationConnection | undefined;
  #phase: Phase = "none";
  #urgent: Promise<void> | undefined;
  #urgentChannel: Channel | undefined;
  #onUrgent: (() => void) | undefined;
  /** The last record has come by it. */
  #isLastRead = false;
  #onLast: (() => void) | undefined;

  constructor(options: DestinationPagesOptions) {
    this.#options = options;
  }

  /** From here on connections beside the main one may bring pages. */
  get isListening(): boolean {
    return this.#phase === "listening" || this.mayRun;
  }

  /** The stream has let this side run the machine. */
  get mayRun(): boolean {
    return this.#phase === "running";
  }

  /**
   * A command of the stream, at its place. False: it is not of post-copy. `COMMAND_UNEXPECTED` where it may not come,
   * and what the ram handler refuses.
   */
  command(command: WireCommand & { readonly name: string; readonly offset: number }): boolean {
    const { ram } = this.#options;
    const live = decodeCommand(command, command.offset);
    const places = order[live.kind];
    if (places === undefined) return false;
    if (!places.includes(this.#phase)) {
      throw migrationError("PROTOCOL_ORDER", `the command ${command.name} came where it may not`, {
        side: "destination",
        section: "command",
        path: "command",
        offset: command.offset,
        found: `${command.name} while ${this.#phase}`,
      });
    }
    if (live.kind === "postcopy-advise") this.#advise(live.pages, command.offset);
    else if (live.kind === "ram-discard") {
      ram.postcopyDestination.discard(live.idstr, live.ranges);
      this.#phase = "discarding";
    } else if (live.kind === "postcopy-listen") {
      const { clock } = this.#options;
      ram.postcopyDestination.listen(
        (...page) => this.#ask(...page),
        () => clock.nowMs(),
      );
      this.#phase = "listening";
    } else if (live.kind === "postcopy-run") this.#phase = "running";
    return true;
  }

  /** From now on what is missing is asked for here. */
  connect(connection: DestinationConnection): void {
    this.#connection = connection;
  }

  disconnect(error: unknown): void {
    this.#connection = undefined;
    this.#urgentChannel?.abort(error);
    this.#urgentChannel = undefined;
  }

  /** A connection for pages that were asked for. `PROTOCOL_ORDER` for a second one. */
  takeUrgent(channel: Channel): void {
    const connection = this.#connection;
    if (connection === undefined || this.#urgent !== undefined) {
      const error = migrationError("PROTOCOL_ORDER", "one connection more than post-copy has", { side: "destination" });
      channel.abort(error);
      connection?.interrupt.raise(error);
      return;
    }
    this.#urgentChannel = channel;
    this.#onUrgent?.();
    this.#urgent = this.#readUrgent(connection, channel);
    this.#urgent.catch((error: unknown) => connection.interrupt.raise(asMigrationError(error, "destination")));
  }

  /** Resolves when the connection for pages that were asked for has come, and come to its end, or its last record has. */
  async urgentEnded(atLastRecord = false): Promise<void> {
    if (this.#urgent === undefined) {
      await new Promise<void>((resolve) => {
        this.#onUrgent = resolve;
      });
    }
    if (!atLastRecord) await this.#urgent;
    else await Promise.race([this.#urgent, new Promise<void>((resolve) => this.#whenLast(resolve))]);
  }

  #whenLast(resolve: () => void): void {
    if (this.#isLastRead) resolve();
    else this.#onLast = resolve;
  }

  /** Over the new connection: what is here, and, when the source knows, what somebody waits for. */
  async resume(connection: DestinationConnection): Promise<void> {
    const { blocks, postcopyDestination } = this.#options.ram;
    this.#urgent = undefined;
    this.#isLastRead = false;
    for (const { idstr } of blocks) {
      await connection.say({ kind: "received-bitmap", idstr, bitmap: postcopyDestination.received(idstr) });
    }
    await connection.say({ kind: "resume-ack" });
    this.connect(connection);
    postcopyDestination.retell();
  }

  #advise(pages: { readonly pageSizes: number; readonly targetPageBytes: number } | undefined, offset: number): void {
    const { pageBytes } = this.#options.ram;
    if (pages?.pageSizes === pageBytes && pages.targetPageBytes === pageBytes) {
      this.#phase = "advised";
      return;
    }
    throw migrationError("PROTOCOL_ORDER", "post-copy needs RAM pages of the same size on both sides", {
      side: "destination",
      section: "command",
      path: "postcopy-advise.page_sizes",
      offset,
      expected: `${pageBytes} bytes`,
      found: pages === undefined ? "none" : `${pages.pageSizes} and ${pages.targetPageBytes} bytes`,
    });
  }

  #ask(idstr: string, start: number, length: number): void {
    const connection = this.#connection;
    // Without a connection it is told again by the next one.
    connection
      ?.say({ kind: "page-request", idstr, start, length })
      .catch((error: unknown) => connection.interrupt.raise(asMigrationError(error, "destination")));
  }

  async #readUrgent({ interrupt, readPages }: DestinationConnection, channel: Channel): Promise<void> {
    const input = this.#options.ram.postcopyDestination.urgent();
    const held = this.#options.buffered.channel(mostChannelBytes);
    for await (const bytes of readPages(channel)) {
      interrupt.check();
      held.add(bytes.length);
      try {
        input.push(bytes);
      } finally {
        held.remove(bytes.length);
      }
      if (!input.isEnded) continue;
      this.#isLastRead = true;
      this.#onLast?.();
    }
    input.end();
    if (this.#urgentChannel === channel) this.#urgentChannel = undefined;
    // The other half of it: nothing was ever said here.
    channel.close().catch(() => {});
  }
}
