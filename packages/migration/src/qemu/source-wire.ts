// The source's side towards a QEMU: its stream and nothing else, and its return path, which is always on.
import { Writer } from "@godwit/core";
import { sectionType } from "@godwit/core/stream";
import { BufferedBytes, mostChannelBytes, mostMainBytes } from "../buffered.ts";
import { asMigrationError, migrationError } from "../codes.ts";
import type { Channel } from "../host.ts";
import type { Interrupt } from "../interrupt.ts";
import { closingGraceMs } from "../options.ts";
import type { PageMessage } from "../postcopy/messages.ts";
import type { SourcePagesWire, SourcePostcopyWire } from "../postcopy/wire.ts";
import type { Resumed, SourceWire, SourceWireOptions, WireCommand } from "../wire.ts";
import { openReturnPath, ping, postcopyResume, ramDiscardNothing, recvBitmap } from "./commands.ts";
import { type ReturnMessage, ReturnPathReader } from "./return-path.ts";
import { type Deferred, deferred, soon } from "./waiting.ts";

export interface QemuSourceWireOptions extends SourceWireOptions {
  /** RAM, for post-copy: what QEMU is asked about after a connection was lost. Bytes. */
  blocks?(): readonly { readonly idstr: string; readonly length: number }[];
  readonly pageBytes?: number | undefined;
}

/** The PINGs of post-copy as QEMU numbers them: with OPEN_RETURN_PATH, before the package, behind the devices in it. */
const pings = { opening: 1, beforePackage: 2, inPackage: 3 } as const;
/** Ours count from here on, clear of QEMU's own numbers. */
const firstPing = 0x100;
const bitsOfLong = 64;
const bytesOfLong = 8;

interface Mark {
  /** Where the PING stands in the stream; undefined: that is not asked. */
  streamBytes: number | undefined;
  readonly answered: Deferred<void>;
  isAnswered: boolean;
}

/**
 * A QEMU knows no epoch and needs no leave: it runs the machine when it has read the stream's EOF, or post-copy's
 * package. So that is held back until `release`. Before it, a PING that stands behind all the rest is answered only when
 * QEMU has loaded that. After it the machine is QEMU's, whatever is heard; `completed` only on SHUT(0).
 */
export function qemuSourceWire(options: QemuSourceWireOptions): SourceWire {
  return new QemuSource(options).wire();
}

/** What all connections of a migration have in common: after the first, each follows one that was lost. */
class QemuSource {
  readonly #options: QemuSourceWireOptions;
  readonly #marks = new Map<number, Mark>();
  readonly #shut = deferred<void>();
  readonly #buffered: BufferedBytes;
  #connection: Connection;
  #nextPing = firstPing;
  #streamBytes = 0;
  #isReleased = false;
  #isShut = false;
  #gaveUp = false;
  #hear: ((message: PageMessage) => void) | undefined;
  /** Blocks whose bitmap is asked for, in a recovery. */
  #asked = new Set<string>();

  constructor(options: QemuSourceWireOptions) {
    this.#options = options;
    this.#buffered = options.buffered ?? new BufferedBytes();
    for (const value of Object.values(pings)) this.#expectPong(value);
    this.#connection = this.#connect(options.channel, options.interrupt);
  }

  wire(): SourceWire {
    const source = this;
    return {
      ...this.#pagesWire(this.#connection),
      runsOnLast: true,
      opening: [openReturnPath, ping(pings.opening)],
      get peerGaveUp() {
        return source.#gaveUp;
      },
      // QEMU compares nothing before the first page.
      agree: async () => ({ isRefused: false, misfits: [] }),
      endRound: (_round, write) => this.#endRound(write),
      end: () => this.#end(),
      prepared: () => this.#prepared(),
      release: (last) => this.#release(last),
      close: () => this.#connection.close(),
    };
  }

