// The destination's side towards a QEMU: reads its stream, answers on the return path that QEMU opened.
import type { MigrationError } from "@godwit/core";
import { BufferedBytes, mostMainBytes } from "../buffered.ts";
import { asMigrationError, migrationError } from "../codes.ts";
import type { Channel } from "../host.ts";
import type { Interrupt } from "../interrupt.ts";
import { closingGraceMs } from "../options.ts";
import type { PageMessage } from "../postcopy/messages.ts";
import type { DestinationPagesWire, DestinationPostcopyWire } from "../postcopy/wire.ts";
import type { DestinationWire, DestinationWireOptions, WireCommand } from "../wire.ts";
import { decodeCommand } from "./commands.ts";
import { type ReturnMessage, ReturnPathWriter } from "./return-path.ts";
import { type Deferred, deferred } from "./waiting.ts";

/** How far a stream has come. `eof`: nothing more must come, but its own description may. */
export type StreamEnd = "open" | "eof" | "whole";

export interface QemuDestinationWireOptions extends DestinationWireOptions {
  /** Of what `stream` was given so far. */
  streamEnd(): StreamEnd;
  /** How long the vmdesc may take behind EOF; a machine type may have none. Milliseconds, default 2000. */
  readonly afterEofMs?: number;
}

const defaultAfterEofMs = 2000;
/**
 * OPEN_RETURN_PATH stands behind the configuration, and that is short. A guest whose pages are nearly all zero is not much
 * more, and its QEMU must hear of this before it has sent all of it. Bytes.
 */
const openedWithinBytes = 4096;
/** More blocks than any machine has. */
const mostBlocks = 4096;
/** Messages that QEMU has not taken: a guest has no more processors that wait for a page. */
const mostMessages = 4096;

/**
 * QEMU gives its machine away with the stream's EOF and takes it back unless it hears SHUT(0): that is said only when the
 * machine is here and complete. Where the word does not get through, QEMU runs its machine again, and so it is said
 * whether it did (`resumed` rejects). In post-copy it gives it away with the package, and takes nothing back.
 */
export function qemuDestinationWire(options: QemuDestinationWireOptions): DestinationWire {
  return new QemuDestination(options).wire();
}

/** What all connections of a migration have in common: after the first, each follows one that was lost. */
class QemuDestination {
  readonly #options: QemuDestinationWireOptions;
  readonly #buffered: BufferedBytes;
  readonly #ended = deferred<"whole" | "package">();
  #whole = deferred<void>();
  #connection: Connection;
  #isOpen = false;
  #isEnded = false;
  #mayRun = false;
  #stopAfterEof: (() => void) | undefined;
  /** What QEMU has asked for, in a recovery: nothing is said before. */
  readonly #bitmapAsked = new Map<string, Deferred<void>>();
  #isRecovering = false;
  #resumeAsked = deferred<void>();

  constructor(options: QemuDestinationWireOptions) {
    this.#options = options;
    this.#buffered = options.buffered ?? new BufferedBytes();
    this.#connection = this.#connect(options.channel, options.interrupt);
  }

