// The line of a package's README that tells its size: written, found again, and held against what was measured.
import { isOff, type Size } from "./size-table.ts";

const beginning = "Size, minified and gzipped: ";
const grouped = (value: number): string => String(value).replace(/\B(?=(\d{3})+$)/g, ",");

/** The line for a package's entries, the main one first. `table` is the path to the table, from the README. */
export function sizeLine(name: string, sizes: readonly Size[], table: string): string {
  const told = sizes.map(({ entry, minifiedBytes, gzippedBytes }) => {
    const bytes = `${grouped(minifiedBytes)} and ${grouped(gzippedBytes)} bytes`;
    return entry === name ? bytes : `\`.${entry.slice(name.length)}\` ${bytes}`;
  });
  return `${beginning}${told.join("; ")} ([all sizes, and how they are measured](${table})).`;
}

/** The README with its line replaced; undefined where it has none. */
export function withSizeLine(readme: string, line: string): string | undefined {
  const lines = readme.split("\n");
  const at = lines.findIndex((one) => one.startsWith("Size"));
  if (at < 0) return undefined;
  lines[at] = line;
  return lines.join("\n");
}

/** What is wrong with the line of a README, if anything. */
export function sizeLineFinding(readme: string, name: string, sizes: readonly Size[]): string | undefined {
  const line = readme.split("\n").find((one) => one.startsWith(beginning));
  if (line === undefined) return `${name}: its README does not tell its size`;
  const found = (line.match(/[\d,]+ and [\d,]+ bytes/g) ?? []).map((pair) =>
    pair.split(" and ").map((number) => Number(number.replace(/\D/g, ""))),
  );
  const good =
    found.length === sizes.length &&
    sizes.every(({ minifiedBytes, gzippedBytes }, i) => {
      const [minified = 0, gzipped = 0] = found[i] ?? [];
      return !isOff(minified, minifiedBytes) && !isOff(gzipped, gzippedBytes);
    });
  return good ? undefined : `${name}: its README tells another size`;
}
