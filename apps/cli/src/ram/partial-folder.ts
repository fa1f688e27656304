// A folder beside the place where something will stand: what is in it is unfinished, and says so by its name.
import { randomBytes } from "node:crypto";
import { lstatSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { CliFault } from "../faults.ts";
import { onFile } from "./run-writer.ts";

export interface PartialFolder {
  readonly path: string;
  /** The folder itself is whole: it stands at the place now, instead of what stood there. */
  commit(): void;
  /** A file of it is whole, and stands at the place now. The folder is gone. */
  commitFile(name: string): void;
  /** Leaves nothing. Does nothing after a commit. */
  discard(): void;
}

/**
 * `place`: as the user gave it; `folder`: what it begins at. What killed processes have left of the same place is removed.
 * Exit 2 where nothing can be made there.
 */
export function partialFolder(place: string, folder: string): PartialFolder {
  const target = resolve(folder, place);
  onFile(() => removeLeftovers(target), place);
  return madeFolder(target, place);
}

/** For what has no place: in the system's folder for such things, for nobody else to read. */
export function temporaryFolder(): PartialFolder {
  const target = join(tmpdir(), "godwit");
  return madeFolder(target, target, 0o700);
}

function madeFolder(target: string, place: string, mode?: number): PartialFolder {
  const path = `${target}.${process.pid}-${randomBytes(4).toString("hex")}.partial`;
  onFile(() => mkdirSync(path, mode), place);
  let left = true;
  const remove = (): void => {
    if (left) rmSync(path, { recursive: true, force: true });
    left = false;
    process.off("exit", remove);
  };
  process.once("exit", remove);
  return {
    path,
    commit() {
      onFile(() => {
        const before = lstatSync(target, { throwIfNoEntry: false });
        const replaced = `${path}.replaced`;
        if (before !== undefined) renameSync(target, replaced);
        try {
          renameSync(path, target);
        } catch (error) {
          if (before !== undefined) renameSync(replaced, target);
          throw error;
        }
        rmSync(replaced, { recursive: true, force: true });
      }, place);
      left = false;
      process.off("exit", remove);
    },
    commitFile(name) {
      onFile(() => renameSync(resolve(path, name), target), place);
      remove();
    },
    discard: remove,
  };
}

/** A signal ends us in the middle of a read, with no time to clear up: the next one for the same place does it. */
function removeLeftovers(target: string): void {
  const folder = dirname(target);
  const prefix = `${basename(target)}.`;
  for (const name of readdirSync(folder)) {
    if (!name.startsWith(prefix)) continue;
    const [, pid] = /^(\d+)-[0-9a-f]{8}\.partial$/.exec(name.slice(prefix.length)) ?? [];
    if (pid !== undefined && !isAlive(Number(pid))) rmSync(join(folder, name), { recursive: true, force: true });
  }
}

/** One that is not ours to signal is alive all the same. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

/**
 * Refuses a place where something stands already: anything, without `overwrite`; with it, what is no folder of ours, which
 * `isOurs` tells by its files' names. Exit 2.
 */
export function refuseTakenFolder(
  place: string,
  folder: string,
  overwrite: boolean,
  isOurs: (names: readonly string[]) => boolean,
): void {
  const target = resolve(folder, place);
  const found = lstatSync(target, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isDirectory())
    throw new CliFault("OUTPUT_EXISTS", `${place} is there already, and no folder`, { exit: 2 });
  const names = readdirSync(target);
  if (names.length === 0) return;
  if (!isOurs(names)) {
    throw new CliFault("OUTPUT_EXISTS", `${place} holds other things`, { exit: 2, hint: "give a folder of its own" });
  }
  if (!overwrite) refuseTaken(place);
}

/** Refuses a file that is there already, without `overwrite`. Exit 2. */
export function refuseTakenFile(place: string, folder: string, overwrite: boolean): void {
  const found = lstatSync(resolve(folder, place), { throwIfNoEntry: false });
  if (found === undefined || (found.isFile() && overwrite)) return;
  if (!found.isFile()) throw new CliFault("OUTPUT_EXISTS", `${place} is there already, and no file`, { exit: 2 });
  refuseTaken(place);
}

function refuseTaken(place: string): never {
  throw new CliFault("OUTPUT_EXISTS", `${place} is there already`, { exit: 2, hint: "--overwrite replaces it" });
}
