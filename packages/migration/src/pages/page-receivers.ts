// multifd at the destination: connections beside the main one, which meet it at each synchronisation.
import { type BufferedBytes, mostChannelBytes } from "../buffered.ts";
import { asMigrationError, migrationError } from "../codes.ts";
import type { Channel, HostClock, MultifdInputs } from "../host.ts";
import type { Interrupt } from "../interrupt.ts";

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

  async close(): Promise<void> {
    await Promise.allSettled(this.#channels.map((channel) => channel.close()));
  }

  abort(error: unknown): void {
    for (const channel of this.#channels) channel.abort(error);
  }

  /** What comes is heard before it is a whole frame: on a slow connection that takes its time. */
  #heard(channel: Channel): Channel {
    const chunks = async function* (this: PageReceivers): AsyncGenerator<Uint8Array> {
      for await (const chunk of channel.receive()) {
        this.#heardMs = this.#options.clock.nowMs();
        yield chunk;
      }
    };
    return {
      send: (bytes) => channel.send(bytes),
      receive: () => chunks.call(this),
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
    const input = receiver.accept();
    const held = this.#options.buffered.channel(mostChannelBytes);
    for await (const bytes of read(this.#heard(channel))) {
      held.add(bytes.length);
      input.push(bytes);
      if (receiver.isAwaited && receiver.isSynced) {
        synced();
        this.moved();
      }
      while (input.isHeld && interrupt.reason === undefined) await interrupt.wait(this.#change());
      held.remove(bytes.length);
    }
    input.end();
    // A main stream that waits for this one must hear that it waits in vain.
    if (receiver.isAwaited) synced();
  }
}
