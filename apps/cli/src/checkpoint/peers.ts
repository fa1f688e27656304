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

/** An address that cannot be is wrong use; whatever else is wrong stays what it is. */
export async function atAddress<T>(act: Promise<T>): Promise<T> {
  try {
    return await act;
  } catch (error) {
    if (!isMigrationError(error) || error.code !== "TRANSPORT_ADDRESS") throw error;
    const { code, detail, found } = error;
    throw new CliFault(code, `${detail}: ${found}`, { exit: 2, cause: error });
  }
}

/** What the operating system says of the user's file is wrong use, too, and so is a name that does not fit it. */
export async function atFile<T>(path: string, act: Promise<T>): Promise<T> {
  try {
    return await act;
  } catch (error) {
    if (isMigrationError(error) && error.code === "CHECKPOINT_NAME") throw namedWrongly(path, error);
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (isMigrationError(error) || typeof code !== "string" || syscall === undefined) throw error;
    throw new CliFault("FILE_UNUSABLE", `${path} cannot be used: ${reasons[code] ?? code}`, { exit: 2, cause: error });
  }
}

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
