// The file that a recording is written to before it is whole: beside the checkpoint file, named after the process.
import { randomBytes } from "node:crypto";
import { type FileHandle, open, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { checkpointError } from "./errors.ts";

/** Stores into which this process records, and what it writes for them. */
const active = new Map<string, string>();

export interface Unfinished {
  readonly path: string;
  readonly handle: FileHandle;
  /** Makes it the checkpoint file, in one step, once all of it is on the disk. */
  complete(): Promise<void>;
  /** Removes it. */
  discard(): Promise<void>;
}

/**
 * Opens one for `store`, and removes what killed recordings have left. `CHECKPOINT_BUSY` while another process, or this
 * one, records into the same store: the later one would take what the earlier one brings out again. `mode`: of the
 * file; guests' memory is in it.
 */
export async function openUnfinished(store: string, mode: number): Promise<Unfinished> {
  // Two processes may have one number, in containers that share the folder: neither must rename the other's file.
  const path = `${store}.recording-${process.pid}-${randomBytes(4).toString("hex")}`;
  await removeLeftovers(store);
  const other = active.get(store);
  if (other !== undefined) throw busy(store, other);
  active.set(store, path);
  let handle: FileHandle;
  try {
    handle = await open(path, "wx", mode);
  } catch (error) {
    active.delete(store);
    throw error;
  }
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (isOpen) await handle.close();
    isOpen = false;
  };
  const discard = async (): Promise<void> => {
    await close();
    await rm(path, { force: true });
    active.delete(store);
  };
  try {
    // Whatever the process's mask takes away.
    await handle.chmod(mode);
    // Of two that begin at once, both see the other here.
    await removeLeftovers(store);
  } catch (error) {
    await discard();
    throw error;
  }
  return {
    path,
    handle,
    discard,
    async complete() {
      await handle.sync();
      await close();
      await rename(path, store);
      active.delete(store);
      await syncFolder(dirname(store));
    },
  };
}

/** What was removed. `CHECKPOINT_BUSY` where one is none, but somebody's who still writes. */
export async function removeLeftovers(store: string): Promise<string[]> {
  const folder = dirname(store);
  const prefix = `${basename(store)}.recording-`;
  const removed: string[] = [];
  for (const name of await readdir(folder)) {
    const [, pid] = /^(\d+)-[0-9a-f]{8}$/.exec(name.startsWith(prefix) ? name.slice(prefix.length) : "") ?? [];
    const path = join(folder, name);
    if (pid === undefined || active.get(store) === path) continue;
    if (isAlive(Number(pid))) throw busy(store, path);
    await rm(path, { force: true });
    removed.push(path);
  }
  return removed;
}

/** Another process. This one's number in a name that it did not give was an earlier process's. */
function isAlive(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function busy(store: string, path: string): Error {
  return checkpointError("CHECKPOINT_BUSY", `another recording is under way, into ${path}`, {
    file: store,
    offset: 0,
    path: "file",
  });
}

/** That the new name stays after a loss of power. Not every system can. */
async function syncFolder(folder: string): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(folder, "r");
    await handle.sync();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EISDIR" && code !== "EPERM" && code !== "EINVAL" && code !== "EBADF") throw error;
  } finally {
    await handle?.close();
  }
}
