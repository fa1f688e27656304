// Tables in text: columns as wide as what is in them, the last one as long as it likes.

export interface Column {
  readonly title: string;
  readonly align: "left" | "right";
}

const gap = "  ";

/** The lines, titles first; a column without titles and content takes no room. A row's last cell may be wider than its column. */
export function tableLines(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const widths = columns.map(({ title, align }, i) =>
    rows.reduce((most, row) => {
      const runsOver = align === "left" && i === row.length - 1;
      return runsOver ? most : Math.max(most, (row[i] ?? "").length);
    }, title.length),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => {
        const width = widths[i] as number;
        return columns[i]?.align === "right" ? cell.padStart(width) : cell.padEnd(width);
      })
      .filter((_, i) => i === cells.length - 1 || widths[i] !== 0)
      .join(gap)
      .trimEnd();
  return [line(columns.map(({ title }) => title)), ...rows.map(line)];
}

/** Words in lines of at most `width` characters; a word that is longer has a line of its own. */
export function wrapped(words: readonly string[], width: number): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
