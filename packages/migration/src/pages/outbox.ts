// What waits to be sent over one connection of pages: the ram handler writes without waiting, the transport takes its time.
import type { ChannelBytes } from "../buffered.ts";
import type { PageChannel } from "../wire.ts";

/** A handler is asked for more only while less than this waits. Bytes; the bound of what an engine holds a channel is 4 MiB. */
const enoughBytes = 1024 * 1024;

export class Outbox {
  readonly #channel: PageChannel;
  readonly #failed: (error: unknown) => void;
  readonly #held: ChannelBytes;
  readonly #waiting: Uint8Array[] = [];
  #sending = false;
  #wake: (() => void)[] = [];

  /** `failed`: the connection is lost; called once. `held` counts what waits here. */
  constructor(channel: PageChannel, failed: (error: unknown) => void, held: ChannelBytes) {
    this.#channel = channel;
    this.#failed = failed;
    this.#held = held;
  }

  /** Of all that was handed over. */
  takenBytes = 0;

  /** Handed over by the handler and not yet taken by the transport. */
  get heldBytes(): number {
    return this.#held.bytes;
  }

  /** `LENGTH_BOUND` where nobody has waited for `room`. */
  put(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#held.add(bytes.length);
    this.#waiting.push(bytes);
    if (!this.#sending) void this.#send();
  }

  /** Resolves when there is room for more; never, once the connection is lost. Undefined: there is. */
  room(): Promise<void> | undefined {
    return this.#below(enoughBytes);
  }

  /** Resolves when all of it was taken. Undefined: it is. */
  empty(): Promise<void> | undefined {
    return this.#below(0);
  }

  #below(mostBytes: number): Promise<void> | undefined {
    return this.heldBytes > mostBytes ? this.#until(mostBytes) : undefined;
  }

  async #until(mostBytes: number): Promise<void> {
    while (this.heldBytes > mostBytes) await this.#change();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  async #send(): Promise<void> {
    this.#sending = true;
    try {
      for (let bytes = this.#waiting.shift(); bytes !== undefined; bytes = this.#waiting.shift()) {
        await this.#channel.send(bytes);
        this.#held.remove(bytes.length);
        this.takenBytes += bytes.length;
        for (const wake of this.#wake.splice(0)) wake();
      }
      this.#sending = false;
    } catch (error) {
      // Whoever waits is woken by the end of the attempt, which this is.
      this.#waiting.length = 0;
      this.#held.remove(this.#held.bytes);
      this.#failed(error);
    }
  }
}