  wire(): DestinationWire {
    const destination = this;
    const first = this.#connection;
    return {
      get receivedBytes() {
        return destination.#connection.receivedBytes;
      },
      // QEMU sends no manifest: what does not fit is found where it comes.
      agree: async () => [],
      readPages: (pages) => pages.receive(),
      command: (command) => this.#command(command),
      async accept() {
        first.begin();
      },
      ended: async () => {
        const how = await first.interrupt.wait(this.#ended.promise);
        if (!this.#isOpen) throw withoutReturnPath();
        return how;
      },
      // QEMU's machine stands since before its EOF, and waits for our word. One that is gone by now runs it, or nobody does.
      prepared: async () => first.interrupt.check(),
      resumed: () => this.#shut(first),
      postcopy: this.#postcopy(first),
      close: async ({ kind }) => {
        this.#stopAfterEof?.();
        const isOver = kind === "completed" || kind === "lost";
        // Without a return path it counts on what it could send: nothing more of that may be taken.
        if (!this.#isOpen) first.breakOff();
        else await first.close(isOver ? undefined : { kind: "shut", status: 1 });
      },
    };
  }

  #postcopy(connection: Connection): DestinationPostcopyWire {
    return {
      say: (message) => this.#say(connection, message),
      // QEMU takes its run for granted.
      running: async () => {},
      finished: async (channelsEnded) => {
        await connection.interrupt.wait(this.#whole.promise);
        // QEMU keeps it open until it has heard SHUT.
        await channelsEnded(true);
      },
      complete: () => this.#shut(connection),
      resume: async (channel, interrupt) => this.#resume(channel, interrupt),
    };
  }

  async #say(connection: Connection, message: PageMessage): Promise<void> {
    switch (message.kind) {
      case "page-request":
        return connection.say({ ...message, kind: "request-pages" });
      case "received-bitmap":
        await connection.interrupt.wait(this.#askedFor(message.idstr).promise);
        return connection.say(message);
      case "resume-ack":
        await connection.interrupt.wait(this.#resumeAsked.promise);
        return connection.say({ kind: "resume-ack", value: 1 });
    }
  }

  #resume(channel: Channel, interrupt: Interrupt): DestinationPagesWire {
    this.#isRecovering = true;
    this.#bitmapAsked.clear();
    this.#resumeAsked = deferred();
    this.#whole = deferred();
    this.#isEnded = false;
    const connection = this.#connect(channel, interrupt);
    this.#connection = connection;
    connection.begin();
    return {
      postcopy: this.#postcopy(connection),
      readPages: (pages) => pages.receive(),
      close: () => connection.close(undefined),
    };
  }

  #askedFor(idstr: string): Deferred<void> {
    const known = this.#bitmapAsked.get(idstr) ?? deferred<void>();
    if (this.#bitmapAsked.size === mostBlocks && !this.#bitmapAsked.has(idstr)) {
      throw migrationError("PROTOCOL_ORDER", "QEMU asks for the pages of more blocks than there can be", {
        side: "destination",
        expected: `at most ${mostBlocks}`,
      });
    }
    this.#bitmapAsked.set(idstr, known);
    return known;
  }

  /** SHUT(0); QEMU hangs up when it has heard it. */
  async #shut(connection: Connection): Promise<void> {
    const { clock, peerTimeoutMs } = this.#options;
    await connection.say({ kind: "shut", status: 0 });
    // Not before: a QEMU that hangs up while this is on its way out cannot have heard it, and runs its machine again.
    connection.mayEnd = true;
    const silent = deferred<MigrationError>();
    const stop = clock.after(peerTimeoutMs, () => {
      silent.resolve(migrationError("PEER_SILENT", "QEMU does not hang up", { side: "destination" }));
    });
    const problem = await Promise.race([connection.gone.promise, silent.promise]);
    stop();
    if (problem !== undefined) throw problem;
  }

  #command(command: WireCommand & { readonly offset: number }): boolean {
    const live = decodeCommand(command, command.offset);
    const connection = this.#connection;
    switch (live.kind) {
      case "open-return-path":
        this.#isOpen = true;
        return true;
      case "ping":
        if (!this.#isOpen) throw withoutReturnPath();
        connection.say({ kind: "pong", value: live.value }).catch((error) => connection.interrupt.raise(broken(error)));
        return true;
      case "recv-bitmap":
        if (!this.#isRecovering) return false;
        this.#askedFor(live.idstr).resolve();
        return true;
      case "postcopy-resume":
        if (!this.#isRecovering) return false;
        this.#resumeAsked.resolve();
        return true;
      // A gate for device loaders that there are none of here.
      case "switchover-start":
        return true;
      case "postcopy-run":
        this.#mayRun = true;
        return false;
      default:
        return false;
    }
  }

  #connect(channel: Channel, interrupt: Interrupt): Connection {
    return new Connection({ ...this.#options, channel, interrupt, buffered: this.#buffered }, (chunk, connection) =>
      this.#take(chunk, connection),
    );
  }

  async #take(chunk: Uint8Array, connection: Connection): Promise<void> {
    if (this.#isEnded) {
      throw migrationError("PROTOCOL_ORDER", "QEMU sends more than its stream", { found: `${chunk.length} bytes` });
    }
    const kept = this.#options.stream(chunk);
    if (kept !== undefined) await connection.interrupt.wait(kept);
    if (!this.#isOpen && connection.receivedBytes > openedWithinBytes) throw withoutReturnPath();
    this.#look(connection);
  }

  #look(connection: Connection): void {
    const { clock, streamEnd, afterEofMs = defaultAfterEofMs } = this.#options;
    if (this.#mayRun) this.#ended.resolve("package");
    const at = streamEnd();
    this.#stopAfterEof?.();
    if (at === "open") return;
    const end = (): void => {
      this.#isEnded = true;
      connection.isQuiet = true;
      this.#ended.resolve("whole");
      this.#whole.resolve();
    };
    if (at === "whole" || this.#mayRun) end();
    else this.#stopAfterEof = clock.after(afterEofMs, end);
  }
}

/** One connection: read from `begin` on, watched over, and spoken to. */
class Connection {
  readonly interrupt: Interrupt;
  /** Of the stream, by this connection. */
  receivedBytes = 0;
  /** It has ended: why, where not in good order. */
  readonly gone = deferred<MigrationError | undefined>();
  /** SHUT(0) has gone out: the machine is this side's, and QEMU may hang up. */
  mayEnd = false;
  /** QEMU waits for us, and says nothing meanwhile. */
  isQuiet = false;
  readonly #options: DestinationWireOptions;
  readonly #held: ReturnType<BufferedBytes["channel"]>;
  readonly #take: (chunk: Uint8Array, connection: Connection) => Promise<void>;
  readonly #writer = new ReturnPathWriter();
  #messages = 0;
  #isClosed = false;
  #heardMs: number;
  #stopWatch: (() => void) | undefined;

  constructor(
    options: DestinationWireOptions & { readonly buffered: BufferedBytes },
    take: (chunk: Uint8Array, connection: Connection) => Promise<void>,
  ) {
    this.#options = options;
    this.interrupt = options.interrupt;
    this.#held = options.buffered.channel(mostMainBytes);
    this.#take = take;
    this.#heardMs = options.clock.nowMs();
    this.#watch(options.peerTimeoutMs);
  }

  begin(): void {
    void this.#read();
  }

  async say(message: ReturnMessage): Promise<void> {
    if (++this.#messages > mostMessages) {
      throw migrationError("PEER_SILENT", "QEMU does not read what it is told", { side: "destination" });
    }
    try {
      await this.#options.channel.send(this.#writer.write(message));
    } finally {
      this.#messages--;
    }
  }

  breakOff(): void {
    this.#stopWatch?.();
    this.#isClosed = true;
    this.#options.channel.abort(broken(undefined));
  }

  async close(lastWord: ReturnMessage | undefined): Promise<void> {
    const { channel, clock } = this.#options;
    this.#stopWatch?.();
    this.#isClosed = true;
    const stop = clock.after(closingGraceMs, () => channel.abort(broken(undefined)));
    try {
      if (lastWord !== undefined) await this.say(lastWord);
      await channel.close();
    } catch {
      channel.abort(broken(undefined));
    } finally {
      stop();
    }
  }

  async #read(): Promise<void> {
    try {
      for await (const chunk of this.#options.channel.receive()) {
        if (this.#isClosed) return;
        this.#heardMs = this.#options.clock.nowMs();
        this.receivedBytes += chunk.length;
        this.#held.add(chunk.length);
        try {
          await this.#take(chunk, this);
        } finally {
          this.#held.remove(chunk.length);
        }
        this.#heardMs = this.#options.clock.nowMs();
      }
      if (!this.mayEnd && !this.#isClosed) {
        throw migrationError("PEER_CLOSED", "QEMU closed the connection before the migration was over", {});
      }
      this.gone.resolve(undefined);
    } catch (error) {
      if (this.#isClosed) return;
      this.gone.resolve(broken(error));
      this.interrupt.raise(broken(error));
    }
  }

  #watch(delayMs: number): void {
    const { clock, peerTimeoutMs } = this.#options;
    this.#stopWatch = clock.after(delayMs, () => {
      const silentMs = clock.nowMs() - this.#heardMs;
      if (this.isQuiet || this.#isClosed || this.interrupt.reason !== undefined) return;
      if (silentMs < peerTimeoutMs) this.#watch(peerTimeoutMs - silentMs);
      else
        this.interrupt.raise(
          broken(migrationError("PEER_SILENT", `QEMU has sent nothing for ${Math.round(silentMs)} ms`)),
        );
    });
  }
}

function withoutReturnPath(): MigrationError {
  return migrationError("PROTOCOL_ORDER", "QEMU has not opened a return path: it needs the capability return-path", {
    side: "destination",
    expected: "OPEN_RETURN_PATH before RAM",
    found: "none",
  });
}

function broken(error: unknown): MigrationError {
  if (error === undefined) return migrationError("PEER_CLOSED", "the connection is closed", { side: "destination" });
  const known = asMigrationError(error, "destination");
  const ours = known.code.startsWith("TRANSPORT_")
    ? migrationError("PEER_CLOSED", "the connection to QEMU broke", { cause: error })
    : known;
  return ours.location.side === undefined ? ours.at({ side: "destination" }) : ours;
}
