// The connections of an incoming migration, told apart by their first bytes (wire reference 7.1, 9.6).
import { isMigrationError, type MigrationError } from "@godwit/core";
import { asMigrationError, migrationError, overFor } from "./codes.ts";
import type { Channel, HostClock } from "./host.ts";
import type { Interrupt } from "./interrupt.ts";
import { orAborted } from "./opening.ts";

/** What a connection brings: a stream of either protocol, or pages beside it. */
export type ConnectionKind = "godwit" | "qemu" | "pages" | "unknown";

export interface Connection {
  readonly kind: ConnectionKind;
  /** As if nobody had looked. */
  readonly channel: Channel;
}

/** It said nothing, and left. */
interface Gone {
  readonly kind: "gone";
  readonly reason: MigrationError;
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

/** Of pages that came before the main one: more than multifd has. */
const mostEarly = 255;

/**
 * Waits for connections one after another, and for no more than are needed: whoever comes later is somebody else's. The
 * first that brings a stream is the main one; QEMU's channels of pages may come before it, and the one for urgent pages
 * says nothing at first, so that it is told by its order: it comes last. One that says nothing and leaves (who looks for
 * open ports does) is no connection at all.
 */
export class Reception {
  readonly #options: ReceptionOptions;
  readonly #early: Channel[] = [];
  #onPages: ((channel: Channel) => void) | undefined;
  /** Connections of pages that are still to come. */
  #missing = 0;
  #isAccepting = false;
  #isOver = false;

  constructor(options: ReceptionOptions) {
    this.#options = options;
  }

  /** `PEER_SILENT` where a connection says nothing and stays; why the last one left, where no other can come. */
  async main(): Promise<Connection> {
    const left = new WeakSet<Channel>();
    let reason: MigrationError | undefined;
    for (;;) {
      const channel = await this.#next(reason);
      // Whoever has but one connection to give gives it again.
      if (reason !== undefined && left.has(channel)) throw reason;
      const connection = await this.#look(channel);
      if (connection.kind === "gone") {
        left.add(channel);
        reason = connection.reason;
        channel.abort(reason);
      } else if (connection.kind !== "pages") return connection;
      else if (this.#early.length < mostEarly) this.#early.push(connection.channel);
      else channel.abort(overFor("destination"));
    }
  }

  /** From now on so many connections of pages are taken, and given out as they come; those that came before at once. */
  takePages(channels: number, onPages: (channel: Channel) => void): void {
    this.#onPages = onPages;
    this.#missing = channels;
    for (const channel of this.#early.splice(0)) this.#give(channel);
    void this.#acceptMissing();
  }

  /** One that was given out is not this migration's: it is broken off, and another one takes its place. */
  returned(channel: Channel, why: MigrationError): void {
    channel.abort(why);
    this.#missing++;
    void this.#acceptMissing();
  }

  /** A connection that comes when nobody waits for it any more is closed again. */
  end(): void {
    this.#isOver = true;
    for (const channel of this.#early.splice(0)) channel.abort(overFor("destination"));
  }

  async #next(reason: MigrationError | undefined): Promise<Channel> {
    const { interrupt } = this.#options;
    try {
      return await interrupt.wait(this.#accept());
    } catch (error) {
      throw interrupt.reason ?? reason ?? error;
    }
  }

  async #acceptMissing(): Promise<void> {
    const { interrupt } = this.#options;
    if (this.#isAccepting) return;
    this.#isAccepting = true;
    try {
      while (this.#missing > 0 && !this.#isOver) {
        const channel = await interrupt.wait(this.#accept());
        if (!this.#isOver) this.#give(channel);
      }
    } catch (error) {
      // Without its pages the stream cannot go on.
      if (!this.#isOver) interrupt.raise(asMigrationError(error, "destination"));
    } finally {
      this.#isAccepting = false;
    }
  }

  #give(channel: Channel): void {
    this.#missing--;
    this.#onPages?.(channel);
  }

  #accept(): Promise<Channel> {
    const { accept, interrupt } = this.#options;
    return orAborted(accept(), () => interrupt.reason ?? (this.#isOver ? overFor("destination") : undefined));
  }

  async #look(channel: Channel): Promise<Connection | Gone> {
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
        if (done === true && filled === 0) return gone(undefined);
        if (done === true) break;
        seen.push(value);
        const taken = Math.min(value.length, magicBytes - filled);
        head.set(value.subarray(0, taken), filled);
        filled += taken;
        // Refused at the first byte that is wrong: who speaks something else may wait for an answer.
        if (!mayBecomeMagic(head.subarray(0, filled))) break;
      }
    } catch (error) {
      if (interrupt.reason !== undefined) {
        channel.abort(interrupt.reason);
        throw interrupt.reason;
      }
      if (filled === 0) return gone(error);
      return { kind: "unknown", channel: replaying(channel, seen, reader, { error }) };
    } finally {
      stop();
    }
    const kind = filled < magicBytes ? "unknown" : (magics.get(new DataView(head.buffer).getUint32(0)) ?? "unknown");
    return { kind, channel: replaying(channel, seen, reader) };
  }
}

function mayBecomeMagic(head: Uint8Array): boolean {
  return [...magics.keys()].some((magic) =>
    head.every((byte, at) => byte === ((magic >>> (8 * (magicBytes - 1 - at))) & 0xff)),
  );
}

function gone(error: unknown): Gone {
  const known = isMigrationError(error) && error.at({ side: "destination" });
  const detail = "who connected has left without a word";
  return {
    kind: "gone",
    reason: known || migrationError("PEER_CLOSED", detail, { side: "destination", cause: error }),
  };
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
    recycle: (bytes) => channel.recycle?.(bytes),
    close: () => channel.close(),
    abort: (error) => channel.abort(error),
  };
}
