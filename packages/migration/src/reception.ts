// The connections of an incoming migration, told apart by their first bytes (wire reference 7.1, 9.6).
import { asMigrationError, migrationError } from "./codes.ts";
import type { Channel, HostClock } from "./host.ts";
import type { Interrupt } from "./interrupt.ts";

/** What a connection brings: a stream of either protocol, or pages beside it. */
export type ConnectionKind = "godwit" | "qemu" | "pages" | "unknown";

export interface Connection {
  readonly kind: ConnectionKind;
  /** As if nobody had looked. */
  readonly channel: Channel;
}

export interface ReceptionOptions {
  accept(): Promise<Channel>;
  readonly clock: HostClock;
  readonly interrupt: Interrupt;
  readonly peerTimeoutMs: number;
}

const magicBytes = 4;
/** The first four bytes of a connection, big-endian. */
const magics: ReadonlyMap<number, ConnectionKind> = new Map([
  [0x47445754, "godwit"],
  [0x5145564d, "qemu"],
  // Of Godwit's own channels for pages, "GDWC", and of multifd's.
  [0x47445743, "pages"],
  [0x11223344, "pages"],
]);

/**
 * Waits for connections one after another. The first that brings a stream is the main one; QEMU's channels of pages may
 * come before it, and the one for urgent pages says nothing at first, so that it is told by its order: it comes last.
 */
export class Reception {
  readonly #options: ReceptionOptions;
  readonly #early: Channel[] = [];
  #onPages: ((channel: Channel) => void) | undefined;
  #isOver = false;

  constructor(options: ReceptionOptions) {
    this.#options = options;
  }

  /** `PEER_SILENT` where a connection says nothing. */
  async main(): Promise<Connection> {
    for (;;) {
      const channel = await this.#options.interrupt.wait(this.#accept());
      const connection = await this.#look(channel);
      if (connection.kind !== "pages") return connection;
      this.#early.push(connection.channel);
    }
  }

  /** From now on connections beside the main one are taken, and given out as they come; those that came before at once. */
  takePages(onPages: (channel: Channel) => void): void {
    this.#onPages = onPages;
    for (const channel of this.#early.splice(0)) onPages(channel);
    void this.#acceptMore();
  }

  /** A connection that comes when nobody waits for it any more is closed again. */
  end(): void {
    this.#isOver = true;
    const error = migrationError("PEER_CLOSED", "the migration is over", { side: "destination" });
    for (const channel of this.#early.splice(0)) channel.abort(error);
  }

  async #acceptMore(): Promise<void> {
    const { interrupt } = this.#options;
    while (!this.#isOver && interrupt.reason === undefined) {
      try {
        const channel = await this.#accept();
        if (!this.#isOver) this.#onPages?.(channel);
      } catch (error) {
        // Whoever listens has stopped: that more connections cannot come matters only if one is needed.
        if (interrupt.reason === undefined && !this.#isOver) this.#failure = asMigrationError(error, "destination");
        return;
      }
    }
  }

  #failure: unknown;
  /** Why no further connection will come, if that is so. */
  get failure(): unknown {
    return this.#failure;
  }

  #accept(): Promise<Channel> {
    const opening = this.#options.accept();
    opening.then(
      (channel) => {
        const { reason } = this.#options.interrupt;
        if (reason !== undefined || this.#isOver) channel.abort(reason ?? new Error("the migration is over"));
      },
      () => {},
    );
    return opening;
  }

  async #look(channel: Channel): Promise<Connection> {
    const { clock, interrupt, peerTimeoutMs } = this.#options;
    const reader = channel.receive()[Symbol.asyncIterator]();
    const seen: Uint8Array[] = [];
    const head = new Uint8Array(magicBytes);
    let filled = 0;
    const stop = clock.after(peerTimeoutMs, () => {
      const detail = `who connected has said nothing for ${peerTimeoutMs} ms`;
      interrupt.raise(migrationError("PEER_SILENT", detail, { side: "destination" }));
    });
    try {
      while (filled < magicBytes) {
        const { done, value } = await interrupt.wait(reader.next());
        if (done === true) break;
        seen.push(value);
        const taken = Math.min(value.length, magicBytes - filled);
        head.set(value.subarray(0, taken), filled);
        filled += taken;
      }
    } catch (error) {
      if (interrupt.reason !== undefined) {
        channel.abort(interrupt.reason);
        throw interrupt.reason;
      }
      return { kind: "unknown", channel: replaying(channel, seen, reader, { error }) };
    } finally {
      stop();
    }
    const kind = filled < magicBytes ? "unknown" : (magics.get(new DataView(head.buffer).getUint32(0)) ?? "unknown");
    return { kind, channel: replaying(channel, seen, reader) };
  }
}

/** The channel, whose first chunks were read already and come once more. */
function replaying(
  channel: Channel,
  seen: Uint8Array[],
  reader: AsyncIterator<Uint8Array>,
  failed?: { readonly error: unknown },
): Channel {
  const next = async (): Promise<IteratorResult<Uint8Array>> => {
    const chunk = seen.shift();
    if (chunk !== undefined) return { done: false, value: chunk };
    if (failed !== undefined) throw failed.error;
    return reader.next();
  };
  return {
    send: (bytes) => channel.send(bytes),
    receive: () => ({ [Symbol.asyncIterator]: () => ({ next }) }),
    close: () => channel.close(),
    abort: (error) => channel.abort(error),
  };
}
