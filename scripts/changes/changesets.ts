// The pending changesets: files of `.changeset`, each with the packages that it raises and a line for their changelogs.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { type Bump, bumps } from "./bump.ts";

export interface Changeset {
  /** Its file's name, such as `brave-cats-run.md`. */
  readonly file: string;
  readonly releases: ReadonlyMap<string, Bump>;
  readonly summary: string;
  /** Why it is no changeset; the rest is then empty. */
  readonly fault?: string;
}

const parts = /^\s*---\r?\n([\s\S]*?)\r?\n?---[^\S\n]*(?:\r?\n([\s\S]*))?$/;

export function parseChangeset(file: string, text: string): Changeset {
  const [, head, summary = ""] = parts.exec(text) ?? [];
  const faulty = (fault: string): Changeset => ({ file, releases: new Map(), summary: "", fault });
  if (head === undefined) return faulty("it does not begin with packages between two lines of ---");
  let members: unknown;
  try {
    members = parse(head) ?? {};
  } catch (error) {
    return faulty(`what stands between the lines of --- is no YAML: ${(error as Error).message}`);
  }
  if (typeof members !== "object" || members === null || Array.isArray(members)) {
    return faulty('between the lines of --- stands no list of "package": bump');
  }
  const releases = new Map<string, Bump>();
  for (const [name, bump] of Object.entries(members)) {
    if (!bumps.includes(bump as Bump)) return faulty(`${name} is to be raised by ${JSON.stringify(bump)}`);
    releases.set(name, bump as Bump);
  }
  return { file, releases, summary: summary.trim() };
}

export function readChangesets(folder: string): Changeset[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((file) => file.endsWith(".md") && file.toLowerCase() !== "readme.md")
    .sort()
    .map((file) => parseChangeset(file, readFileSync(join(folder, file), "utf8")));
}
