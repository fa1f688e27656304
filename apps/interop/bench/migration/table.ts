// Rows of text under heads, as wide as the heads are.

const firstWidth = 38;
const gap = 3;

export function heading(title: string, heads: readonly string[]): void {
  console.log(`\n${title}`);
  console.log(row("", heads, heads));
}

export function row(name: string, cells: readonly string[], heads: readonly string[]): string {
  return name.padEnd(firstWidth) + cells.map((cell, i) => cell.padStart((heads[i] ?? "").length + gap)).join("");
}

export const times = (value: number, of: number): string => `${(value / of).toFixed(2)}x`;
