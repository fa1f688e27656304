// multifd at the destination: connections beside the main one, which meet it at each synchronisation.
import type { MigrationError } from "@godwit/core";
import { type BufferedBytes, mostChannelBytes } from "../buffered.ts";
import { asMigrationError, migrationError } from "../codes.ts";
import type { Channel, HostClock, MultifdInput, MultifdInputs } from "../host.ts";
import type { Interrupt } from "../interrupt.ts";
import { closeAll } from "./close-all.ts";

/** What comes of a connection that never was this migration's: it left, spoke otherwise, or named another session. */
const strange: ReadonlySet<string> = new Set(["PEER_CLOSED", "PEER_KIND", "PROTOCOL_ORDER", "PROTOCOL_VERSION"]);

export interface PageReceiversOptions {
  readonly interrupt: Interrupt;
  readonly clock: HostClock;
  readonly peerTimeoutMs: number;
  /** Where what is held of the connections is counted. */
  readonly buffered: BufferedBytes;
  /** The ram handler's receiver, once the stream has begun. */
  inputs(): MultifdInputs | undefined;
  /** The bytes that a connection brings, as the wire has verified them. */
  read(channel: Channel): AsyncIterable<Uint8Array>;
  /** A connection is not this migration's: it has brought nothing that was taken. */
  stranger(channel: Channel, why: MigrationError): void;
  /** All connections have come to where the main stream stands: it goes on. */
  synced(): void;
}

export class PageReceivers {
  readonly #options: PageReceiversOptions;
  readonly #channels: Channel[] = [];
  readonly #waiting: (() => void)[] = [];
  #heardMs: number;

  constructor(options: PageReceiversOptions) {
    this.#options = options;
    this.#heardMs = options.clock.nowMs();
  }

  add(channel: Channel): void {
    this.#channels.push(channel);
    this.#read(channel).catch((error) => this.#options.interrupt.raise(asMigrationError(error, "destination")));
  }

  #drop(channel: Channel, why: MigrationError): void {
    this.#channels.splice(this.#channels.indexOf(channel), 1);
    this.#options.stranger(channel, why);
  }

  /** The main stream has moved: whoever waited for it looks again. */
  moved(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** While the main stream waits for pages, nothing more is read of it. `PEER_SILENT` where they do not come. */
  async mainMayGoOn(): Promise<void> {
    const { clock, interrupt, peerTimeoutMs } = this.#options;
    this.#heardMs = clock.nowMs();
    while (this.#options.inputs()?.isAwaited === true) {
      const silentMs = clock.nowMs() - this.#heardMs;
      const stop = clock.after(Math.max(0, peerTimeoutMs - silentMs), () => {
        if (clock.nowMs() - this.#heardMs < peerTimeoutMs) return this.moved();
        const detail = `no channel has brought pages for ${peerTimeoutMs} ms, and the main stream waits for them`;
        interrupt.raise(migrationError("PEER_SILENT", detail, { side: "destination" }));
      });
      try {
        await interrupt.wait(this.#change());
      } finally {
        stop();
      }
    }
  }

  /** What does not let itself be closed is broken off. */
  close(): Promise<void> {
    return closeAll(this.#channels, this.#options.clock, "destination");
  }

  abort(error: unknown): void {
    for (const channel of this.#channels) channel.abort(error);
  }

  /** What comes is heard before it is a whole frame: on a slow connection that takes its time. */
  #heard(channel: Channel, heard: () => void): Channel {
    const chunks = async function* (this: PageReceivers): AsyncGenerator<Uint8Array> {
      for await (const chunk of channel.receive()) {
        this.#heardMs = this.#options.clock.nowMs();
        heard();
        yield chunk;
      }
    };
    return {
      send: (bytes) => channel.send(bytes),
      receive: () => chunks.call(this),
      recycle: (bytes) => channel.recycle?.(bytes),
      close: () => channel.close(),
      abort: (error) => channel.abort(error),
    };
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async #read(channel: Channel): Promise<void> {
    const { inputs, interrupt, read, synced } = this.#options;
    // Pages may come before the main stream has said what they are pages of.
    let receiver = inputs();
    for (; receiver === undefined; receiver = inputs()) await interrupt.wait(this.#change());
    const held = this.#options.buffered.channel(mostChannelBytes);
    let hasSpoken = false;
    let input: MultifdInput | undefined;
    const heard = this.#heard(channel, () => {
      hasSpoken = true;
    });
    try {
      for await (const bytes of read(heard)) {
        // Only what was taken for this migration's counts as one of its connections.
        input ??= receiver.accept();
        held.add(bytes.length);
        input.push(bytes);
        if (receiver.isAwaited && receiver.isSynced) {
          synced();
          this.moved();
        }
        while (input.isHeld && interrupt.reason === undefined) await interrupt.wait(this.#change());
        held.remove(bytes.length);
      }
    } catch (error) {
      const known = asMigrationError(error, "destination");
      if (input !== undefined || (hasSpoken && !strange.has(known.code))) throw known;
      return this.#drop(channel, known);
    }
    if (input === undefined) return this.#drop(channel, left());
    input.end();
    // A main stream that waits for this one must hear that it waits in vain.
    if (receiver.isAwaited) synced();
  }
}

function left(): MigrationError {
  return migrationError("PEER_CLOSED", "a connection of pages has brought none", { side: "destination" });
}
