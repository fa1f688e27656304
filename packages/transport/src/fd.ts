// fd:NUMBER: a descriptor that was inherited, such as a socket that a parent has connected, a pipe, or an open file. It
// belongs to the channel from then on, and is closed with it.
import { createWriteStream, fstatSync, type Stats } from "node:fs";
import net from "node:net";
import { Readable, type Writable } from "node:stream";
import { arrivalQueue } from "./arrivals.ts";
import { bun, bunSocket } from "./bun-socket.ts";
import type { Channel, Listener, Transport } from "./channel.ts";
import { transportError } from "./errors.ts";
import { openFileOf } from "./file-handle.ts";
import { FileReader } from "./file-reader.ts";
import { FileWriter } from "./file-writer.ts";
import { channelOver } from "./socket-channel.ts";
import { streamChannel } from "./stream-channel.ts";
import { addressOf } from "./uri.ts";

/**
 * The channel of `fd:NUMBER`: a socket serves both ways, a pipe or a file is written, the file from where it stands, and
 * is on the disk when `close` resolves. `TRANSPORT_ADDRESS`, `TRANSPORT_UNSUPPORTED`.
 */
export async function connect(uri: string): Promise<Channel> {
  const { fd, stats } = descriptor(uri);
  if (stats.isSocket()) return socketChannel(fd);
  if (stats.isFIFO()) return pipeChannel(undefined, writablePipe(fd));
  const nothing = async (): Promise<void> => {};
  return new FileWriter({ handle: openFileOf(fd), offset: undefined, complete: nothing, discard: nothing });
}

/** The same descriptor to read from, for the first who accepts. `TRANSPORT_ADDRESS`, `TRANSPORT_UNSUPPORTED`. */
export async function listen(uri: string): Promise<Listener> {
  const { fd, stats } = descriptor(uri);
  const arrivals = arrivalQueue(uri);
  if (stats.isSocket()) arrivals.offer(await socketChannel(fd));
  else if (stats.isFIFO()) arrivals.offer(pipeChannel(readablePipe(fd), undefined));
  else arrivals.offer(new FileReader(openFileOf(fd), undefined));
  return { uri, accept: () => arrivals.accept(), close: async () => arrivals.close() };
}

export const fd: Transport = { scheme: "fd", connect, listen };

function descriptor(uri: string): { readonly fd: number; readonly stats: Stats } {
  const address = addressOf(uri, "fd");
  const expected = "fd: and the number of an open descriptor";
  if (!/^\d{1,9}$/.test(address)) {
    throw transportError("TRANSPORT_ADDRESS", "the address cannot be read", { expected, found: uri });
  }
  const fd = Number(address);
  let stats: Stats;
  try {
    stats = fstatSync(fd);
  } catch (cause) {
    throw transportError("TRANSPORT_ADDRESS", "there is no such descriptor", { expected, found: uri, cause });
  }
  if (stats.isSocket() || stats.isFIFO() || stats.isFile() || stats.isCharacterDevice()) return { fd, stats };
  throw transportError("TRANSPORT_UNSUPPORTED", "a stream cannot go through this descriptor", {
    expected: "a socket, a pipe or a file",
    found: uri,
  });
}

async function socketChannel(fd: number): Promise<Channel> {
  if (bun !== undefined) return channelOver((await bunSocket(bun, fd)) as net.Socket);
  return channelOver(new net.Socket({ fd, allowHalfOpen: true, readable: true, writable: true }));
}

function readablePipe(fd: number): Readable {
  if (bun !== undefined) return Readable.from(bun.file(fd).stream(), { objectMode: false });
  return new net.Socket({ fd, readable: true, writable: false });
}

function writablePipe(fd: number): Writable {
  if (bun !== undefined) return createWriteStream("", { fd });
  return new net.Socket({ fd, readable: false, writable: true });
}

function pipeChannel(input: Readable | undefined, output: Writable | undefined): Channel {
  const stream = input ?? output;
  const ended = new Promise<object>((resolve) => {
    stream?.once("close", () => resolve({}));
    input?.once("end", () => resolve({}));
  });
  return streamChannel({ input, output, ended, waitForEnd: false, lingerMs: 0, break: () => stream?.destroy() });
}
