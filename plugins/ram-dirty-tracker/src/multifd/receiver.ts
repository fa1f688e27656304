// The receiving side of multifd: its channels, and where they meet the main stream.
import { MigrationError } from "@godwit/core";
import type { ListedBlock } from "../ram-sink.ts";
import { defaultPageBytes } from "../records.ts";
import { noCompression, type PageCompression } from "../stream-codec.ts";
import { ChannelReader, type PageTarget } from "./channel-reader.ts";
import { type MultifdHello, noUuid } from "./hello.ts";
import type { MultifdPacket } from "./packet.ts";

/**
 * Which marker of the main stream goes with a SYNC on every channel, decided by the machine type on both sides:
 * `section`: the end of every ram section (up to 8.0: multifd-flush-after-each-section); `round`: a MULTIFD_FLUSH record.
 */
export type MultifdSync = "section" | "round";

export interface MultifdReceiverInit {
  /** How many channels there are: multifd-channels. */
  readonly channels: number;
  readonly sync: MultifdSync;
  /** Bytes of a target page. The default is 4096. */
  readonly pageBytes?: number;
  /** The machine's UUID, 16 bytes. The default is none: zeros. */
  readonly uuid?: Uint8Array;
  /** The default is none. */
  readonly compression?: PageCompression;
  /** For tools: each packet's header, before its pages. */
  onPacket?(channel: number, packet: MultifdPacket): void;
}

/** One connection of multifd, as its bytes come. */
export interface MultifdInput {
  /** The channel's number, once its hello is here. */
  readonly channel: number | undefined;
  /** It waits at a SYNC: what is pushed now is kept in memory, so that a reader with a choice pauses. */
  readonly isHeld: boolean;
  /**
   * Takes bytes, and keeps no reference to them. `MULTIFD_HELLO`, `MULTIFD_PACKET`, `RAM_BLOCK_UNKNOWN`, `RAM_OFFSET`,
   * `PAGE_CODEC`, with the path `channels[1].packets[7]...` and the offset in this channel.
   */
  push(bytes: Uint8Array): void;
  /** The connection is at its end. `STREAM_TRUNCATED` within a packet. */
  end(): void;
}

export interface MultifdReceiver {
  /** A connection, in whichever order they come. `MULTIFD_HELLO` for one more than there are channels. */
  accept(): MultifdInput;
  /** All channels are there and wait for the main stream: it can be resumed, with no bytes if none have come. */
  readonly isSynced: boolean;
  /** The main stream stands at its marker until every channel has come to its SYNC. */
  readonly isAwaited: boolean;
  /** Whether the main stream's record is known here. */
  knows(kind: "mfflush"): boolean;
  /** Asked by the main stream's decoder. True: the record has no meaning here, or all channels go on from their SYNC. */
  mayPass(kind: "eos" | "mfflush"): boolean;
}

export function multifdReceiver<B extends ListedBlock>(
  init: MultifdReceiverInit,
  target: PageTarget<B>,
): MultifdReceiver {
  const { channels, sync, pageBytes = defaultPageBytes, uuid = noUuid, compression = noCompression } = init;
  const readers: ChannelReader<B>[] = [];
  const taken = new Set<number>();
  let awaits = false;

  const refuse = (detail: string, path: string, expected: string, found: string): MigrationError =>
    new MigrationError("MULTIFD_HELLO", detail, { section: "ram/0", path, expected, found });

  const greet = ({ uuid: theirs, channel }: MultifdHello): void => {
    if (theirs.some((byte, index) => byte !== uuid[index])) {
      throw refuse("the channel is of another machine", "hello.uuid", hex(uuid), hex(theirs));
    }
    if (channel >= channels) {
      throw refuse("there are not so many channels", "hello.id", `below ${channels}`, String(channel));
    }
    if (taken.has(channel))
      throw refuse("the channel is here already", "hello.id", "each channel once", String(channel));
    taken.add(channel);
  };

  const isSynced = (): boolean => readers.length === channels && readers.every((reader) => reader.isHeld);
  const awaited = (kind: "eos" | "mfflush"): boolean => kind === (sync === "section" ? "eos" : "mfflush");

  return {
    get isSynced() {
      return isSynced();
    },
    get isAwaited() {
      return awaits;
    },
    accept() {
      if (readers.length === channels) {
        throw refuse("there are not so many channels", "channels", String(channels), String(channels + 1));
      }
      const reader: ChannelReader<B> = new ChannelReader({
        pageBytes,
        compression,
        target,
        greet,
        onPacket: (packet) => init.onPacket?.(reader.channel as number, packet),
      });
      readers.push(reader);
      return reader;
    },
    knows: () => sync === "round",
    mayPass(kind) {
      if (!awaited(kind)) return true;
      awaits = !isSynced();
      if (!awaits) {
        for (const reader of readers) reader.release();
        return true;
      }
      const ended = readers.find((reader) => reader.isEnded && !reader.isHeld);
      if (ended === undefined) return false;
      throw new MigrationError("MULTIFD_SYNC", "a channel has ended before the main stream's marker", {
        section: "ram/0",
        expected: `a SYNC on channel ${ended.channel ?? "of unknown number"}`,
        found: "its end",
      });
    },
  };
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