  #pagesWire(connection: Connection): SourcePagesWire & Pick<SourceWire, "send" | "flush" | "openPages"> {
    const source = this;
    return {
      get peerGaveUp() {
        return source.#gaveUp;
      },
      async openPages(pages) {
        return { send: (bytes) => pages.send(bytes), close: () => pages.close(), abort: (error) => pages.abort(error) };
      },
      send: async (chunk) => {
        this.#streamBytes += chunk.length;
        await connection.put(chunk);
      },
      flush: async () => connection.interrupt.check(),
      postcopy: this.#postcopy(connection),
      close: () => connection.close(),
    };
  }

  #postcopy(connection: Connection): SourcePostcopyWire {
    const { blocks } = this.#options;
    return {
      get commands() {
        const discards = (blocks?.() ?? []).slice(0, 1).map(({ idstr }) => ramDiscardNothing(idstr));
        return { before: [...discards, ping(pings.beforePackage)], inside: [ping(pings.inPackage)] };
      },
      hear: (handler) => {
        this.#hear = handler;
      },
      packaged: () => this.#answer(connection, pings.beforePackage),
      running: async (last) => {
        this.#isReleased = true;
        if (last !== undefined) await connection.put(last);
        // It stands behind the devices, and nothing behind it can fail but the run itself.
        await this.#answer(connection, pings.inPackage);
        return { prepareMs: undefined, commitMs: undefined };
      },
      finished: () => connection.soon("QEMU has not said that it has everything", this.#shut.promise),
      resume: (channel, interrupt) => this.#resume(channel, interrupt),
    };
  }

  async #endRound(write: (command: WireCommand) => Promise<void>): Promise<void> {
    const value = this.#nextPing++;
    const mark = this.#expectPong(value);
    await write(ping(value));
    mark.streamBytes = this.#streamBytes;
    if (mark.isAnswered) this.#options.decoded(mark.streamBytes);
  }

  async #end(): Promise<void> {
    // Not of the attempt's own stream: it stands between its last section and its EOF.
    const value = this.#nextPing++;
    this.#expectPong(value);
    await this.#connection.put(encoded(ping(value)));
  }

  async #prepared(): Promise<void> {
    await this.#answer(this.#connection, this.#nextPing - 1);
  }

  async #release(last: Uint8Array | undefined): Promise<Resumed> {
    this.#isReleased = true;
    if (last !== undefined) await this.#connection.put(last);
    await this.#connection.soon("QEMU has not said how the load went", this.#shut.promise);
    return { prepareMs: undefined, commitMs: undefined };
  }

  /** QEMU's order (wire reference 9.5): a bitmap for each block, and when all have come, the leave to go on. */
  async #resume(channel: Channel, interrupt: Interrupt): Promise<SourcePagesWire> {
    const connection = this.#connect(channel, interrupt);
    this.#connection = connection;
    const blocks = this.#options.blocks?.() ?? [];
    this.#asked = new Set(blocks.map(({ idstr }) => idstr));
    for (const { idstr } of blocks) await connection.put(encoded(recvBitmap(idstr)));
    return this.#pagesWire(connection);
  }

  #connect(channel: Channel, interrupt: Interrupt): Connection {
    const { blocks } = this.#options;
    return new Connection(
      { ...this.#options, channel, interrupt, buffered: this.#buffered },
      {
        message: (message) => this.#heard(message),
        ...(blocks && { bitmapBytes: (idstr: string) => this.#bitmapBytes(idstr) }),
      },
      () => this.#isShut,
    );
  }

  #bitmapBytes(idstr: string): number | undefined {
    const block = this.#options.blocks?.().find((one) => one.idstr === idstr);
    const pages = (block?.length ?? 0) / (this.#options.pageBytes ?? 4096);
    return block && Math.ceil(pages / bitsOfLong) * bytesOfLong;
  }

  #expectPong(value: number): Mark {
    const mark: Mark = { streamBytes: undefined, answered: deferred(), isAnswered: false };
    this.#marks.set(value, mark);
    return mark;
  }

  #answer(connection: Connection, value: number): Promise<void> {
    const mark = this.#marks.get(value);
    if (mark === undefined) throw migrationError("PROTOCOL_ORDER", "no PING was sent", { side: "source" });
    return connection.soon("QEMU has not loaded what it was sent", mark.answered.promise);
  }

  #heard(message: ReturnMessage): void {
    switch (message.kind) {
      case "pong":
        this.#heardPong(message.value);
        break;
      case "shut":
        this.#heardShut(message.status);
        break;
      case "request-pages":
        this.#told({ ...message, kind: "page-request" });
        break;
      case "received-bitmap":
        this.#heardBitmap(message);
        break;
      case "resume-ack":
        this.#told({ kind: "resume-ack" });
        break;
      case "switchover-ack":
        break;
    }
  }

  #told(message: PageMessage): void {
    if (this.#hear === undefined) {
      const detail = "QEMU asks for pages of a machine that it has whole, or not yet";
      throw migrationError("PROTOCOL_ORDER", detail, { found: message.kind });
    }
    this.#hear(message);
  }

  #heardBitmap(message: Extract<ReturnMessage, { kind: "received-bitmap" }>): void {
    if (!this.#asked.delete(message.idstr)) {
      throw migrationError("PROTOCOL_ORDER", "QEMU says what it was not asked", { found: `pages of ${message.idstr}` });
    }
    this.#told(message);
    if (this.#asked.size > 0) return;
    const { interrupt } = this.#connection;
    this.#connection.put(encoded(postcopyResume)).catch((error: unknown) => interrupt.raise(lost(error)));
  }

  #heardPong(value: number): void {
    const mark = this.#marks.get(value);
    if (mark === undefined || mark.isAnswered) {
      throw migrationError("PROTOCOL_ORDER", "QEMU answers a PING that was not sent", {
        path: "return-path.value",
        expected:
          [...this.#marks].flatMap(([sent, { isAnswered }]) => (isAnswered ? [] : [sent])).join(" or ") || "none",
        found: String(value),
      });
    }
    mark.isAnswered = true;
    if (mark.streamBytes !== undefined) this.#options.decoded(mark.streamBytes);
    mark.answered.resolve();
  }

  #heardShut(status: number): void {
    if (status !== 0) {
      // Its own word that it does not run the machine.
      this.#gaveUp = true;
      const found = `SHUT(${status})`;
      throw migrationError("PEER_FAILED", "QEMU says that it could not load the machine; its log says why", { found });
    }
    if (!this.#isReleased) {
      throw migrationError("PROTOCOL_ORDER", "QEMU says that it has loaded a machine that it was not given", {
        expected: "SHUT behind the stream's EOF",
        found: "SHUT(0)",
      });
    }
    this.#isShut = true;
    this.#shut.resolve();
  }
}

