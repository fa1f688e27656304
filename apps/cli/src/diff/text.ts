// The differences as text: what A has, an arrow, what B has.
import { tableLines } from "../inspect/table.ts";
import { bytesText, hexText, valueText } from "../inspect/value-text.ts";
import { sizeText } from "../io/size.ts";
import type { Terminal } from "../io/terminal.ts";
import {
  type BlockDifference,
  type Difference,
  type FieldDifference,
  type NameDifference,
  pageChanges,
  type RamDifference,
  type SectionDifference,
} from "./difference.ts";

const arrow = " -> ";

export function differenceLines(difference: Difference, terminal: Terminal): string[] {
  const { a, b, stream, sections, ram, equal, ignored } = difference;
  const side = (letter: string, { name, machineType, bytes }: Difference["a"]): string =>
    `${letter}  ${name}, ${machineType ?? "no machine type"}, ${sizeText(bytes)}`;
  const blocks = [
    stream.map(({ what, a: own, b: other }) => `${what}: ${plain(own)}${arrow}${plain(other)}`),
    sections.onlyInA.map(
      (one) => `only in A: section ${one.section}, version ${one.version}, ${bytesText(one.bodyBytes)}`,
    ),
    sections.onlyInB.map(
      (one) => `only in B: section ${one.section}, version ${one.version}, ${bytesText(one.bodyBytes)}`,
    ),
    sections.moved.map(({ section, placeA, placeB }) => `moved: section ${section}, from place ${placeA} to ${placeB}`),
    ...sections.changed.map((one) => sectionLines(one, terminal)),
    ...(ram === null ? [] : ramLines(ram, terminal)),
  ];
  const isWhole = ram === null || ram.pagesInNeither === 0;
  const summary = equal ? `no difference${isWhole ? "" : " in what was compared"}` : summaryText(difference);
  return [
    side("A", a),
    side("B", b),
    ...blocks.flatMap((lines) => (lines.length === 0 ? [] : ["", ...lines])),
    "",
    ignored === 0 ? summary : `${summary}; ignored: ${ignored}`,
  ];
}

function summaryText({ stream, sections, ram }: Difference): string {
  const { onlyInA, onlyInB, moved, changed } = sections;
  const fields = changed.reduce((count, one) => count + one.fields.length, 0);
  const pages = (ram?.changed ?? []).reduce(
    (count, block) => count + pageChanges.reduce((sum, kind) => sum + block.pages[kind], 0),
    0,
  );
  const reshaped = (ram?.changed ?? []).filter((block) => block.bytes ?? block.memoryPageBytes ?? block.address).length;
  const blocks = (ram?.onlyInA.length ?? 0) + (ram?.onlyInB.length ?? 0);
  const parts: (readonly [number, string])[] = [
    [stream.length, "facts of the stream"],
    [onlyInA.length + onlyInB.length, "sections on one side only"],
    [moved.length, "sections moved"],
    [changed.length, "sections changed"],
    [fields, "fields changed"],
    [blocks, "RAM blocks on one side only"],
    [reshaped, "RAM blocks of another length, page size or address"],
    [pages, "pages changed"],
  ];
  return `different: ${parts.flatMap(([count, what]) => (count > 0 ? [`${what}: ${count}`] : [])).join(", ")}`;
}

const plain = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));

function sectionLines(of: SectionDifference, terminal: Terminal): string[] {
  const { section, by, version, subsectionsOnlyInA, subsectionsOnlyInB, fields } = of;
  const width = fields.reduce((most, { path }) => (path.length <= 58 ? Math.max(most, path.length) : most), 0);
  return [
    `${terminal.style("bold", section)}${by === "description" ? "" : `  (by ${by})`}`,
    ...(version === undefined ? [] : [`  version: ${version.a}${arrow}${version.b}`]),
    ...subsectionsOnlyInA.map((path) => `  only in A: subsection ${path}`),
    ...subsectionsOnlyInB.map((path) => `  only in B: subsection ${path}`),
    ...fields.flatMap((field) => fieldLines(field, width, terminal)),
  ];
}

