// The source's side towards a QEMU: its stream and nothing else, and its return path, which is always on.
import { Writer } from "@godwit/core";
import { sectionType } from "@godwit/core/stream";
import { asMigrationError, migrationError } from "../codes.ts";
import { closingGraceMs } from "../options.ts";
import type { Farewell, Resumed, SourceWire, SourceWireOptions, WireCommand } from "../wire.ts";
import { openReturnPath, type PostcopyPages, ping, postcopyAdvise } from "./commands.ts";
import { type ReturnMessage, ReturnPathReader } from "./return-path.ts";
import { type Deferred, deferred, soon } from "./waiting.ts";

export interface QemuSourceWireOptions extends SourceWireOptions {
  /** The capability postcopy-ram: QEMU is advised of it before RAM. */
  readonly postcopy?: PostcopyPages | undefined;
  /** How long the bitmap of a block must be, for recovery. Bytes. */
  bitmapBytes?(idstr: string): number | undefined;
  /** What the destination says beside PONG and SHUT: pages that it waits for, and what it has. */
  heard?(message: ReturnMessage): void;
}

/** The PING that goes with OPEN_RETURN_PATH, as QEMU numbers it. */
const openingPing = 1;
/** Ours count from here on, clear of QEMU's own numbers 1 to 4 and 0x42. */
const firstPing = 0x100;

/**
 * A QEMU knows no epoch and needs no leave: it runs the machine when it has read the stream's EOF. So EOF is held back
 * until `release`. Before it, a PING that stands behind every device's section is answered only when QEMU has loaded
 * them all. After it the machine is QEMU's, whatever is heard; `completed` only on SHUT(0).
 */
export function qemuSourceWire(options: QemuSourceWireOptions): SourceWire {
  const { channel, interrupt } = options;
  const marks = new Map<
    number,
    { streamBytes: number | undefined; readonly answered: Deferred<void>; isAnswered: boolean }
  >();
  const shut = deferred<void>();
  let nextPing = firstPing;
  let streamBytes = 0;
  let isReleased = false;
  let isShut = false;
  let gaveUp = false;
  let isClosed = false;

  const expectPong = (value: number) => {
    const mark = { streamBytes: undefined as number | undefined, answered: deferred<void>(), isAnswered: false };
    marks.set(value, mark);
    return mark;
  };
  expectPong(openingPing).streamBytes = 0;

  const hear = (message: ReturnMessage): void => {
    if (message.kind === "pong") hearPong(message.value);
    else if (message.kind === "shut") hearShut(message.status);
    else options.heard?.(message);
  };

  const hearPong = (value: number): void => {
    const mark = marks.get(value);
    if (mark === undefined || mark.isAnswered) {
      throw migrationError("PROTOCOL_ORDER", "QEMU answers a PING that was not sent", {
        path: "return-path.value",
        expected: [...marks].flatMap(([sent, { isAnswered }]) => (isAnswered ? [] : [sent])).join(" or ") || "none",
        found: String(value),
      });
    }
    mark.isAnswered = true;
    if (mark.streamBytes !== undefined && value !== openingPing) options.decoded(mark.streamBytes);
    mark.answered.resolve();
  };

  const hearShut = (status: number): void => {
    if (status !== 0) {
      // Its own word that it does not run the machine.
      gaveUp = true;
      const found = `SHUT(${status})`;
      throw migrationError("PEER_FAILED", "QEMU says that it could not load the machine; its log says why", { found });
    }
    if (!isReleased) {
      throw migrationError("PROTOCOL_ORDER", "QEMU says that it has loaded a machine that it was not given", {
        expected: "SHUT behind the stream's EOF",
        found: "SHUT(0)",
      });
    }
    isShut = true;
    shut.resolve();
  };

  const reader = new ReturnPathReader({
    message: hear,
    ...(options.bitmapBytes && { bitmapBytes: (idstr: string) => options.bitmapBytes?.(idstr) }),
  });

  const read = async (): Promise<void> => {
    try {
      for await (const chunk of channel.receive()) {
        if (isClosed) return;
        reader.push(chunk);
      }
      if (isShut || isClosed) return;
      const detail = "QEMU closed the connection before it said how the load went; its log may say why";
      throw migrationError("PEER_CLOSED", detail, {});
    } catch (error) {
      if (isClosed || isShut) return;
      interrupt.raise(lost(error));
    }
  };
  void read();

  const put = (bytes: Uint8Array): Promise<void> =>
    soon(options, "source", "QEMU has taken nothing", sending(channel.send(bytes)));

  return {
    runsOnLast: true,
    opening: [
      openReturnPath,
      ping(openingPing),
      ...(options.postcopy === undefined ? [] : [postcopyAdvise(options.postcopy)]),
    ],
    get peerGaveUp() {
      return gaveUp;
    },
    // QEMU compares nothing before the first page.
    agree: async () => ({ refused: [], warnings: [] }),
    async openPages(pages) {
      return { send: (bytes) => pages.send(bytes), close: () => pages.close(), abort: (error) => pages.abort(error) };
    },
    async send(chunk) {
      streamBytes += chunk.length;
      await put(chunk);
    },
    flush: async () => interrupt.check(),
    async endRound(_round, write) {
      const value = nextPing++;
      const mark = expectPong(value);
      await write(ping(value));
      mark.streamBytes = streamBytes;
      if (mark.isAnswered) options.decoded(streamBytes);
    },
    async end() {
      // Not of the attempt's own stream: it stands between its last section and its EOF.
      const value = nextPing++;
      expectPong(value);
      await put(encoded(ping(value)));
    },
    async prepared() {
      const last = [...marks.values()].at(-1);
      if (last !== undefined)
        await soon(options, "source", "QEMU has not loaded what it was sent", last.answered.promise);
    },
    async release(last): Promise<Resumed> {
      isReleased = true;
      if (last !== undefined) await put(last);
      await soon(options, "source", "QEMU has not said how the load went", shut.promise);
      return { prepareMs: undefined, commitMs: undefined };
    },
    async close(_farewell: Farewell) {
      // QEMU has no word for a source that gives up: it sees the connection end, and does not run what it has.
      isClosed = true;
      const stop = options.clock.after(closingGraceMs, () => {
        channel.abort(migrationError("PEER_SILENT", "QEMU does not let the connection close", { side: "source" }));
      });
      try {
        await channel.close();
      } catch {
        channel.abort(migrationError("PEER_CLOSED", "the connection is closed", { side: "source" }));
      } finally {
        stop();
      }
    },
  };
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
