// fd:NUMBER: a descriptor that was inherited, such as a socket that a parent has connected, a pipe, or an open file. It
// belongs to the channel from then on, and is closed with it.
import { spawn } from "node:child_process";
import { closeSync, createWriteStream, fstatSync, type Stats } from "node:fs";
import net from "node:net";
import type { Readable, Writable } from "node:stream";
import { arrivalQueue } from "./arrivals.ts";
import { bun, bunPipe, bunSocket } from "./bun-streams.ts";
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
  if (stats.isFIFO()) return pipeChannel(fd, true);
  const nothing = async (): Promise<void> => {};
  return new FileWriter({ handle: openFileOf(fd), offset: undefined, complete: nothing, discard: nothing });
}

/** The same descriptor to read from, for the first who accepts. `TRANSPORT_ADDRESS`, `TRANSPORT_UNSUPPORTED`. */
export async function listen(uri: string): Promise<Listener> {
  const { fd, stats } = descriptor(uri);
  const arrivals = arrivalQueue(uri);
  if (stats.isSocket()) arrivals.offerOnly(await socketChannel(fd));
  else if (stats.isFIFO()) arrivals.offerOnly(pipeChannel(fd, false));
  else arrivals.offerOnly(new FileReader(openFileOf(fd), undefined));
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
  if (bun !== undefined) return bunPipe(bun, fd);
  return new net.Socket({ fd, readable: true, writable: false });
}

/** Bun's sockets take no pipe. */
function writablePipe(fd: number): Writable {
  if (bun !== undefined) return createWriteStream("", { fd });
  return new net.Socket({ fd, readable: false, writable: true });
}

/** Deno's sockets take none either, and its files stop the whole process where a pipe does not go on: `cat` goes between. */
function throughCat(fd: number, outgoing: boolean): Channel {
  const child = spawn("cat", [], { stdio: outgoing ? ["pipe", fd, "ignore"] : [fd, "pipe", "ignore"] });
  closeSync(fd);
  const failed = (found: string): object => ({
    failure: transportError("TRANSPORT_CLOSED", "the pipe broke", { found: `fd:${fd}: ${found}` }),
  });
  const ended = new Promise<object>((resolve) => {
    child.once("error", (error) => resolve(failed(error.message)));
    child.once("exit", (code, signal) => resolve(code === 0 ? {} : failed(`cat: ${signal ?? code}`)));
  });
  return streamChannel({
    input: child.stdout ?? undefined,
    output: child.stdin ?? undefined,
    ended,
    waitForEnd: outgoing,
    lingerMs: 0,
    break: () => child.kill("SIGKILL"),
  });
}

function pipeChannel(fd: number, outgoing: boolean): Channel {
  if ("deno" in process.versions) return throughCat(fd, outgoing);
  const input = outgoing ? undefined : readablePipe(fd);
  const output = outgoing ? writablePipe(fd) : undefined;
  const stream = input ?? output;
  const ended = new Promise<object>((resolve) => {
    stream?.once("close", () => resolve({}));
    input?.once("end", () => resolve({}));
  });
  return streamChannel({ input, output, ended, waitForEnd: false, lingerMs: 0, break: () => stream?.destroy() });
}
