// The channels of multifd, each saved to a file of its own: read as far as the main stream lets them.
import { closeSync, openSync, readSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { Cursor, isMigrationError, MigrationError } from "@godwit/core";
import {
  decodeHello,
  decodePacket,
  helloBytes,
  type ListedBlock,
  type MultifdInput,
  type MultifdReceiver,
  multifdReceiver,
  type PageCompression,
  type PageTarget,
  packetHeaderBytes,
} from "@godwit/ram-dirty-tracker";
import { CliFault } from "../faults.ts";
import { type Input, openInput } from "../io/input.ts";
import type { Terminal } from "../io/terminal.ts";
import { channelCompression } from "./codecs.ts";
import { onFile, writeWhole } from "./run-writer.ts";

/** A channel's bytes, wherever in them. */
export interface ChannelFile {
  /** As the user named it. */
  readonly name: string;
  /** How many of `into` were read from `offset` on; 0 at the end. */
  readAt(offset: number, into: Uint8Array): number;
  readonly bytes: number;
  close(): void;
}

/** What is read at a time: what comes behind a SYNC is held. Bytes. */
const pieceBytes = 64 * 1024;

/**
 * Opens the files. What is compressed, or a pipe, is written to a file in the folder that `scratch` gives, which is gone
 * with `close`: channels are read a part at a time, by turns.
 */
export async function openChannels(
  paths: readonly string[],
  scratch: () => string,
  terminal: Terminal,
): Promise<readonly ChannelFile[]> {
  const open: ChannelFile[] = [];
  try {
    for (const path of paths) {
      const input = await openInput(path, terminal);
      open.push(input.readAt(0, new Uint8Array(1)) === undefined ? await copied(input, scratch()) : direct(input));
    }
    return open;
  } catch (error) {
    for (const channel of open) channel.close();
    throw error;
  }
}

function direct(input: Input): ChannelFile {
  return {
    name: input.name,
    bytes: input.sizeBytes as number,
    readAt: (offset, into) => input.readAt(offset, into) as number,
    close: () => input.close(),
  };
}

async function copied(input: Input, folder: string): Promise<ChannelFile> {
  const path = join(folder, `channel-${process.hrtime.bigint()}`);
  const descriptor = onFile(() => openSync(path, "wx+"));
  let bytes = 0;
  try {
    unlinkSync(path);
    for await (const chunk of input.chunks()) {
      writeWhole(descriptor, bytes, chunk);
      bytes += chunk.length;
    }
  } catch (error) {
    closeSync(descriptor);
    throw error;
  } finally {
    input.close();
  }
  return {
    name: input.name,
    bytes,
    readAt: (offset, into) => readSync(descriptor, into, 0, into.length, offset),
    close: () => closeSync(descriptor),
  };
}

/** The channels beside a main stream. */
export interface Channels {
  /** The main stream's marker: where it is one, the channels are read up to their SYNC, and go on from there. */
  meet(kind: "eos" | "mfflush"): void;
  /** The main stream is over: what is left of the channels. */
  end(): void;
}

/**
 * How the pages are compressed, and whose channels they are, is found in the files; where the channels meet the main
 * stream is told by the main stream's first section, which has a MULTIFD_FLUSH or not. `pageBytes` is asked at the first
 * marker, and so is `uuid`: the machine's, where the main stream tells it. Errors: `CHANNEL_WRONG`, `MULTIFD_HELLO`, `MULTIFD_PACKET`, `MULTIFD_SYNC`, `STREAM_TRUNCATED` and what their pages bring.
 */
export function joinChannels(
  files: readonly ChannelFile[],
  target: PageTarget<ListedBlock>,
  pageBytes: () => number,
  uuid: () => Uint8Array | undefined,
): Channels {
  let receiver: MultifdReceiver | undefined;
  let pumps: readonly Pump[] = [];
  return {
    meet(kind) {
      if (receiver === undefined) {
        receiver = multifdReceiver(
          {
            channels: files.length,
            sync: kind === "eos" ? "section" : "round",
            pageBytes: pageBytes(),
            uuid: machineOf(files[0] as ChannelFile, uuid()),
            compression: channelCompression[methodOf(files, pageBytes())],
          },
          target,
        );
        pumps = files.map((file) => new Pump(file, (receiver as MultifdReceiver).accept()));
      }
      if (kind === "mfflush" && !receiver.knows(kind)) {
        throw new MigrationError(
          "MULTIFD_SYNC",
          "the channels meet the main stream at the end of sections, and not here",
          {
            expected: "EOS",
            found: "MULTIFD_FLUSH",
          },
        );
      }
      for (const pump of pumps) pump.untilHeld();
      if (receiver.mayPass(kind)) return;
      throw new MigrationError("MULTIFD_SYNC", "the channels do not meet the main stream's marker");
    },
    end() {
      if (receiver === undefined) return;
      for (const pump of pumps) pump.toEnd();
    },
  };
}

/** Feeds one channel from its file. */
class Pump {
  readonly #file: ChannelFile;
  readonly #input: MultifdInput;
  readonly #piece = new Uint8Array(pieceBytes);
  #at = 0;
  #ended = false;

  constructor(file: ChannelFile, input: MultifdInput) {
    this.#file = file;
    this.#input = input;
  }

  untilHeld(): void {
    while (!this.#input.isHeld && !this.#ended) this.#next();
  }

  toEnd(): void {
    this.untilHeld();
    if (!this.#input.isHeld) return;
    throw new MigrationError("MULTIFD_SYNC", "a channel waits behind the main stream's last marker", {
      section: "ram/0",
      path: `channels[${this.#input.channel ?? "?"}]`,
      offset: this.#at,
      expected: "the end of the channel",
      found: "a SYNC",
    });
  }

  #next(): void {
    const read = this.#file.readAt(this.#at, this.#piece);
    this.#at += read;
    if (read > 0) this.#input.push(this.#piece.subarray(0, read));
    else {
      this.#ended = true;
      this.#input.end();
    }
  }
}

function uuidOf(file: ChannelFile): Uint8Array {
  const head = new Uint8Array(helloBytes);
  const read = file.readAt(0, head);
  if (read < helloBytes) throw notAChannel(file, "it is too short for one");
  try {
    return decodeHello(new Cursor(head)).uuid;
  } catch (cause) {
    throw isMigrationError(cause) ? notAChannel(file, cause.detail, cause) : cause;
  }
}

/** The machine whose channels these are; of the other files the receiver finds out. */
function machineOf(file: ChannelFile, told: Uint8Array | undefined): Uint8Array {
  const uuid = uuidOf(file);
  if (told === undefined || Buffer.compare(uuid, told) === 0) return uuid;
  throw notAChannel(
    file,
    "it is another machine's, by its UUID",
    undefined,
    "give the files of one migration together",
  );
}

function notAChannel({ name }: ChannelFile, why: string, cause?: unknown, hint: string = whatChannelsAre): CliFault {
  return new CliFault("CHANNEL_WRONG", `${name} is no channel of this migration: ${why}`, { exit: 1, hint, cause });
}

const whatChannelsAre =
  "the main stream is the one that begins with QEVM; all other connections of the migration are channels";

const compressionBits = 0x3e;
const methods: Readonly<Record<number, PageCompression["method"]>> = { 0: "none", 2: "zlib", 4: "zstd" };

/** By the first packet that has pages: of one that only synchronises QEMU 9.0 and later do not say it. */
function methodOf(files: readonly ChannelFile[], pageBytes: number): PageCompression["method"] {
  const header = new Uint8Array(packetHeaderBytes(pageBytes));
  for (const { bytes, readAt } of files) {
    for (let at = helloBytes; at + header.length <= bytes; ) {
      readAt(at, header);
      const { normalPages, nextPacketBytes, flags } = decodePacket(new Cursor(header, at), pageBytes);
      if (normalPages > 0) return methodBy(flags & compressionBits);
      at += header.length + (normalPages > 0 ? nextPacketBytes : 0);
    }
  }
  return "none";
}

function methodBy(bits: number): PageCompression["method"] {
  const method = methods[bits];
  if (method !== undefined) return method;
  throw new MigrationError("PAGE_CODEC", "the channels' pages are compressed in a way that is not read here", {
    section: "ram/0",
    expected: "none, zlib or zstd",
    found: `0x${bits.toString(16)}`,
  });
}