/** One connection: what is sent, and a reader of the return path that ends the attempt where that breaks. */
class Connection {
  readonly interrupt: Interrupt;
  readonly #options: SourceWireOptions;
  readonly #held: ReturnType<BufferedBytes["channel"]>;
  readonly #reader: ReturnPathReader;
  readonly #isOver: () => boolean;
  #isClosed = false;

  constructor(
    options: SourceWireOptions & { readonly buffered: BufferedBytes },
    reading: ConstructorParameters<typeof ReturnPathReader>[0],
    isOver: () => boolean,
  ) {
    this.#options = options;
    this.interrupt = options.interrupt;
    this.#held = options.buffered.channel(mostMainBytes);
    this.#reader = new ReturnPathReader(reading);
    this.#isOver = isOver;
    void this.#read();
  }

  /** The driver writes one thing after the other: nobody comes between the pieces of one. */
  async put(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += mostChannelBytes) {
      await this.#putPiece(bytes.subarray(at, at + mostChannelBytes));
    }
  }

  soon<T>(what: string, promise: Promise<T>): Promise<T> {
    return soon(this.#options, "source", what, promise);
  }

  /** QEMU has no word for a source that gives up: it sees the connection end, and does not run what it has. */
  async close(): Promise<void> {
    const { channel, clock } = this.#options;
    this.#isClosed = true;
    const stop = clock.after(closingGraceMs, () => {
      channel.abort(migrationError("PEER_SILENT", "QEMU does not let the connection close", { side: "source" }));
    });
    try {
      await channel.close();
    } catch {
      channel.abort(migrationError("PEER_CLOSED", "the connection is closed", { side: "source" }));
    } finally {
      stop();
    }
  }

  async #putPiece(bytes: Uint8Array): Promise<void> {
    this.#held.add(bytes.length);
    try {
      await this.soon("QEMU has taken nothing", sending(this.#options.channel.send(bytes)));
    } finally {
      this.#held.remove(bytes.length);
    }
  }

  async #read(): Promise<void> {
    try {
      for await (const chunk of this.#options.channel.receive()) {
        if (this.#isClosed) return;
        this.#reader.push(chunk);
      }
      if (this.#isOver() || this.#isClosed) return;
      const detail = "QEMU closed the connection before it said how the load went; its log may say why";
      throw migrationError("PEER_CLOSED", detail, {});
    } catch (error) {
      if (this.#isClosed || this.#isOver()) return;
      this.interrupt.raise(lost(error));
    }
  }
}

/** A connection that breaks is told by its reader, too, who may know better why. */
async function sending(sent: Promise<void>): Promise<void> {
  try {
    await sent;
  } catch (error) {
    // The last word of a QEMU that has closed is read before this is said.
    await Promise.resolve();
    throw lost(error);
  }
}

function lost(error: unknown) {
  const known = asMigrationError(error, "source");
  const ours = known.code.startsWith("TRANSPORT_")
    ? migrationError("PEER_CLOSED", "the connection to QEMU broke", { cause: error })
    : known;
  return ours.location.side === undefined ? ours.at({ side: "source" }) : ours;
}

/** A command between two sections, as the stream holds it. */
function encoded({ command, payload }: WireCommand): Uint8Array {
  const out = new Writer(16);
  out.u8(sectionType.command);
  out.u16(command);
  out.u16(payload.length);
  out.raw(payload);
  return out.flush();
}
