// The committed table of sizes: written, read back, and held against what was measured.

export interface Size {
  readonly entry: string;
  readonly minifiedBytes: number;
  readonly gzippedBytes: number;
  /** Gzipped; checked. */
  readonly limitBytes?: number | undefined;
  /** Gzipped; wanted, and not reached yet. */
  readonly goalBytes?: number | undefined;
}

/** Compressors of two versions differ by less, and a change of more wants to be looked at. */
const toleranceOf = 0.02;

const heading = `# Sizes

What a bundler makes of each entry: minified (\`bun build --minify --target=browser\`) and gzipped (\`-9\`), in bytes, with all
dependencies; plugins and the engine without \`@godwit/core\` and other plugins, which are there already. Written by
\`bun scripts/sizes.ts --write\`; \`bun scripts/sizes.ts\` checks it.
`;

export function sizesText(sizes: readonly Size[]): string {
  const rows = sizes.map(({ entry, minifiedBytes, gzippedBytes, limitBytes, goalBytes }) => [
    entry,
    String(minifiedBytes),
    String(gzippedBytes),
    String(limitBytes ?? ""),
    String(goalBytes ?? ""),
  ]);
  const all = [["entry", "minified", "gzipped", "limit", "goal"], ...rows];
  const widths = [0, 1, 2, 3, 4].map((i) => Math.max(3, ...all.map((row) => (row[i] as string).length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number))).join(" | ")} |`;
  const rule = `| ${widths.map((width, i) => (i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)).join(" | ")} |`;
  const [head = [], ...body] = all;
  return `${heading}\n${[line(head), rule, ...body.map(line)].join("\n")}\n`;
}

/** The rows of a table's text, without limits and goals: those are the program's. */
export function readSizes(text: string): Size[] {
  return text.split("\n").flatMap((line) => {
    const [, entry = "", minified = "", gzipped = ""] = line.split("|").map((cell) => cell.trim());
    if (!/^\d+$/.test(minified) || !/^\d+$/.test(gzipped)) return [];
    return [{ entry, minifiedBytes: Number(minified), gzippedBytes: Number(gzipped) }];
  });
}

/** What is wrong, a line each: entries beyond their limit, and rows of the table that are no longer so. */
export function findings(committed: readonly Size[], measured: readonly Size[]): string[] {
  const known = new Map(committed.map((size) => [size.entry, size]));
  const found: string[] = [];
  for (const { entry, minifiedBytes, gzippedBytes, limitBytes } of measured) {
    if (limitBytes !== undefined && gzippedBytes > limitBytes) {
      found.push(`${entry}: ${gzippedBytes} bytes gzipped, the limit is ${limitBytes}`);
    }
    const row = known.get(entry);
    known.delete(entry);
    if (row === undefined) found.push(`${entry}: not in the table`);
    else if (isOff(row.gzippedBytes, gzippedBytes) || isOff(row.minifiedBytes, minifiedBytes)) {
      const now = `${minifiedBytes} and ${gzippedBytes}`;
      found.push(`${entry}: the table says ${row.minifiedBytes} and ${row.gzippedBytes}, it is ${now}`);
    }
  }
  for (const entry of known.keys()) found.push(`${entry}: in the table, and no longer built`);
  return found;
}

function isOff(written: number, measured: number): boolean {
  return Math.abs(measured - written) > toleranceOf * written;
}
