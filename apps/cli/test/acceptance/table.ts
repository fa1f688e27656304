// The table as a page: made of the cells, each of whose tests must be where it says.
import { readFileSync } from "node:fs";
import { type Cell, cells, type Kind, kinds, withoutStreams } from "./cells.ts";

const root = new URL("../../../../", import.meta.url);

export function acceptanceText(): string {
  return [
    "# What `godwit` does with which kind of stream",
    "",
    "Each cell names the test that shows it, or the reason that there is none. Written by `bun run reference`; a test compares it,",
    "and looks for each test where the cell says.",
    ...Object.entries(cells).flatMap(([verb, of]) => [
      "",
      `## ${verb}`,
      "",
      ...table(Object.keys(kinds).map((kind) => [kind, cellText(of[kind as Kind])])),
    ]),
    ...Object.entries(withoutStreams).flatMap(([verb, cell]) => [
      "",
      `## ${verb}`,
      "",
      `Takes no stream: ${cellText(cell)}.`,
    ]),
    "",
  ].join("\n");
}

function cellText(cell: Cell | undefined): string {
  if (cell === undefined) return "**nothing**";
  if ("not" in cell) return `_${cell.not}_`;
  const [file, title] = cell;
  const name = file.slice(file.lastIndexOf("/") + 1);
  if (title.startsWith('"')) return `the packed command with \`--plugin\` ([${name}](../${file}))`;
  return `${title
    .replace(/\$[\w.]+|%[sijo]/g, "STREAM")
    .replaceAll("|", "\\|")
    .replaceAll("*", "\\*")} ([${name}](../${file}))`;
}

function table(rows: readonly (readonly [string, string])[]): string[] {
  const all = [["kind of stream", ""], ...rows];
  const widths = [0, 1].map((i) => Math.max(3, ...all.map((row) => (row[i] ?? "").length)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(" | ")} |`;
  const [head, ...rest] = all;
  return [line(head ?? []), `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...rest.map(line)];
}

/** Cells that are missing, and tests that are not where a cell says. */
export function problems(): string[] {
  const texts = new Map<string, string>();
  const textOf = (file: string): string => {
    const text = texts.get(file) ?? readFileSync(new URL(file, root), "utf8");
    texts.set(file, text);
    return text;
  };
  const found: string[] = [];
  const check = (place: string, cell: Cell | undefined): void => {
    if (cell === undefined) found.push(`${place}: no cell`);
    else if (!("not" in cell) && !holdsTest(textOf(cell[0]), cell[1]))
      found.push(`${place}: no test "${cell[1]}" in ${cell[0]}`);
  };
  for (const [verb, of] of Object.entries(cells)) {
    for (const kind of Object.keys(kinds) as Kind[]) check(`${verb}, ${kind}`, of[kind]);
  }
  for (const [verb, cell] of Object.entries(withoutStreams)) check(verb, cell);
  return found;
}

const holdsTest = (text: string, title: string): boolean =>
  text.includes(`"${title}"`) || text.includes(`\`${title}\``) || text.includes(title.startsWith('"') ? title : "\0");
