// The fenced blocks of every page that people read, and the file that each says it is from.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root: string = fileURLToPath(new URL("../../../../", import.meta.url));

export interface Block {
  /** From the repository's root. */
  readonly page: string;
  /** Where the fence opens, from 1. */
  readonly line: number;
  readonly language: string;
  readonly text: string;
  /** What the comment above it says, `<!-- ... -->`. */
  readonly comment: string | undefined;
}

export const read = (path: string): string => readFileSync(join(root, path), "utf8");

const inFolder = (folder: string): string[] =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith(".md") && name !== "CHANGELOG.md")
    .sort()
    .map((name) => join(folder, name));

/** All pages: those of the root and of `docs`, the guides, and each package's own. */
export function pages(): string[] {
  const packages = ["packages", "plugins", "apps"].flatMap((kind) =>
    readdirSync(join(root, kind))
      .filter((name) => existsSync(join(root, kind, name, "package.json")))
      .map((name) => join(kind, name)),
  );
  return ["", "docs", "docs/guides", ...packages].flatMap(inFolder);
}

export function blocksOf(page: string): Block[] {
  const lines = read(page).split("\n");
  const blocks: Block[] = [];
  let opened: number | undefined;
  for (const [i, line] of lines.entries()) {
    if (!/^\s*(```|~~~)/.test(line)) continue;
    if (opened === undefined) {
      opened = i;
      continue;
    }
    const fence = (lines[opened] as string).trim();
    const comment = /^<!-- (.+) -->$/.exec((lines[opened - 1] ?? "").trim())?.[1];
    const text = lines.slice(opened + 1, i).join("\n");
    blocks.push({ page, line: opened + 1, language: fence.slice(3), text, comment });
    opened = undefined;
  }
  if (opened !== undefined) throw new Error(`${page}:${opened + 1}: the fence is not closed`);
  return blocks;
}

/** Lines that Markdown takes for code because they are indented, as `PAGE:LINE`: no fence says what they are. */
export function indentedCode(page: string): string[] {
  const found: string[] = [];
  let isFenced = false;
  let before = "";
  for (const [i, line] of read(page).split("\n").entries()) {
    if (/^\s*(```|~~~)/.test(line)) isFenced = !isFenced;
    else if (!isFenced && before === "" && /^( {4}|\t)/.test(line)) found.push(`${page}:${i + 1}`);
    before = line;
  }
  return found;
}

export interface Source {
  readonly file: string;
  /** The name of a `#region` of the file; without one, the block is any piece of it. */
  readonly region: string | undefined;
}

/** What a comment names, `FILE` or `FILE#REGION`: from the page's folder, or from the root. */
export function sourceOf({ page, comment = "" }: Block): Source | undefined {
  const [name = "", region] = comment.split("#");
  const file = [join(dirname(page), name), name, ...(elsewhere[page] ?? []).map((folder) => join(folder, name))].find(
    (path) => name !== "" && existsSync(join(root, path)),
  );
  return file === undefined ? undefined : { file, region };
}

/** Pages whose comments begin in another folder. */
const elsewhere: Readonly<Record<string, readonly string[]>> = {
  "docs/releases.md": ["packages/core/examples/releases"],
  "docs/guides/releases.md": ["packages/core/examples/releases"],
};

/** Whether `piece` stands in `whole` as a run of whole lines, all indented by the same. */
export function isPieceOf(piece: string, whole: string): boolean {
  const wanted = piece.replace(/\n$/, "").split("\n");
  const lines = whole.split("\n");
  const [first = ""] = wanted;
  return lines.some((line, at) => {
    if (first === "" || !line.endsWith(first)) return false;
    const indent = line.slice(0, line.length - first.length);
    return indent.trim() === "" && wanted.every((one, i) => lines[at + i] === (one === "" ? "" : indent + one));
  });
}

/** The lines of a region, without those of regions' marks and without indentation; nothing where there is no such region. */
export function regionOf(name: string, whole: string): string | undefined {
  const lines = whole.split("\n");
  const start = lines.findIndex((line) => line.trim() === `// #region ${name}`);
  if (start < 0) return undefined;
  let depth = 1;
  let end = start + 1;
  for (; end < lines.length && depth > 0; end++) {
    const line = (lines[end] as string).trim();
    if (line.startsWith("// #region ")) depth++;
    if (line.startsWith("// #endregion")) depth--;
  }
  if (depth > 0) return undefined;
  const own = lines.slice(start + 1, end - 1).filter((line) => !/^\s*\/\/ #(end)?region\b/.test(line));
  const indent = Math.min(...own.filter((line) => line !== "").map((line) => line.length - line.trimStart().length));
  return own
    .map((line) => line.slice(indent))
    .join("\n")
    .replace(/^\n+|\n+$/g, "");
}
