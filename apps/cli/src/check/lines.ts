// Text in lines that a terminal of 120 columns shows whole.

const columns = 120;

/** Broken between words; a word that is longer stands alone. Lines after the first are indented by two more. */
export function linesOf(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const next = line === "" ? `${lines.length === 0 ? indent : `${indent}  `}${word}` : `${line} ${word}`;
    if (line !== "" && next.length > columns) {
      lines.push(line);
      line = `${indent}  ${word}`;
    } else {
      line = next;
    }
  }
  return [...lines, line];
}
