// `godwit record`: the destination of a live QEMU, which keeps what arrives.
import { resolve } from "node:path";
import { isMigrationError } from "@godwit/core";
import type { Channel, Listener } from "@godwit/transport";
import { isPageSize } from "../checkpoint/file-index.ts";
import { type RecordReport, recordStream } from "../checkpoint/index.ts";
import { atAddress, atFile, transportOf } from "../checkpoint/peers.ts";
import { CliFault } from "../faults.ts";
import { sizeOf, sizeText } from "../io/size.ts";
import type { Terminal } from "../io/terminal.ts";
import type { Verb } from "../verb.ts";

/**
 * `--json`: `{ address, file, fileBytes, recording: { name, createdMs, machine, pageBytes, pages, newPages, streamBytes,
 * whole, returnPath }, answered, lost }`. `pages` are in the stream, `newPages` were not in the file before; `whole` is
 * false where nothing but the connection's end says that the stream is; `answered` is false where the source was gone before
 * it was told that all went well; `lost` is null, or `{ code, message, offset }`: from there on pages were not looked for.
 */
export const record: Verb = {
  name: "record",
  summary: "be the destination of a live QEMU, and keep what arrives in a checkpoint file",
  examples: [
    ["godwit record tcp:127.0.0.1:4444 -o vm.checkpoint", "then, in QEMU's monitor: migrate tcp:127.0.0.1:4444"],
    ["godwit record unix:/run/vm.sock -o vm.checkpoint --name monday", "only pages that the file has not yet are kept"],
  ],
  define(command) {
    command
      .argument("<uri>", "where to listen: tcp:HOST:PORT (port 0: a free one) or unix:PATH")
      .requiredOption("-o, --output <file>", "the checkpoint file; a further recording joins those in it")
      .option("--name <name>", "what the recording is called (default: its number)")
      .option("--page-size <size>", "of the target's pages, where the stream does not say it", "4096")
      .option("--page-index <size>", "memory for finding pages again, 27 bytes a page", "512M");
  },
  async run({ args: [uri = ""], options, terminal }) {
    const transport = await transportOf(uri);
    const file = resolve(terminal.folder, options["output"] as string);
    const listener = await atAddress(transport.listen(uri));
    const source = new Source(listener);
    terminal.note(`listening on ${listener.uri}`);
    const progress = terminal.progress("recording");
    try {
      const report = await atFile(
        file,
        recordStream(source.chunks(), file, {
          name: options["name"] as string | undefined,
          pageBytes: pageBytesOf(options["pageSize"] as string),
          pageIndexBytes: sizeOf(options["pageIndex"] as string, "--page-index"),
          answer: (message) => source.answer(message),
          onProgress: ({ streamBytes }) => progress.update(streamBytes),
        }),
      );
      await source.close();
      progress.end();
      tell(report, file, listener.uri, terminal, options["json"] === true);
      return report.recording.whole ? 0 : 1;
    } catch (error) {
      source.abort(error);
      throw source.explained(error);
    } finally {
      progress.end();
      await source.end();
    }
  },
};

function pageBytesOf(text: string): number | undefined {
  const bytes = sizeOf(text, "--page-size");
  if (isPageSize(bytes)) return bytes === 4096 ? undefined : bytes;
  throw new CliFault("OPTION_SIZE", `--page-size: no target has pages of ${bytes} bytes`, { exit: 2 });
}

/** A connection that has said something. */
interface Speaker {
  readonly channel: Channel;
  readonly first: Uint8Array;
}

/**
 * The one connection that is recorded: the first that says something. Who connects and says nothing is no source: a
 * monitor that looks whether the port is open, or somebody who wants to listen at the same path.
 */
class Source {
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
    const first = await firstOf(channel);
    this.#silent.delete(channel);
    if (first === undefined) void channel.close();
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

function tell(report: RecordReport, file: string, address: string, terminal: Terminal, json: boolean): void {
  const { recording, fileBytes, lost, answered } = report;
  const { chunkCount: _, crc: __, ...told } = recording;
  const where = lost && { code: lost.code, message: lost.detail, offset: lost.location.offset };
  if (json) terminal.json({ address, file, fileBytes, recording: told, answered, lost: where ?? null });
  else {
    const { name, machine, pages, newPages, streamBytes } = recording;
    terminal.out(
      `recording "${name}"${machine === "" ? "" : ` of ${machine}`}: ${sizeText(streamBytes)}, ${pages} pages`,
    );
    terminal.out(`new pages: ${newPages}${pages === 0 ? "" : ` (${((100 * newPages) / pages).toFixed(1)}%)`}`);
    terminal.out(`${file}: ${sizeText(fileBytes)}`);
  }
  if (lost !== undefined) {
    terminal.note(
      `from byte ${lost.location.offset} on the stream is kept as it came, its pages not looked for: ${lost.detail}`,
    );
  }
  if (!recording.whole) {
    terminal.note("whether the stream is whole cannot be told: its end could not be read, and it ends in no vmdesc");
  }
  if (!answered) terminal.note("the source was gone before it was told that all went well: its machine goes on there");
}
