// Puts a project's files where they belong: all of them, or none, and nothing that was there is touched.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { CreateError } from "./errors.ts";
import type { ProjectFiles } from "./template.ts";

/** `FOLDER_NOT_EMPTY`, `FOLDER_UNWRITABLE`. */
export function writeProject(folder: string, files: ProjectFiles): void {
  const target = resolve(folder);
  const isThere = checkFree(target);
  let parent: string | undefined;
  let staging: string | undefined;
  try {
    // Of parents that are missing, the uppermost one.
    parent = mkdirSync(dirname(target), { recursive: true });
    // Inside an empty folder, which may be all that is writable here; else beside the one to come.
    staging = mkdtempSync(isThere ? join(target, ".creating-") : `${target}.creating-`);
    // A folder of its own: one that `mkdtemp` makes is readable to nobody else.
    const project = join(staging, "project");
    for (const [path, text] of files) {
      mkdirSync(dirname(join(project, path)), { recursive: true });
      writeFileSync(join(project, path), text, { flag: "wx" });
    }
    if (isThere) moveInto(target, project);
    else move(project, target);
    rmSync(staging, { recursive: true });
  } catch (error) {
    if (staging !== undefined) rmSync(staging, { recursive: true, force: true });
    if (parent !== undefined) rmSync(parent, { recursive: true, force: true });
    throw error instanceof CreateError ? error : unwritable(target, error);
  }
}

/** Whether the folder is there, and empty. */
function checkFree(target: string): boolean {
  if (!existsSync(target)) return false;
  try {
    if (statSync(target).isDirectory() && readdirSync(target).length === 0) return true;
  } catch (error) {
    throw unwritable(target, error);
  }
  throw notEmpty(target);
}

/** The folder stays the same one: somebody may stand in it. */
function moveInto(target: string, project: string): void {
  const moved: string[] = [];
  try {
    for (const name of readdirSync(project)) {
      move(join(project, name), join(target, name));
      moved.push(join(target, name));
    }
  } catch (error) {
    for (const path of moved) rmSync(path, { recursive: true, force: true });
    throw error;
  }
}

/** `rename` would put a file in the place of another one. */
function move(from: string, to: string): void {
  if (existsSync(to)) throw notEmpty(to);
  renameSync(from, to);
}

function notEmpty(path: string): CreateError {
  return new CreateError("FOLDER_NOT_EMPTY", `${path} is there, and not empty: choose another place with --folder`);
}

function unwritable(target: string, error: unknown): CreateError {
  const why = error instanceof Error ? error.message : String(error);
  return new CreateError("FOLDER_UNWRITABLE", `nothing can be written to ${target}: ${why}`, error);
}
