// The other side of a recording or a replay: by its address, over tcp or unix.
import { isMigrationError, type MigrationError } from "@godwit/core";
import type { Transport } from "@godwit/transport";
import { CliFault } from "../faults.ts";

/** `URI_SCHEME`: exit 2. A transport is imported when it is asked for. */
export async function transportOf(uri: string): Promise<Transport> {
  if (uri.startsWith("tcp:")) return (await import("@godwit/transport/tcp")).tcp;
  if (uri.startsWith("unix:")) return (await import("@godwit/transport/unix")).unix;
  throw new CliFault("URI_SCHEME", `"${uri}" is no address that is served here`, {
    exit: 2,
    hint: "tcp:HOST:PORT or unix:PATH, as QEMU writes it",
  });
}

/** `tcp::PORT` and `tcp:0:PORT`, as people write them for QEMU, are every address of this machine. */
export function listeningAddress(uri: string): string {
  return uri.replace(/^tcp:0?:(?=\d+$)/, "tcp:0.0.0.0:");
}

/** An address that cannot be is wrong use; whatever else is wrong stays what it is. */
export async function atAddress<T>(act: Promise<T>): Promise<T> {
  try {
    return await act;
  } catch (error) {
    if (!isMigrationError(error) || error.code !== "TRANSPORT_ADDRESS") throw error;
    const { code, detail, expected, found } = error;
    const { code: system } = (error.cause ?? {}) as NodeJS.ErrnoException;
    const hint = expected === undefined ? addressReasons[system ?? ""] : `it must be ${expected}`;
    throw new CliFault(code, `${detail}: ${found}`, { exit: 2, hint, cause: error });
  }
}

const addressReasons: Readonly<Record<string, string>> = {
  EACCES: "it may not be used by this user",
  EADDRINUSE: "something stands there already, or listens there",
  EADDRNOTAVAIL: "it is none of this machine's addresses",
  ENOENT: "there is no such folder",
  ENOTFOUND: "there is no such host",
};

/**
 * What the operating system says of the user's file is wrong use, too, and so is a name that does not fit it, and a file
 * that another recording is at.
 */
export async function atFile<T>(path: string, act: Promise<T>): Promise<T> {
  try {
    return await act;
  } catch (error) {
    if (isMigrationError(error) && error.code === "CHECKPOINT_NAME") throw namedWrongly(path, error);
    if (isMigrationError(error) && error.code === "CHECKPOINT_BUSY")
      throw new CliFault(error.code, error.detail, { exit: 2, hint: busyHint, cause: error });
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (isMigrationError(error) || typeof code !== "string" || syscall === undefined) throw error;
    throw new CliFault("FILE_UNUSABLE", `${path} cannot be used: ${reasons[code] ?? code}`, { exit: 2, cause: error });
  }
}

/** Numbers of processes come again: after a kill, the one in the name may be anybody's. */
const busyHint = "the number in its name is the process's: where that is no godwit, the file is a leftover; remove it";

function namedWrongly(path: string, { code, expected, found, cause }: MigrationError): CliFault {
  if (expected === undefined)
    return new CliFault(code, `${path} has a recording "${found}" already`, { exit: 2, cause });
  const hint = `its recordings: ${expected}`;
  return new CliFault(code, `${path} has no recording "${found}"`, { exit: 2, hint, cause });
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: "it may not be read or written",
  EISDIR: "it is a folder",
  ENOENT: "there is no such file or folder",
  ENOSPC: "the disk is full",
  ENOTDIR: "its path goes through a file",
  EROFS: "it may not be written",
};
