// Who is recorded: of all that connect, the one that brings a stream.
import { isMigrationError } from "@godwit/core";
import type { Channel, Listener } from "@godwit/transport";
import { CliFault } from "../faults.ts";
import { within } from "./within.ts";

/** A connection that has said something. */
interface Speaker {
  readonly channel: Channel;
  readonly first: Uint8Array;
}

/**
 * The one connection that is recorded: the first that says something. Who connects and says nothing is no source: a
 * monitor that looks whether the port is open, or somebody who wants to listen at the same path.
 */
export class Source {
  readonly #listener: Listener;
  readonly #silent = new Set<Channel>();
  readonly #speaker: Promise<Speaker>;
  #found: (speaker: Speaker) => void = () => {};
  #channel: Channel | undefined;
  #answered = false;
  readonly #onSignal = (): void => this.#stop(new CliFault("RECORD_STOPPED", "the recording was stopped", { exit: 1 }));
  #failed: (why: unknown) => void = () => {};
  #stopped: CliFault | undefined;

  constructor(listener: Listener) {
    this.#listener = listener;
    this.#speaker = new Promise((resolve, reject) => {
      this.#found = resolve;
      this.#failed = reject;
    });
    // Who stops us may do so before anybody waits for a source.
    this.#speaker.catch(() => {});
    for (const signal of stopSignals) process.once(signal, this.#onSignal);
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    void this.#acceptAll();
    const { channel, first } = await this.#speaker;
    yield first;
    yield* channel.receive();
  }

  /** Throws where the recording was stopped, by what may have come only just now as well. */
  async expectAlone(): Promise<void> {
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    if (this.#stopped !== undefined) throw this.#stopped;
  }

  async answer(message: Uint8Array): Promise<void> {
    this.#answered = true;
    await this.#channel?.send(message);
  }

  async close(): Promise<void> {
    await this.#channel?.close();
  }

  abort(error: unknown): void {
    // Our last word must arrive, where there was one; else the source must see that all is not well.
    if (this.#answered) void this.#channel?.close();
    else this.#channel?.abort(error);
  }

  /** What the user should know beside what went wrong. */
  explained(error: unknown): unknown {
    if (this.#stopped !== undefined) return this.#stopped;
    if (!isMigrationError(error) || !streamCodes.has(error.code)) return error;
    const { code, detail, location } = error;
    const place = Object.fromEntries(Object.entries(location).filter(([key]) => key !== "side" && key !== "version"));
    return new CliFault(code, `nothing was recorded: ${detail}`, { exit: 1, hint: hints[code], place, cause: error });
  }

  async end(): Promise<void> {
    for (const signal of stopSignals) process.off(signal, this.#onSignal);
    for (const channel of this.#silent) channel.abort(new Error("the recording is over"));
    await this.#listener.close();
  }

  async #acceptAll(): Promise<void> {
    try {
      for (;;) void this.#hear(await this.#listener.accept());
    } catch (error) {
      this.#failed(error);
    }
  }

  async #hear(channel: Channel): Promise<void> {
    this.#silent.add(channel);
    const heard = firstOf(channel);
    let first = await within(heard, graceMs);
    while (first === "silence" && this.#channel === undefined) first = await within(heard, graceMs);
    this.#silent.delete(channel);
    if (first === "silence") this.#refuse(channel);
    else if (first === undefined) void channel.close();
    else if (this.#stopped !== undefined) channel.abort(this.#stopped);
    else if (this.#channel === undefined) {
      this.#channel = channel;
      this.#found({ channel, first });
    } else this.#refuse(channel);
  }

  /** A stream that comes by several connections is not recorded: by one alone it would look whole, and lack its pages. */
  #refuse(other: Channel): void {
    other.abort(new Error("one connection is recorded, and no other"));
    const hint = "as multifd and postcopy-preempt do: switch them off at the source, whose machine goes on there";
    this.#stop(
      new CliFault("RECORD_CHANNELS", "nothing was recorded: a second connection was made", { exit: 1, hint }),
    );
  }

  #stop(why: CliFault): void {
    this.#stopped ??= why;
    this.#failed(why);
    this.#channel?.abort(why);
    void this.#listener.close();
  }
}

/** How long another connection may be there beside the source's and say nothing. Milliseconds. */
const graceMs = 1000;
const stopSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Undefined where it ends, or breaks, without a byte. */
async function firstOf(channel: Channel): Promise<Uint8Array | undefined> {
  try {
    for await (const chunk of channel.receive()) if (chunk.length > 0) return chunk;
  } catch {
    // Broken: it has said nothing.
  }
  return undefined;
}

const streamCodes: ReadonlySet<string> = new Set([
  "MAGIC_WRONG",
  "STREAM_TRUNCATED",
  "STREAM_VERSION",
  "TRANSPORT_CLOSED",
]);
const hints: Readonly<Record<string, string>> = {
  MAGIC_WRONG: "who connected is no source of a QEMU migration; a Godwit source must be told peer=qemu",
  STREAM_TRUNCATED: "the source broke off: was its migration cancelled, or did it fail? Its machine goes on there",
  TRANSPORT_CLOSED: "the connection broke: look at the source",
};