function fieldLines(field: FieldDifference, width: number, terminal: Terminal): string[] {
  const { path, bytes, ranges = [], moreRanges = 0, names = [] } = field;
  const begin = `  ${path.padEnd(width)}  `;
  const own = names.find((one) => one.path === "");
  const inside = names.filter((one) => one !== own).map((one) => `    ${nameText(one, terminal)}`);
  if (bytes === undefined) {
    const value = "a" in field && "b" in field ? `${valueText(field.a)}${arrow}${valueText(field.b)}` : oneSided(field);
    return [`${begin}${value}${own === undefined ? "" : `  ${bitsText(own, terminal)}`}`, ...inside];
  }
  const lengths = bytes.a === bytes.b ? bytesText(bytes.a) : `${bytesText(bytes.a)}${arrow}${bytesText(bytes.b)}`;
  const more = moreRanges > 0 ? [`    and ${moreRanges} more ranges`] : [];
  return [
    `${begin}${lengths}`,
    ...ranges.map(
      ({ offset, bytes: count, a, b }) =>
        `    at ${hexText(offset)}, ${bytesText(count)}: ${beginning(a)}${arrow}${beginning(b)}`,
    ),
    ...more,
    ...inside,
  ];
}

/** Hexadecimal digits of a range that are shown: two of them with what is around them are a line. */
const shownDigits = 32;
const beginning = (hex: string): string => (hex.length > shownDigits ? `${hex.slice(0, shownDigits)}...` : hex);

function oneSided(field: FieldDifference): string {
  return "a" in field ? `only in A: ${valueText(field.a)}` : `only in B: ${valueText(field.b)}`;
}

function nameText(of: NameDifference, terminal: Terminal): string {
  const side = (value: number | bigint | undefined): string => (value === undefined ? "absent" : hexText(value));
  return `${of.path}: ${side(of.a)}${arrow}${side(of.b)}  ${bitsText(of, terminal)}`.trimEnd();
}

function bitsText({ set, cleared }: NameDifference, terminal: Terminal): string {
  return [
    ...cleared.map((name) => terminal.style("red", `-${name}`)),
    ...set.map((name) => terminal.style("green", `+${name}`)),
  ].join(" ");
}

function ramLines({ onlyInA, onlyInB, changed, pageBytes }: RamDifference, terminal: Terminal): string[][] {
  return [
    onlyInA.map(({ idstr, bytes }) => `only in A: RAM block ${idstr}, ${bytes} bytes`),
    onlyInB.map(({ idstr, bytes }) => `only in B: RAM block ${idstr}, ${bytes} bytes`),
    ...changed.map((block) => blockLines(block, pageBytes, terminal)),
  ];
}

function blockLines(
  { idstr, bytes, memoryPageBytes, address, pages, ranges, moreRanges }: BlockDifference,
  pageBytes: number,
  terminal: Terminal,
): string[] {
  const totals = pageChanges.flatMap((kind) => (pages[kind] > 0 ? [`${pages[kind]} ${kind}`] : []));
  const rows = ranges.map(({ kind, firstPage, lastPage, pages: count, offset }) => [
    "",
    `${hexText(offset)}..${hexText(offset + count * pageBytes - 1)}`,
    firstPage === lastPage ? String(firstPage) : `${firstPage}..${lastPage}`,
    String(count),
    kind,
  ]);
  const columns = (["", "offset", "pages", "count", "change"] as const).map((title) => ({
    title,
    align: title === "count" ? ("right" as const) : ("left" as const),
  }));
  return [
    `${terminal.style("bold", `RAM ${idstr}`)}  ${totals.length === 0 ? "no page differs" : `pages: ${totals.join(", ")}`}`,
    ...(bytes === undefined ? [] : [`  length: ${bytes.a}${arrow}${bytes.b} bytes`]),
    ...(memoryPageBytes === undefined
      ? []
      : [`  pages of the memory behind it: ${memoryPageBytes.a}${arrow}${memoryPageBytes.b} bytes`]),
    ...(address === undefined ? [] : [`  address: ${hexText(address.a)}${arrow}${hexText(address.b)}`]),
    ...(rows.length === 0 ? [] : tableLines(columns, rows).map((line) => `  ${line}`)),
    ...(moreRanges > 0 ? [`  and ${moreRanges} more ranges (--ranges)`] : []),
  ];
}
