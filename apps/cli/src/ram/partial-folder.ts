// A folder beside the place where something will stand: what is in it is unfinished, and says so by its name.
import { randomBytes } from "node:crypto";
import { lstatSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { resolve } from "node:path";
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

/** `place`: as the user gave it; `folder`: what it begins at. Exit 2 where nothing can be made there. */
export function partialFolder(place: string, folder: string): PartialFolder {
  const target = resolve(folder, place);
  const path = `${target}.${randomBytes(4).toString("hex")}.partial`;
  onFile(() => mkdirSync(path));
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
        renameSync(path, target);
        rmSync(replaced, { recursive: true, force: true });
      });
      left = false;
      process.off("exit", remove);
    },
    commitFile(name) {
      onFile(() => renameSync(resolve(path, name), target));
      remove();
    },
    discard: remove,
  };
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
