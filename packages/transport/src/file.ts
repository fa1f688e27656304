// file:PATH and file:PATH,offset=N, as QEMU writes them: connecting writes the file, listening reads it. What is written
// becomes the file of that name when the channel is closed, and not before, so that no part of a stream looks whole.
import { randomBytes } from "node:crypto";
import { fstatSync, readSync, writeSync } from "node:fs";
import { type FileHandle, open, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { arrivalQueue } from "./arrivals.ts";
import type { Channel, Listener, Transport } from "./channel.ts";
import { transportError } from "./errors.ts";
import { FileReader } from "./file-reader.ts";
import { FileWriter } from "./file-writer.ts";
import { addressOf } from "./uri.ts";

/** What is copied at a time of what stands before the offset. Bytes. */
const copyBytes = 1024 * 1024;

/** A channel that writes, and knows places. */
export interface FileChannel extends Channel {
  /** Where in the file the channel's first byte stands: what `offset=` said. Bytes. */
  readonly fileOffset: number;
  /**
   * Writes at an offset of the file (bytes), behind all that was handed to `send` before: what `ram-dirty-tracker` calls
   * `place`. Synchronous while no send waits. `TRANSPORT_CLOSED` where it cannot be written: then the channel has failed,
   * and so does `close`.
   */
  place(offset: number, bytes: Uint8Array): void;
}

/** A channel that reads, and knows places. */
export interface FileReadChannel extends Channel {
  readonly fileOffset: number;
  /** What stands at an offset of the file (bytes); shorter where the file ends. Synchronous. `TRANSPORT_CLOSED`. */
  readAt(offset: number, length: number): Uint8Array;
}

export interface FileListener extends Listener {
  accept(): Promise<FileReadChannel>;
}

/**
 * Opens `file:PATH` to write: a file beside it, which takes its name when `close` has brought all to the disk, and which
 * `abort` removes. What stood before the offset is kept. `close` fails with `TRANSPORT_CLOSED` where the file could not
 * be completed. `TRANSPORT_ADDRESS`, `TRANSPORT_UNSUPPORTED`.
 */
export async function connect(uri: string): Promise<FileChannel> {
  const { path, offset } = fileAddress(uri);
  try {
    const target = await realpath(path).catch(() => path);
    const before = await stat(target).catch(() => undefined);
    if (before !== undefined && !before.isFile()) throw new Error("it is no regular file: use fd: or exec:");
    const partial = `${target}.${randomBytes(6).toString("hex")}.part`;
    // The guest's memory is nobody else's business.
    const handle = await open(partial, "wx+", before === undefined ? 0o600 : before.mode & 0o777);
    try {
      if (before !== undefined) {
        // What the process's mask took from it.
        await handle.chmod(before.mode & 0o777);
        await copyHead(target, handle, Math.min(offset, before.size));
      }
    } catch (cause) {
      await handle.close();
      await rm(partial, { force: true });
      throw cause;
    }
    const complete = async (): Promise<void> => {
      await rename(partial, target);
      await synchroniseFolder(dirname(target));
    };
    const writer = new FileWriter({ handle, offset, complete, discard: () => rm(partial, { force: true }) });
    return Object.assign(writer, {
      fileOffset: offset,
      place: (at: number, bytes: Uint8Array) => writer.write(bytes, (part) => writeAt(handle.fd, at, part)),
    });
  } catch (cause) {
    throw transportError("TRANSPORT_ADDRESS", "the file cannot be written", { found: uri, cause });
  }
}

/** Opens `file:PATH` to read, for the first who accepts. `TRANSPORT_ADDRESS`, `TRANSPORT_UNSUPPORTED`. */
export async function listen(uri: string): Promise<FileListener> {
  const { path, offset } = fileAddress(uri);
  let handle: FileHandle;
  try {
    handle = await open(path, "r");
    if (!(await handle.stat()).isFile()) {
      await handle.close();
      throw new Error("it is no regular file: use fd: or exec:");
    }
  } catch (cause) {
    throw transportError("TRANSPORT_ADDRESS", "the file cannot be read", { found: uri, cause });
  }
  const channel: FileReadChannel = Object.assign(new FileReader(handle, offset), {
    fileOffset: offset,
    readAt(at: number, length: number): Uint8Array {
      try {
        return readFrom(handle.fd, at, length);
      } catch (cause) {
        throw transportError("TRANSPORT_CLOSED", "the file cannot be read", { cause });
      }
    },
  });
  const arrivals = arrivalQueue<FileReadChannel>(uri);
  arrivals.offerOnly(channel);
  return { uri, accept: () => arrivals.accept(), close: async () => arrivals.close() };
}

export const file: Transport = { scheme: "file", connect, listen };

/** The path, and where in the file the stream begins. The last comma begins the option, as in QEMU. */
export function fileAddress(uri: string): { readonly path: string; readonly offset: number } {
  const address = addressOf(uri, "file");
  const match = /^(.*),offset=([^,]*)$/s.exec(address);
  const path = match?.[1] ?? address;
  const offset = match === null ? 0 : sizeOf(match[2] ?? "");
  if (path !== "" && !path.includes("\0") && Number.isSafeInteger(offset)) return { path, offset };
  throw transportError("TRANSPORT_ADDRESS", "the address cannot be read", {
    expected: "file:PATH or file:PATH,offset=N, N in bytes, or with K, M, G or T behind it",
    found: uri,
  });
}

function sizeOf(text: string): number {
  const match = /^(\d+|0x[0-9a-f]+)([kmgt]?)$/i.exec(text);
  if (match === null) return Number.NaN;
  return Number(match[1]) * 1024 ** " kmgt".indexOf((match[2] || " ").toLowerCase());
}

/** The system takes a negative offset for wherever the descriptor stands. */
function requireOffset(offset: number): void {
  if (!Number.isSafeInteger(offset) || offset < 0) throw new RangeError(`${offset} is no offset in a file`);
}

function readFrom(fd: number, offset: number, length: number): Uint8Array {
  requireOffset(offset);
  // A length may come from a stream: no more is allocated than the file has.
  const bytes = new Uint8Array(Math.max(0, Math.min(length, fstatSync(fd).size - offset)));
  let got = 0;
  for (let read = -1; read !== 0 && got < bytes.length; got += read) {
    read = readSync(fd, bytes, got, bytes.length - got, offset + got);
  }
  return bytes.subarray(0, got);
}

function writeAt(fd: number, offset: number, bytes: Uint8Array): void {
  requireOffset(offset);
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done, offset + done);
}

async function copyHead(path: string, to: FileHandle, length: number): Promise<void> {
  if (length === 0) return;
  const from = await open(path, "r");
  try {
    const buffer = new Uint8Array(Math.min(copyBytes, length));
    for (let at = 0; at < length; ) {
      const { bytesRead } = await from.read(buffer, 0, Math.min(buffer.length, length - at), at);
      if (bytesRead === 0) return;
      for (let done = 0; done < bytesRead; ) {
        done += (await to.write(buffer, done, bytesRead - done, at + done)).bytesWritten;
      }
      at += bytesRead;
    }
  } finally {
    await from.close();
  }
}

/** The name is the folder's: it, too, must be on the disk. Some file systems cannot; the file itself is there by then. */
async function synchroniseFolder(path: string): Promise<void> {
  const folder = await open(path, "r").catch(() => undefined);
  if (folder === undefined) return;
  try {
    await folder.sync().catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EINVAL" && error.code !== "EPERM" && error.code !== "EBADF") throw error;
    });
  } finally {
    await folder.close();
  }
}
