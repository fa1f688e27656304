// multifd at the source: the connections beside the main one, and what waits in front of them.
import { isMigrationError } from "@godwit/core";
import { type BufferedBytes, mostChannelBytes } from "../buffered.ts";
import { migrationError } from "../codes.ts";
import type { Channel, HostClock } from "../host.ts";
import type { Interrupt } from "../interrupt.ts";
import { closingGraceMs } from "../options.ts";
import type { SourceWire } from "../wire.ts";
import { closeAll } from "./close-all.ts";
import { Outbox } from "./outbox.ts";

export interface PageSendersOptions {
  readonly channels: number;
  readonly clock: HostClock;
  readonly interrupt: Interrupt;
  /** How long a connection may take nothing of what waits for it. Milliseconds. */
  readonly peerTimeoutMs: number;
  readonly wire: SourceWire;
  readonly buffered: BufferedBytes;
  connect(): Promise<Channel>;
}

export class PageSenders {
  readonly #options: PageSendersOptions;
  readonly #outboxes: Outbox[] = [];
  readonly #connections: Channel[] = [];
  #stopWaiting: (() => void) | undefined;

  constructor(options: PageSendersOptions) {
    this.#options = options;
  }

  /** Makes all connections, one after another. */
  async open(): Promise<void> {
    const { channels, clock, interrupt, peerTimeoutMs, wire, buffered, connect } = this.#options;
    // Why it broke is said on the main connection, if at all, and may come a little later.
    const lost = (error: unknown): void => {
      this.#stopWaiting ??= clock.after(closingGraceMs, () => interrupt.raise(closedBy(error)));
    };
    for (let index = 0; index < channels; index++) {
      const stop = clock.after(peerTimeoutMs, () => interrupt.raise(silent(index, peerTimeoutMs)));
      try {
        const connection = await interrupt.wait(connect());
        this.#connections.push(connection);
        const page = await interrupt.wait(wire.openPages(connection, index));
        this.#outboxes.push(new Outbox(page, lost, buffered.channel(mostChannelBytes)));
      } catch (error) {
        throw interrupt.reason ?? closedBy(error);
      } finally {
        stop();
      }
    }
  }

  /** What the ram handler writes each channel's bytes to. */
  get sinks(): readonly ((bytes: Uint8Array) => void)[] {
    return this.#outboxes.map((outbox) => (bytes) => outbox.put(bytes));
  }

  get takenBytes(): number {
    return this.#outboxes.reduce((sum, { takenBytes }) => sum + takenBytes, 0);
  }

  /** Resolves when every channel has room for more. `PEER_SILENT`. */
  room(): Promise<void> {
    return this.#each((outbox) => outbox.room());
  }

  /** Resolves when the transport has taken everything. `PEER_SILENT`. */
  empty(): Promise<void> {
    return this.#each((outbox) => outbox.empty());
  }

  /** What does not let itself be closed is broken off. */
  async close(): Promise<void> {
    this.#stopWaiting?.();
    await closeAll(this.#connections, this.#options.clock, "source");
  }

  abort(error: unknown): void {
    this.#stopWaiting?.();
    for (const connection of this.#connections) connection.abort(error);
  }

  async #each(wait: (outbox: Outbox) => Promise<void> | undefined): Promise<void> {
    for (const [index, outbox] of this.#outboxes.entries()) {
      const waiting = wait(outbox);
      if (waiting === undefined) continue;
      const stop = this.#watch(index, outbox);
      try {
        await this.#options.interrupt.wait(waiting);
      } finally {
        stop();
      }
    }
  }

  /** Ends the attempt when the channel has taken nothing for too long. */
  #watch(index: number, outbox: Outbox): () => void {
    const { clock, interrupt, peerTimeoutMs } = this.#options;
    let before = outbox.takenBytes;
    let stop = (): void => {};
    const look = (): void => {
      if (outbox.takenBytes === before) interrupt.raise(silent(index, peerTimeoutMs));
      before = outbox.takenBytes;
      stop = clock.after(peerTimeoutMs, look);
    };
    stop = clock.after(peerTimeoutMs, look);
    return () => stop();
  }
}

function silent(index: number, peerTimeoutMs: number) {
  const detail = `channel ${index} of multifd has taken nothing for ${peerTimeoutMs} ms`;
  return migrationError("PEER_SILENT", detail, { side: "source" });
}

function closedBy(error: unknown) {
  if (isMigrationError(error)) return error;
  return migrationError("PEER_CLOSED", "a connection of pages failed", { side: "source", cause: error });
}
