// The values of sections as text: a line a field, its names beside it, alike elements of arrays folded.
import { sizeText } from "../io/size.ts";
import type { Terminal } from "../io/terminal.ts";
import { describedText } from "./described-text.ts";
import { folded } from "./fold.ts";
import type { InspectedField, InspectedSection } from "./inspection.ts";
import { wrapped } from "./table.ts";
import { bytesText, hexText, valueText } from "./value-text.ts";

const lineWidth = 120;
const widestPath = 58;
/** Of names that do not fit beside their value. */
const belowIndent = 6;
const widestValue = 34;

interface ValueRow {
  readonly path: string;
  readonly value: string;
  readonly names: readonly string[];
  readonly text: string;
}

export function valueLines(section: InspectedSection, all: boolean, terminal: Terminal): string[] {
  const { idstr, instance, version, phase, bodyBytes, offset, fields = [] } = section;
  const rows = fields.flatMap(rowsOf);
  const shown = all ? rows : folded(rows);
  const head = `${idstr}/${instance}`;
  const about = `version ${version}, ${phase}, ${sizeText(bodyBytes)} at ${offset}, described by ${describedText(section.describedBy)}`;
  return [`${terminal.style("bold", head)}  ${about}`, ...lines(shown, terminal), ""];
}

function rowsOf(field: InspectedField): ValueRow[] {
  const { path, names = [] } = field;
  const own = names.find((part) => part.path === "");
  const value = field.redacted ? redactedText(field) : valueText(field.value);
  return [
    row(path, value, own?.names ?? []),
    ...names.filter((part) => part !== own).map((part) => row(`${path}:${part.path}`, hexText(part.value), part.names)),
  ];
}

const redactedText = ({ bytes }: InspectedField): string =>
  bytes === undefined ? "(left out)" : `(left out, ${bytesText(bytes)})`;

const row = (path: string, value: string, names: readonly string[]): ValueRow => ({
  path,
  value,
  names,
  text: [value, ...names].join(" "),
});

function lines(rows: readonly ValueRow[], terminal: Terminal): string[] {
  const widest = (bound: number, lengths: readonly number[]): number =>
    lengths.reduce((most, length) => (length <= bound ? Math.max(most, length) : most), 0);
  const pathWidth = widest(
    widestPath,
    rows.map(({ path }) => path.length),
  );
  const valueWidth = widest(
    widestValue,
    rows.flatMap(({ names, value }) => (names.length > 0 ? [value.length] : [])),
  );
  return rows.flatMap(({ path, value, names }) => {
    const begin = `  ${path.padEnd(pathWidth)}  `;
    if (names.length === 0) return [`${begin}${value}`];
    const beside = `${begin}${value.padEnd(valueWidth)}  `;
    const line = names.join(" ");
    if (beside.length + line.length <= lineWidth) return [`${beside}${terminal.style("cyan", line)}`];
    const below = wrapped(names, lineWidth - belowIndent);
    return [`${begin}${value}`, ...below.map((one) => `${" ".repeat(belowIndent)}${terminal.style("cyan", one)}`)];
  });
}
